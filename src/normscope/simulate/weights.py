"""Pre-activations by explicit weight matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from normscope.simulate.law import Units, units
from normscope.simulate.layer import Layer, times
from normscope.simulate.state import State
from normscope.simulate.streams import Streams, pieces, row_block

WeightLaw = Callable[[Tensor, torch.Generator], object]
"""Fills a matrix (rows, fan_in) in place, with entries of mean square 1."""


def gaussian(matrix: Tensor, generator: torch.Generator) -> None:
    """Independent N(0, 1)."""
    matrix.normal_(generator=generator)


def uniform(matrix: Tensor, generator: torch.Generator) -> None:
    """Independent U(−√3, √3)."""
    matrix.uniform_(-math.sqrt(3), math.sqrt(3), generator=generator)


def sign(matrix: Tensor, generator: torch.Generator) -> None:
    """Independent ±1."""
    matrix.random_(0, 2, generator=generator).mul_(2).sub_(1)


def haar(matrix: Tensor, generator: torch.Generator) -> None:
    """√max(rows, fan_in) times a Haar matrix: orthogonal rows, or columns where rows outnumber them.

    Source: Mezzadri (2007), by `torch.nn.init.orthogonal_`.
    """
    nn.init.orthogonal_(matrix, gain=math.sqrt(max(matrix.shape)), generator=generator)


WEIGHTS: Final[dict[str, WeightLaw]] = {"gaussian": gaussian, "uniform": uniform, "sign": sign, "haar": haar}
"""Laws of a weight matrix by name. A new one is one line here."""

_ROW_BY_ROW = (gaussian, uniform, sign)  # their rows are independent: a matrix can be drawn in pieces


def weight_law(weights: str | WeightLaw) -> WeightLaw:
    """The named law; a function is passed on.

    Raises:
        ValueError: the name is not known; the message lists those that are.
        TypeError: neither a name nor a function.
    """
    if isinstance(weights, str):
        if weights not in WEIGHTS:
            raise ValueError(f"unknown weights {weights!r}; choose one of {', '.join(WEIGHTS)}")
        return WEIGHTS[weights]
    if not callable(weights):
        raise TypeError(f"weights must be a name or a function (matrix, generator) that fills it, got {weights!r}")
    return weights


class WeightsSource:
    """Draws the weights of a layer and applies them: Z = s X Wᵀ/√d + b, entries of W of mean square 1."""

    recenters = False

    def __init__(
        self, seed: int, networks: int, fan_in: int, width: int, law: WeightLaw, device: torch.device, keep: bool
    ) -> None:
        self._streams = Streams(seed, "weights", networks, device)
        self._law, self._width, self._device, self._keep = law, width, device, keep
        self._scratch: Tensor | None = None
        self.threads = torch.get_num_threads()
        rows = row_block(max(fan_in, width), width, device) if law in _ROW_BY_ROW else width
        self.pieces = pieces(networks, width, rows, rows * max(fan_in, width), device)

    def prepare(self, layer: Layer, state: State) -> Units:
        """Put the constants of the layer into its input."""
        if state.features is None:
            raise AssertionError("explicit weights act on features")
        unit = units(layer, state.log_scale)
        self._input = times(state.features, unit.from_input.sqrt() * state.features.shape[-1] ** -0.5)
        self._bias = unit.from_bias.sqrt() if layer.bias_std else None
        self.kept: Tensor | None = None
        if self._keep:
            networks, _, fan_in = self._input.shape
            self.kept = self._input.new_empty(networks, self._width, fan_in)
        return unit

    def draw(self, networks: slice, features: slice) -> Tensor:
        """Pre-activations (networks, n, features), in memory of their own."""
        inputs = self._input[networks]
        shape = (len(inputs), features.stop - features.start, inputs.shape[-1])
        count = shape[0] * shape[1] * shape[2]
        if self._scratch is None or self._scratch.numel() < count:
            self._scratch = inputs.new_empty(count)
        matrices = self._scratch[:count].view(shape)
        generators = self._streams.generators[networks]
        for generator, matrix in zip(generators, matrices.unbind(0), strict=True):
            self._law(matrix, generator)
        if self.kept is not None:
            self.kept[networks, features] = matrices
        z = torch.bmm(inputs, matrices.mT)
        if self._bias is not None:
            bias = self._streams.normal_(inputs.new_empty(shape[0], shape[1]), networks)
            z += times(bias[:, None, :], self._bias[networks])
        return z
