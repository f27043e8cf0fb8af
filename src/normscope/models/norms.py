"""Normalizations by name: which module goes where in a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal, NamedTuple

from torch import nn

from normscope.nn import DecomposedBatchNorm1d, DecomposedBatchNorm2d

Kind = Literal["dense", "conv"]
"""What is normalized: ``(n, features)`` of a linear layer, or ``(n, channels, height, width)`` of a convolution."""

NormFactory = Callable[[int, Kind], nn.Module]


class NormPlan(NamedTuple):
    """Which normalization a network has, by place. Where there is None there is no module at all.

    Attributes:
        inside: after every linear or convolutional layer but the head.
        last: once, on the last hidden representation, the one that the head sees (in a convolutional network
            before the average pooling).
    """

    inside: NormFactory | None = None
    last: NormFactory | None = None


def _batch_norm(features: int, kind: Kind) -> nn.Module:
    return nn.BatchNorm1d(features) if kind == "dense" else nn.BatchNorm2d(features)


def _decomposed(features: int, kind: Kind, *, recenter: bool, rescale: bool) -> nn.Module:
    layer = DecomposedBatchNorm1d if kind == "dense" else DecomposedBatchNorm2d
    return layer(features, recenter=recenter, rescale=rescale)


def _layer_norm(features: int, kind: Kind) -> nn.Module:
    """One mean and one deviation for each sample; over an image that is a group norm of one group."""
    return nn.LayerNorm(features) if kind == "dense" else nn.GroupNorm(1, features)


NORMS: Final[dict[str, NormPlan]] = {
    "batch": NormPlan(inside=_batch_norm),
    "none": NormPlan(),
    "recenter": NormPlan(inside=partial(_decomposed, recenter=True, rescale=False)),
    "rescale": NormPlan(inside=partial(_decomposed, recenter=False, rescale=True)),
    "layer": NormPlan(inside=_layer_norm),
    "last": NormPlan(last=_batch_norm),
}
"""Every normalization by name. A new one is one line here."""


def norm_plan(norm: str) -> NormPlan:
    """The named plan.

    Raises:
        ValueError: the name is not known; the message lists those that are.
    """
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; choose one of {', '.join(NORMS)}")
    return NORMS[norm]
