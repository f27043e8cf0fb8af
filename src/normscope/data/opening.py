"""Open whatever a user calls data: a name, a file, a folder or a Python factory."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from normscope.data.arrays import SUFFIXES, open_array_file
from normscope.data.batch import Batch
from normscope.data.cifar import cifar10, cifar100
from normscope.data.dataset import Dataset, require_at_least, seeded
from normscope.data.factory import open_factory
from normscope.data.handwriting import digits
from normscope.data.images import image_folder
from normscope.data.synthetic import gaussian, two_moons
from normscope.loading import LoadingError, check_keywords, one_line, suggestion

DATASETS: Final[dict[str, Callable[..., Dataset]]] = {
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
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


def open_data(
    spec: str | os.PathLike[str],
    *,
    batch: int,
    seed: int = 0,
    root: str | os.PathLike[str] | None = None,
    fewer: bool = False,
    **options: Any,
) -> Batch:
    """One batch of the data that ``spec`` calls by name or place. No more is read than the batch needs.

    ``digits``, ``cifar10``, … (`DATASETS`): a data set, made with ``count=batch``, the seed and the options.
    A folder: images, in class sub-folders or not (`image_folder`, which takes the options).
    .npy, .npz, .pt, .pth, .safetensors: arrays; nothing in the file is executed (`open_array_file`).
    ``pkg.module:factory`` or ``file.py:factory``: a loader, data set or batch, called with the options.

    Args:
        spec: what to open. A path beats a name when it is written as one: ``./digits``.
        batch: how many samples.
        seed: decides which.
        root: a folder where data sets that are on disk are looked for first; a factory is given it.
        fewer: a file, a folder or a factory that holds fewer samples than ``batch`` gives all of them. (Of the data
            sets by name it is known how many there are.)
        options: keyword arguments of the data set, image folder or factory: ``size=32``, ``split="train"``.

    Raises:
        LoadingError: whatever stands in the way, in one line: there is no such data; an option that it does not take;
            it holds fewer samples than ``batch``, or none with ``fewer``; it is damaged, or holds what is no number,
            NaN or infinity.
        TypeError: the batch or the seed is not an integer.
        ValueError: the batch is below 1, or the seed does not fit in 32 bits.
    """
    require_at_least(1, batch=batch)
    seeded(seed)
    text = os.fspath(spec)
    if text in DATASETS:
        return _named(text, batch, seed, root, options)
    path = Path(text).expanduser()
    if text and path.is_dir():  # no text would be the current folder
        keywords = {"batch": batch, "seed": seed, "fewer": fewer, **options}
        check_keywords(image_folder, {"folder": path, **keywords}, f"the folder {text}")
        with _telling(text):
            return image_folder(path, **keywords)
    if path.suffix.lower() in SUFFIXES:
        if options:
            raise LoadingError(f"{text} is a file of arrays, which takes no {', '.join(options)}")
        return open_array_file(path, batch=batch, seed=seed, fewer=fewer)
    if ":" in text:
        own = options if root is None else {"root": root, **options}  # a loader may take one of its own
        return open_factory(text, own, batch=batch, seed=seed, fewer=fewer)
    if path.is_file():
        raise LoadingError(f"{text}: files of this kind are not read, only {', '.join(SUFFIXES)}")
    raise LoadingError(
        f"there is no data {text!r}: it may be {', '.join(DATASETS)}, a file ({', '.join(SUFFIXES)}), a "
        "folder of images, or a Python factory pkg.module:name or file.py:name"
        f"{suggestion(text, DATASETS, listed=())}"
    )


def _named(name: str, batch: int, seed: int, root: str | os.PathLike[str] | None, options: dict[str, Any]) -> Batch:
    function = DATASETS[name]
    if "count" in options:
        raise LoadingError(f"{name} takes no count beside a batch, which says how many samples there are")
    keywords = {"count": batch, "seed": seed, **options}
    if root is not None and "root" in inspect.signature(function).parameters:
        keywords["root"] = root
    check_keywords(function, keywords, name)
    with _telling(name):
        dataset = function(**keywords)
    return Batch(dataset.inputs, dataset.targets, dataset.name, dataset.description)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """What the value of an option makes the block raise is told with the name of the data."""
    try:
        yield
    except LoadingError:
        raise
    except (TypeError, ValueError) as error:
        raise LoadingError(f"{name}: {one_line(str(error))}") from error
