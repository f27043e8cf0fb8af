"""Data sets that need no download: real images (the default) and points drawn for a study.

Every one is a function that returns a :class:`Dataset`, takes a seed, and leaves the global random generators alone.
scikit-learn is imported when its data are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from normscope.data.dataset import Dataset
from normscope.data.handwriting import digits
from normscope.data.synthetic import gaussian, two_moons

__all__ = ["DATASETS", "Dataset", "digits", "gaussian", "load", "two_moons"]

DATASETS: Final[dict[str, Callable[..., Dataset]]] = {
    "digits": digits,
    "gaussian": gaussian,
    "two_moons": two_moons,
}
"""Every data set by name. A new one is one line here."""


def load(name: str, **options: Any) -> Dataset:
    """The data set ``name``, made with ``options``: ``load("digits", count=32)`` is ``digits(count=32)``.

    Raises:
        ValueError: there is no data set of that name; the message lists those there are.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}")
    return DATASETS[name](**options)
