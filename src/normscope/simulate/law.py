"""Pre-activations by their exact law at finite width: Z = G^(1/2) Ξ, without weights."""

from __future__ import annotations

import math
from itertools import chain, repeat
from typing import NamedTuple

import torch
from torch import Tensor

from normscope.simulate.ahead import Ahead
from normscope.simulate.layer import Layer, relative
from normscope.simulate.roots import square_root
from normscope.simulate.state import State
from normscope.simulate.streams import EVERY, Streams, feature_block, pieces

_NUMBERS_AHEAD = 2**14  # of one network and block: to hand over fewer costs as much as to draw them
_POINTS_AHEAD = 64
_ZERO = 4  # times n eps: what of a recentered Gram matrix is rounding


class Units(NamedTuple):
    """Variance of a pre-activation in units of e^(2 log_z): ``from_input`` · G + ``from_bias``; all (networks,)."""

    log_z: Tensor
    from_input: Tensor
    from_bias: Tensor


def units(layer: Layer, log_scale: Tensor) -> Units:
    """The unit in which neither the input's part of a pre-activation nor the bias overflows."""
    log_weight = math.log(layer.weight_std) if layer.weight_std else -math.inf
    if not layer.bias_std:
        return Units(log_scale / 2 + log_weight if log_weight else log_scale / 2, *_constant(log_scale))
    from_input = log_scale + 2 * log_weight
    from_bias = torch.full_like(log_scale, 2 * math.log(layer.bias_std))
    unit = torch.logaddexp(from_input, from_bias)
    return Units(unit / 2, relative(from_input, unit), relative(from_bias, unit))


def recenter(covariance: Tensor) -> Tensor:
    """H C H, H = I − 11ᵀ/n; exactly 0 where the points coincide up to rounding."""
    n = covariance.shape[-1]
    rows = covariance.mean(-1, keepdim=True)
    overall = rows.mean(-2, keepdim=True)
    centred = covariance - rows - rows.mT + overall
    # the trace of what is recentered is n, and loses n times the overall mean
    rounding = _ZERO * n * torch.finfo(covariance.dtype).eps
    if float(overall.max()) >= 1 - rounding:
        centred = torch.where(overall >= 1 - rounding, 0.0, centred)
    return centred


def _constant(log_scale: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(log_scale), torch.zeros_like(log_scale)


class LawSource:
    """Draws the pre-activations of a layer given the Gram matrix of its input.

    The rows of the weight matrix are independent N(0, s²/d I), so that the columns of Z are independent N(0, C) with
    C = s² G + b² 11ᵀ (bias of standard deviation b); recentered, H C H. The law of what follows depends on
    nothing else.

    Source: normscope's own; the argument is in docs/simulation.md.
    """

    recenters = True

    def __init__(
        self, seed: int, networks: int, n: int, width: int, layers: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._streams = Streams(seed, "law", networks, device)
        self._n, self._dtype, self._device = n, dtype, device
        block = feature_block(n, width, device)
        self.pieces = pieces(networks, width, block, n * block, device)
        self.threads = torch.get_num_threads()
        self._ahead: Ahead | None = None
        self._scratch = torch.empty(0, dtype=dtype, device=device)
        if _worth_a_thread(n, n * block, len(self.pieces) * layers, device):
            shapes = [(some, self._shape(some, part)) for some, part in self.pieces]
            self._ahead = Ahead(self._streams, chain.from_iterable(repeat(shapes, layers)), dtype)
            self.threads -= 1

    def prepare(self, layer: Layer, state: State) -> Units:
        """Take the root of the covariance of a feature."""
        unit = units(layer, state.log_scale)
        covariance = state.gram
        if layer.bias_std:
            covariance = unit.from_input[:, None, None] * covariance + unit.from_bias[:, None, None]
        if layer.law_recenters:
            covariance = recenter(covariance)
        self._root = square_root(covariance).to(self._dtype)
        return unit

    def draw(self, networks: slice, features: slice) -> Tensor:
        """Pre-activations (networks, n, features), in memory of their own."""
        root = self._root if networks == EVERY else self._root[networks]
        if self._ahead is not None:
            return torch.bmm(root, self._ahead.take())
        shape = self._shape(networks, features)
        count = math.prod(shape)
        if self._scratch.numel() < count:
            self._scratch = torch.empty(count, dtype=self._dtype, device=self._device)
        return torch.bmm(root, self._streams.normal_(self._scratch[:count].view(shape), networks))

    def _shape(self, networks: slice, features: slice) -> tuple[int, int, int]:
        return len(self._streams.generators[networks]), self._n, features.stop - features.start


def _worth_a_thread(n: int, numbers: int, draws: int, device: torch.device) -> bool:
    """Whether a thread of its own draws the numbers, ahead of their use.

    Of more points the products take longer than the numbers, and all threads are better used on them.
    """
    several = device.type == "cpu" and torch.get_num_threads() > 1
    return several and draws > 1 and numbers >= _NUMBERS_AHEAD and n <= _POINTS_AHEAD
