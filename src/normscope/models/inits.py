"""Initialization laws by name, each drawing from a generator of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from normscope.models.activations import gain

InitLaw = Callable[[torch.Tensor, nn.Module, torch.Generator], object]
"""Fills a weight in place, given a module of the activation (in float64) and a generator."""


def xavier(weight: torch.Tensor, activation: nn.Module, generator: torch.Generator) -> None:
    """``W ~ U(−a, a)``, ``a = sqrt(6 / (fan_in + fan_out))``: variance ``2 / (fan_in + fan_out)``, gain 1.

    The uniform variant, whatever the activation is. For a k × k convolution fan_in is k² times the input channels
    and fan_out is k² times the output channels.

    Source: Glorot and Bengio (2010), equation 16; the convolutions of Bjorck et al. (2018).
    """
    nn.init.xavier_uniform_(weight, generator=generator)


def he(weight: torch.Tensor, activation: nn.Module, generator: torch.Generator) -> None:
    """``W ~ N(0, g² / fan_in)``, ``g² = 1 / E φ(z)²``: 2 / fan_in for ReLU, 1 / fan_in for a linear network.

    The normal variant, the same law for every layer, first and last too.

    Source: He et al. (2015), section 2.2; the factor is :func:`normscope.models.activations.gain`.
    """
    fan_in = weight[0].numel()
    nn.init.normal_(weight, std=gain(activation) * fan_in**-0.5, generator=generator)


def orthogonal(weight: torch.Tensor, activation: nn.Module, generator: torch.Generator) -> None:
    """``W = g Q``: Q uniform (Haar) among the matrices with orthonormal rows, or columns where rows outnumber them.

    W is taken as the matrix ``(fan_out channels, fan_in)``; g as in :func:`he`.

    Source: Saxe et al. (2014), section 3; Mezzadri (2007) for the Haar measure.
    """
    nn.init.orthogonal_(weight, gain=gain(activation), generator=generator)


INITS: Final[dict[str, InitLaw]] = {"xavier": xavier, "he": he, "orthogonal": orthogonal}
"""Every initialization by name. A new one is one line here."""


def init_law(init: str) -> InitLaw:
    """The named law.

    Raises:
        ValueError: the name is not known; the message lists those that are.
    """
    if init not in INITS:
        raise ValueError(f"unknown init {init!r}; choose one of {', '.join(INITS)}")
    return INITS[init]


@torch.no_grad()
def initialize_(layer: nn.Linear | nn.Conv2d, law: InitLaw, activation: nn.Module, name: str, seed: int) -> None:
    """Fill the weight of ``layer`` by ``law`` and its bias, if any, with zeros, in place.

    Each layer has a random stream of its own, decided by the seed and the layer's name. Networks that share a
    layer (the same net with another norm, more depth, another shortcut) so share its weights, and can be compared.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, name))
    # Drawn on the CPU in float64, then rounded: the same weights on every device and in every dtype.
    weight = torch.empty(layer.weight.shape, dtype=torch.float64, device="cpu")
    law(weight, activation, generator)
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.zero_()


def stream_seed(seed: int, name: str) -> int:
    """A 32-bit seed for the random stream of what is called ``name``, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=4).digest(), "little")
