"""One layer, for many networks at once, its features in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from normscope.simulate.law import Units
from normscope.simulate.layer import Layer, features, times
from normscope.simulate.state import State, normalized
from normscope.simulate.streams import blocks, groups


class Source(Protocol):
    """Where pre-activations come from: `LawSource` or `WeightsSource`."""

    recenters: bool
    """Whether they come recentered where the layer allows it."""
    block: int
    numbers_per_network: int

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
    units = source.prepare(layer, state)
    networks, n, _ = state.gram.shape
    total = torch.zeros(state.gram.shape, dtype=torch.float64, device=state.gram.device)
    log_y = torch.empty_like(state.log_scale)
    recentered = source.recenters and layer.law_recenters
    kept: Tensor | None = None
    for chosen in groups(networks, source.numbers_per_network, total.device):
        for part in blocks(width, source.block):
            z = source.draw(chosen, part)
            if z_kept is not None:
                z_kept[chosen, :, part] = z
            skipped = None if skip is None else skip.block(chosen, part)
            log_skip = None if skip is None else skip.log_unit[chosen]
            y, log_y[chosen] = features(
                layer, z, units.log_z[chosen], recentered=recentered, skip=skipped, log_skip=log_skip
            )
            exact = y.double() if double else y
            total[chosen].add_(torch.bmm(exact, exact.mT))
            if keep:
                kept = y.new_empty(networks, n, width) if kept is None else kept
                kept[chosen, :, part] = y
    gram, log_scale, mean_square = normalized(total, log_y, width)
    factor = torch.where(mean_square > 0, mean_square.rsqrt(), 0.0) if keep else mean_square
    return State(gram, log_scale, None if kept is None else times(kept, factor)), units, factor
