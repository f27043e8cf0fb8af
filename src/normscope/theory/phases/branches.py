"""Branches of fixed points on groups as the batch size (a real number) or the slope of a leaky ReLU changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.theory.groups.chart import Chart
from normscope.theory.groups.elementwise import merged
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram
from normscope.theory.groups.linearization import Linearized
from normscope.theory.groups.roots import Search
from normscope.theory.groups.spectrum import shared_eigenvalues
from normscope.theory.phases.continuation import Array

_FARTHEST = 60.0  # logarithm of a ratio of squared distances beyond which groups are tight, or one
_DIFFERENCE = 1e-6


class Modes(NamedTuple):
    """Leading eigenvalues of the derivative modulo scale, by what they change."""

    names: tuple[str, ...]
    values: NDArray[np.complex128]

    @property
    def rate(self) -> float:
        """Spectral radius."""
        return float(np.abs(self.values).max(initial=0.0))

    @property
    def outside(self) -> int:
        """How many of these leading eigenvalues lie outside the unit circle."""
        return int(np.sum(np.abs(self.values) > 1))


@dataclass(frozen=True)
class Family:
    """Fixed points of groups whose sizes, and of a layer that, depend on one parameter t."""

    layer: Callable[[float], GroupMap]
    sizes: Callable[[float], Array]
    tight: tuple[int, ...] = ()
    """Groups that are one point."""

    def chart(self, t: float) -> Chart:
        """The coordinates at t."""
        return Chart(self.sizes(t), recenter=self.layer(t).recenter, tight=self.tight)

    def gram(self, y: Array) -> GroupGram:
        """The Gram matrix at y = (x, t), before the layer."""
        return self.chart(float(y[-1])).unpack(np.exp(self._logs(y)))

    def roots(self, t: float) -> list[Array]:
        """(x, t) of every fixed point found at t, but those whose groups are one."""
        search = Search(self.layer(t), self.chart(t))
        found = [self._reduced(row, t) for row in search.roots()]
        return [y for y in found if self.distinct(y)]

    def distinct(self, y: Array) -> bool:
        """Whether the groups can be told apart."""
        return not merged(self.layer(float(y[-1]))(self.gram(y)), tolerance=1e-6)

    def inside(self, y: Array) -> bool:
        """Whether no ratio is so large that a group is one point, or two are one."""
        return bool(np.abs(y[:-1]).max(initial=0.0) < _FARTHEST)

    def equation(self, y: Array) -> tuple[Array, Array]:
        """F(y), the change of x in one layer, and its derivative; nan where y belongs to no Gram matrix."""
        m = y.size - 1
        if not self._possible(y):
            return np.full(m, np.nan), np.full((m, m + 1), np.nan)
        with np.errstate(all="ignore"):
            value, own = self._linearized(y)
            shifted = np.append(y[:-1], y[-1] + _DIFFERENCE)
            # an error of 1e-6 in this column changes Newton's steps, not where they end
            by_t = (self._change(shifted) - value) / _DIFFERENCE
        return value, np.hstack([own, by_t[:, None]]).reshape(m, m + 1)

    def rounding(self, y: Array) -> float:
        """How much of F is rounding: its spread over 8 points that differ from y in the last bits."""
        steps = np.random.default_rng(0).uniform(-1, 1, (8, y.size - 1)) * 1e-15
        values = [self._change(np.append(y[:-1] + step, y[-1])) for step in steps]
        return float(np.ptp(values, axis=0).max(initial=0.0)) + 1e-16

    def modes(self, y: Array) -> Modes:
        """The leading eigenvalue of each kind of change at a fixed point."""
        t = float(y[-1])
        layer = self.layer(t)
        gram = layer(self.gram(y))
        sizes, derivative = gram.sizes, Linearized(layer, gram)
        factor = float(derivative.after.trace / gram.trace) if layer.scale_free else 1.0
        of: list[tuple[str, NDArray[np.complex128]]] = [
            ("groups", shared_eigenvalues(derivative, gram).astype(complex))
        ]
        pairs = derivative.pairs() / factor
        for g, k in enumerate(sizes):
            name = f"group {g + 1}" if sizes.size > 1 else "the group"
            if k > 1:
                single = np.linalg.eigvals(derivative.single_points(g) / factor)
                of.append((f"single points of {name}", single.astype(complex)))
            if k > 3:
                of.append((f"pairs in {name}", pairs[g, g, None].astype(complex)))
            of += [
                (f"pairs across groups {h + 1} and {g + 1}", pairs[g, h, None].astype(complex))
                for h in range(g)
                if k > 1 and sizes[h] > 1
            ]
        of = [(name, values) for name, values in of if values.size]
        leading = [values[np.argmax(np.abs(values))] for _, values in of]
        return Modes(tuple(name for name, _ in of), np.array(leading, dtype=complex))

    def _possible(self, y: Array) -> bool:
        """Whether groups have a point at least, and those that count as several have more, also where t is varied."""
        if not np.all(np.isfinite(y)):
            return False
        numbers = y.size - 1 + self.layer(float(y[-1])).scale_free
        ends = (float(y[-1]), float(y[-1]) + _DIFFERENCE)
        return all(np.all(self.sizes(t) >= 1) and len(self.chart(t)) == numbers for t in ends)

    def _logs(self, y: Array) -> Array:
        return np.append(y[:-1], 0.0) if self.layer(float(y[-1])).scale_free else y[:-1]

    def _reduced(self, logs: Array, t: float) -> Array:
        x = logs[:-1] - logs[-1] if self.layer(t).scale_free else logs
        return np.append(x, t)

    def _change(self, y: Array) -> Array:
        layer, chart = self.layer(float(y[-1])), self.chart(float(y[-1]))
        logs = self._logs(y)
        return _modulo_scale(np.log(chart.pack(layer(chart.unpack(np.exp(logs))))) - logs, layer)

    def _linearized(self, y: Array) -> tuple[Array, Array]:
        """`_change`, and its derivative in x."""
        layer, chart = self.layer(float(y[-1])), self.chart(float(y[-1]))
        logs = self._logs(y)
        at = np.exp(logs)
        derivative = Linearized(layer, chart.unpack(at))
        after = chart.pack(derivative.after)
        matrix = _modulo_scale(chart.jacobian(derivative) * at / after[:, None] - np.eye(at.size), layer)
        return _modulo_scale(np.log(after) - logs, layer), matrix[:, : y.size - 1]


def _modulo_scale(change: Array, layer: GroupMap) -> Array:
    return np.asarray(change[:-1] - change[-1] if layer.scale_free else change)
