"""One layer, for many networks at once, its features in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from normscope.simulate.law import Units
from normscope.simulate.layer import Layer, features, times
from normscope.simulate.state import State, normalized
from normscope.simulate.streams import EVERY, Piece


class Source(Protocol):
    """Where pre-activations come from: `LawSource` or `WeightsSource`."""

    recenters: bool
    """Whether they come recentered where the layer allows it."""
    pieces: list[Piece]
    """Networks and features that are drawn together, in order."""
    threads: int
    """Of torch, for what is done with the numbers."""

    def prepare(self, layer: Layer, state: State) -> Units:
        """Take what a layer needs from its input."""

    def draw(self, networks: slice, features: slice) -> Tensor:
        """The pre-activations (networks, n, features), in order and each once."""


class Skip(NamedTuple):
    """What a shortcut adds: the layer's input in units of e^log_unit."""

    block: Callable[[slice, slice], Tensor]
    log_unit: Tensor


class Passed(NamedTuple):
    """What the backward pass needs of a layer: e^log_y · y = features(e^log_z · z), then ``after`` = factor · y."""

    layer: Layer
    before: State
    z: Tensor
    units: Units
    recentered: bool
    skip: Tensor | None
    log_skip: Tensor | None
    factor: Tensor
    after: State
    weights: Tensor | None


def pass_layer(
    layer: Layer,
    source: Source,
    state: State,
    width: int,
    skip: Skip | None,
    *,
    keep: bool,
    double: bool,
    z_kept: Tensor | None = None,
) -> tuple[State, Units, Tensor]:
    """The state behind a layer.

    Args:
        layer: the layer.
        source: of its pre-activations.
        state: its input.
        width: its features.
        skip: what a shortcut adds, if there is one.
        keep: keep the features themselves.
        double: multiply features in float64 for their Gram matrix; else in their own dtype, block by block.
        z_kept: filled with the pre-activations, (networks, n, width).

    Returns:
        the state, the units of z, and the factor from y to the state's features.

    Raises:
        FloatingPointError: features that are not finite.
    """
    with _torch_threads(source.threads):
        units = source.prepare(layer, state)
        networks, n, _ = state.gram.shape
        recentered = source.recenters and layer.law_recenters
        sums = _Sums(state)
        kept: Tensor | None = None
        for chosen, part in source.pieces:
            z = source.draw(chosen, part)
            if z_kept is not None:
                z_kept[chosen, :, part] = z
            skipped = None if skip is None else skip.block(chosen, part)
            log_skip = None if skip is None else skip.log_unit[chosen]
            log_z = units.log_z if chosen == EVERY else units.log_z[chosen]
            y, log_y = features(layer, z, log_z, recentered=recentered, skip=skipped, log_skip=log_skip)
            exact = y.double() if double else y
            sums.add(chosen, torch.bmm(exact, exact.mT), log_y)
            if keep:
                kept = y.new_empty(networks, n, width) if kept is None else kept
                kept[chosen, :, part] = y
        gram, log_scale, mean_square = normalized(sums.total, sums.log_y, width)
        factor = torch.where(mean_square > 0, mean_square.rsqrt(), 0.0) if keep else mean_square
    return State(gram, log_scale, None if kept is None else times(kept, factor)), units, factor


class _Sums:
    """Σ y yᵀ in float64 and the unit of y, of all networks, from blocks of features."""

    total: Tensor
    log_y: Tensor

    def __init__(self, state: State) -> None:
        self._like = state
        self._begun = False

    def add(self, networks: slice, square: Tensor, log_y: Tensor) -> None:
        """One block more."""
        if networks == EVERY:
            self.total = self.total.add_(square) if self._begun else square.double()
            self.log_y = log_y
        else:
            if not self._begun:
                self.total, self.log_y = torch.zeros_like(self._like.gram), torch.empty_like(self._like.log_scale)
            self.total[networks].add_(square)
            self.log_y[networks] = log_y
        self._begun = True


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """So many threads for the products of this one: another may be drawing beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
