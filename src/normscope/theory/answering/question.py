"""A question about fixed points, in the words of a command line: checked, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from normscope.theory.activations.activation import ACTIVATIONS, Activation, activation, leaky_relu
from normscope.theory.backward.gradients import gradient_growth_at
from normscope.theory.groups.contraction import takes_all_to_zero
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.layers.gram_map import GramMap

_MOST = 10**6


@dataclass(frozen=True)
class Question:
    """Which fixed points a layer has on batches of n points.

    Args:
        n: batch size, 2 to 10⁶.
        recenter: as of `GramMap`.
        rescale: as of `GramMap`.
        activation: a name of `theory.activation`.
        slope: of a leaky ReLU, instead of the activation.
        sizes: of groups, to search instead of one and two groups.

    Raises:
        ValueError: an unknown activation (the message says which are like it), a slope with another activation than
            leaky ReLU, n out of range, sizes that do not add up to n, or rescaling with an activation of no degree.
    """

    n: int
    recenter: bool = True
    rescale: bool = True
    activation: str = "relu"
    slope: float | None = None
    sizes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.n <= _MOST:
            raise ValueError(f"a batch has 2 to {_MOST:,} points, got n = {self.n}")
        if self.sizes is not None and (min(self.sizes) < 1 or sum(self.sizes) != self.n):
            told = " + ".join(map(str, self.sizes))
            raise ValueError(f"sizes are at least 1 and add up to n = {self.n}: {told} = {sum(self.sizes)}")
        phi = self.layer.phi
        if self.rescale and phi.degree is None:
            raise ValueError(
                f"rescaling needs an activation with φ(s x) = s φ(x), s > 0, such as relu, leaky_relu, abs or linear: "
                f"of {phi.name!r} only the symmetric point's gradient growth is known (GramMap.gradient_growth); "
                "or leave out the rescaling"
            )

    @cached_property
    def layer(self) -> GramMap:
        """The layer."""
        return GramMap(self.recenter, self.rescale, known_activation(self.activation, self.slope))

    @cached_property
    def fixed_points(self) -> list[FixedPoint]:
        """Those found; those that attract come first."""
        return self.layer.fixed_points(self.n, self.sizes)

    @cached_property
    def shrinks(self) -> bool:
        """Whether every batch shrinks to 0, so that there is nothing to find (`takes_all_to_zero`)."""
        layer = self.layer
        return not self.rescale and takes_all_to_zero(GroupMap(self.recenter, False, layer.phi))

    @property
    def title(self) -> str:
        """What the layer does, in words."""
        return f"{layer_name(self.recenter, self.rescale, self.layer.phi.name)}, n = {self.n}"

    def to_dict(self) -> dict[str, Any]:
        """The question and its answer, as what JSON holds."""
        return {
            "recenter": self.recenter,
            "rescale": self.rescale,
            "activation": self.layer.phi.name,
            "n": self.n,
            "fixed_points": [
                {**point.to_dict(), "gradient_growth": plain(gradient(self.layer, point))}
                for point in self.fixed_points
            ],
        }


def known_activation(name: str, slope: float | None = None) -> Activation:
    """The activation of that name, or the leaky ReLU of that slope.

    Raises:
        ValueError: it is not known, or a slope comes with another activation.
    """
    if slope is not None:
        if name not in ("relu", "leaky_relu"):
            raise ValueError(f"a slope is that of leaky_relu, and the activation is {name!r}: give one of the two")
        if not np.isfinite(slope):
            raise ValueError(f"a slope is a finite number, got {slope}")
        return leaky_relu(slope)
    if ":" not in name and name not in ACTIVATIONS:
        near = get_close_matches(name.lower(), ACTIVATIONS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(ACTIVATIONS)}"
        raise ValueError(f"unknown activation {name!r}; {hint}")
    return activation(name)


def gradient(layer: GramMap, point: FixedPoint) -> float:
    """`GradientGrowth.relative` there; nan where gradients have no second moment, or φ has none."""
    try:
        return gradient_growth_at(layer, point).relative
    except ValueError:
        return float("nan")


def layer_name(recenter: bool, rescale: bool, activation_name: str) -> str:
    """Such as "recentering + relu"."""
    parts = [word for word, on in (("recentering", recenter), ("rescaling", rescale)) if on]
    return " + ".join([*parts, "no activation" if activation_name == "linear" else activation_name])


def plain(value: Any) -> Any:
    """What JSON holds: numpy's numbers as Python's, tuples as lists, and None for what is not finite."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
