"""What is kept of a run: Gram matrices, measures by name, or whatever a callback makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index

import torch
from torch import Tensor

from normscope.measure import GRAM_MEASURES
from normscope.simulate.state import State

Callback = Callable[[int, Tensor, Tensor], object]
"""Called with the depth, the Gram matrices (networks, n, n) and their log scales (networks,); what it returns is
ignored. The tensors are its own to keep, not to change."""


def record_names(record: str | Sequence[str]) -> tuple[str, ...]:
    """What to record, checked.

    Raises:
        ValueError: a name that is neither "gram" nor a measure; the message lists those that are.
        TypeError: no names at all.
    """
    if not isinstance(record, Iterable):
        raise TypeError(f"record must be a name or several, such as 'gram' or ('gram', 'odd_score'), got {record!r}")
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        if name != "gram" and name not in GRAM_MEASURES:
            raise ValueError(f"record: unknown measure {name!r}; choose from gram, {', '.join(GRAM_MEASURES)}")
    return names


def recorded_depths(depths: Iterable[int] | None, depth: int) -> tuple[int, ...]:
    """The depths to record, increasing, each once; negative ones count from the end.

    Raises:
        ValueError: a depth that the network does not have, or none at all.
        TypeError: a depth that is not an integer.
    """
    if depths is None:
        return tuple(range(depth + 1))
    try:
        asked = [index(t) for t in depths]
    except TypeError:
        raise TypeError(f"depths must be whole numbers, such as range(0, 51, 10), got {depths!r}") from None
    wrong = [t for t in asked if not -depth - 1 <= t <= depth]
    if wrong or not asked:
        what = f"got {wrong[0]}" if wrong else "got none"
        raise ValueError(f"depths: a network of depth {depth} has the depths 0 (its input) to {depth}, {what}")
    return tuple(sorted({t % (depth + 1) for t in asked}))


def require_callback(callback: Callback | None) -> None:
    """Check that a callback can be called.

    Raises:
        TypeError: it cannot.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of (depth, Gram matrices, log scales), got {callback!r}")


class Recorder:
    """Keeps what was asked for of the states that it is shown."""

    def __init__(
        self, depths: tuple[int, ...], names: tuple[str, ...], callback: Callback | None, networks: int, n: int
    ) -> None:
        self._row = {t: row for row, t in enumerate(depths)}
        self._callback = callback
        shape = (networks, len(depths))
        self.log_scale = torch.empty(shape, dtype=torch.float64)
        self.gram = torch.empty(*shape, n, n, dtype=torch.float64) if "gram" in names else None
        self.measures = {name: torch.empty(shape, dtype=torch.float64) for name in names if name != "gram"}

    def __call__(self, depth: int, state: State) -> None:
        """Record this depth, if it was asked for."""
        row = self._row.get(depth)
        if row is None:
            return
        self.log_scale[:, row] = state.log_scale
        if self.gram is not None:
            self.gram[:, row] = state.gram
        for name, values in self.measures.items():
            values[:, row] = GRAM_MEASURES[name](state.gram)
        if self._callback is not None:
            self._callback(depth, state.gram, state.log_scale)
