"""Gram matrices of given groups that a layer leaves as they are: brackets in one unknown, Newton's method in more."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from normscope.theory.groups.chart import Chart
from normscope.theory.groups.contraction import takes_all_to_zero
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import Array, GroupGram, own
from normscope.theory.groups.linearization import Linearized

_GRID = 2000
_NEARBY = 80
_REACH = 80.0  # of the logarithm of the unknown ratio: λ of an odd point's cluster is about n⁻⁴ of its distance
_TILTED_GRID, _PARTS = 500, 16  # a quadrature at each
_STARTS, _FEW_STARTS, _WARM_UP, _STEPS = 96, 16, 12, 60
_LONGEST = 1.5  # a step of Newton, in logarithms
_CONVERGED, _SAME = 5e-13, 1e-7
_NEAR = 1e-6  # drift at a root of a coarse layer: its kernel jumps where its rule changes
_COARSEST = 1e-6
_SLACK = 1e-9  # rounding in what belongs to a Gram matrix
_VANISHED, _GROWN = np.log(1e-9), np.log(1e12)
_RESOLVED = 1e-12  # squared distances of means below this part of the groups' own extent are rounding


class Search:
    """The layer on one `Chart`, in logarithms of its coordinates, and modulo scale where the layer is scale-free."""

    def __init__(self, layer: GroupMap, chart: Chart, *, converged: float = _CONVERGED) -> None:
        self.layer, self.chart = layer, chart
        self.unknowns = len(chart) - layer.scale_free
        self._converged = converged
        self._numeric = layer.activation.coarse() is not layer.activation

    def roots(self) -> Array:
        """(r, p): the logarithms of the coordinates of every fixed point found; on a line, in its order."""
        if len(self.chart) == 0 or self.unknowns < 0 or takes_all_to_zero(self.layer):
            return np.zeros((0, len(self.chart)))
        with np.errstate(all="ignore"):  # starts and steps may leave what belongs to a Gram matrix: they become nan
            if self.unknowns == 0:
                return self._only(np.zeros((1, 1)))
            coarse = replace(self.layer, activation=self.layer.activation.coarse())
            if coarse != self.layer:  # searched with the one, found with the other
                found = self._newton(Search(coarse, self.chart, converged=_NEAR).roots())
                return found[np.argsort(found[:, 0])] if self.unknowns == 1 else found
            if self.unknowns == 1:
                return self._only(self._bracketed())
            return self._newton(self._starts())

    def step(self, logs: Array) -> Array:
        """(…, p): one layer on, scale as it comes; nan where the coordinates belong to no Gram matrix."""
        gram, possible = self._possible(logs)
        after = np.log(self.chart.pack(self.layer(gram)))
        return np.where(possible[..., None], after, np.nan)

    def drift(self, logs: Array) -> Array:
        """(…, p): the change in one layer, without its mean (the scale) where the layer is scale-free."""
        change = self.step(logs) - logs
        return change - change.mean(axis=-1, keepdims=True) if self.layer.scale_free else change

    def polished(self, logs: Array) -> Array:
        """(r, p): the fixed points to which Newton's method goes from these (s, p)."""
        with np.errstate(all="ignore"):
            return self._newton(logs)

    def _line(self, place: Array) -> Array:
        """(…,) to (…, p): coordinates of ratio exp(place), or the coordinate exp(place)."""
        columns = [place, np.zeros_like(place)] if self.layer.scale_free else [place]
        return np.stack(columns, axis=-1)

    def _bracketed(self) -> Array:
        def drift(place: Array) -> Array:
            change = self.step(self._line(place)) - self._line(place)
            return np.asarray(change[..., 0] - change[..., 1] if self.layer.scale_free else change[..., 0])

        grid = np.linspace(-_REACH, _REACH, _TILTED_GRID if self.layer.tilts else _GRID)
        # a saddle comes as close as 1/n to the fixed point at which all points are exchangeable
        nearby = np.geomspace(0.01 / self.chart.sizes.sum(), 1, _NEARBY)
        grid = np.sort(np.concatenate([grid, *(self._exchangeable() + sign * nearby for sign in (-1, 1))]))
        # close places need the same nodes of the quadrature, all together need hundreds
        values = np.concatenate([drift(part) for part in np.array_split(grid, _PARTS if self.layer.tilts else 1)])
        crossed = np.flatnonzero(np.isfinite(values[:-1] * values[1:]) & (values[:-1] > 0) & (values[1:] <= 0))
        rising = np.flatnonzero(np.isfinite(values[:-1] * values[1:]) & (values[:-1] <= 0) & (values[1:] > 0))
        places = [
            brentq(lambda x: float(drift(np.array(x))), grid[i], grid[i + 1], xtol=1e-14, rtol=1e-15)
            for i in np.sort(np.concatenate([crossed, rising]))
        ]
        return self._line(np.array(places))

    def _exchangeable(self) -> float:
        """Where on a recentered line all points are exchangeable: λ/E of one point and a group of k, k/(k + 1)."""
        k = self.chart.sizes[self.chart.loose]
        return float(np.log(k / (k + 1)).sum()) if self.chart.recenter else 0.0

    def _starts(self) -> Array:
        """Ratios log-uniform over what group sizes can make of them, one half of the starts some layers on."""
        rng = np.random.default_rng(0)
        n = float(self.chart.sizes.sum())
        reach = 3 + 2 * np.log(n)
        starts = _FEW_STARTS if self.layer.tilts or self._numeric else _STARTS
        logs = rng.uniform(-reach, reach, (starts, len(self.chart)))
        close = rng.uniform(-3, 3, logs.shape)
        logs = np.concatenate([logs, close])
        if not self.chart.recenter:
            logs = np.concatenate([logs, self._around_common_mean(close, rng)])
        moved = logs
        for _ in range(_WARM_UP):
            after = self.step(moved)
            moved = np.where(np.isfinite(after).all(axis=-1, keepdims=True), after, moved)
        return np.concatenate([logs, moved])

    def _around_common_mean(self, logs: Array, rng: np.random.Generator) -> Array:
        """Starts whose groups' means have nearly the same norm, at distances that the norms allow."""
        a, m = len(self.chart.normed), self.chart.sizes.size
        logs = logs.copy()
        places = rng.standard_normal((logs.shape[0], m, m)) * np.exp(rng.uniform(-2, 1, (logs.shape[0], 1, 1)))
        places[..., 0] += 1.0
        logs[:, :a] = np.log(np.sum(places**2, axis=-1))
        gaps = places[:, self.chart.first] - places[:, self.chart.second]
        logs[:, logs.shape[1] - self.chart.first.size :] = np.log(np.sum(gaps**2, axis=-1))
        return logs

    def _newton(self, logs: Array) -> Array:
        settled, arrived = min(settling(self.chart.sizes), _COARSEST), np.zeros((0, len(self.chart)))
        for _ in range(_STEPS):
            if logs.shape[0] == 0:
                break
            move = self._newton_move(logs)
            possible = np.isfinite(move).all(axis=-1)
            logs, move = logs[possible], move[possible]
            largest = np.abs(move).max(axis=-1, keepdims=True, initial=0)
            logs = logs + move * np.minimum(1, _LONGEST / np.maximum(largest, 1e-300))
            if self.layer.scale_free:
                logs = logs - logs.mean(axis=-1, keepdims=True)
            there = largest[:, 0] < settled
            arrived = self._different(np.concatenate([arrived, logs[there]]))
            logs = logs[~there]
        return self._only(arrived)

    def _newton_move(self, logs: Array) -> Array:
        p = len(self.chart)
        gram, possible = self._possible(logs)
        derivative = Linearized(self.layer, gram)
        point, after = np.exp(logs), self.chart.pack(derivative.after)
        residual = np.log(after) - logs
        matrix = self.chart.jacobian(derivative) * point[:, None, :] / after[:, :, None]
        matrix = matrix - np.eye(p)
        if self.layer.scale_free:
            flat = np.eye(p) - 1 / p
            residual = residual @ flat
            matrix = flat @ matrix @ flat + 1 / p
        usable = possible & np.isfinite(matrix).all(axis=(1, 2))
        matrix = np.where(usable[:, None, None], matrix, np.eye(p))
        move = -np.einsum("sij,sj->si", np.linalg.pinv(matrix), residual)
        return np.where(usable[:, None], move, np.nan)

    def _only(self, logs: Array) -> Array:
        """Those that stay, each once."""
        logs = np.broadcast_to(logs, (logs.shape[0], len(self.chart)))
        stays = np.abs(self.drift(logs)).max(axis=-1, initial=0) < self._converged * _rounding_grows(self.chart.sizes)
        return self._different(logs[stays])

    def _different(self, logs: Array) -> Array:
        same = float(np.clip(10 * settling(self.chart.sizes), _SAME, 10 * _COARSEST))
        kept: list[Array] = []
        for row in logs:
            gaps = [row - other for other in kept]
            if all(np.abs(gap - gap.mean() * self.layer.scale_free).max() > same for gap in gaps):
                kept.append(row)
        return np.array(kept).reshape(-1, len(self.chart))

    def _possible(self, logs: Array) -> tuple[GroupGram, NDArray[np.bool_]]:
        """The Gram matrices, and which of the coordinates belong to one; the others are replaced by one that does."""
        gram = self.chart.unpack(np.exp(np.clip(logs, -300, 300)))
        norms = np.sqrt(np.maximum(gram.variances, 0))
        sums, gaps = norms[..., :, None] + norms[..., None, :], norms[..., :, None] - norms[..., None, :]
        slack = _SLACK * sums**2
        same = own(self.chart.sizes.size)
        fits = same | ((gram.distances <= sums**2 + slack) & (gram.distances >= gaps**2 - slack))
        extent = np.maximum(gram.spread[..., :, None], gram.spread[..., None, :])
        fits &= same | (gram.mean_distances > _RESOLVED * extent)
        lowest = np.linalg.eigvalsh(np.nan_to_num(gram.means))[..., 0]
        positive = (gram.variances > 0).all(axis=-1) & (lowest > -_SLACK * gram.variances.max(axis=-1))
        possible = positive & np.all(fits, axis=(-1, -2)) & np.all(np.isfinite(logs), axis=-1)
        plain = self._plain
        if not self.layer.scale_free:  # a Gram matrix on its way to 0 or infinity is nowhere near a fixed point
            largest = logs.max(axis=-1, initial=-np.inf)
            possible &= (largest > _VANISHED) & (largest < _GROWN)
        variances = np.where(possible[..., None], gram.variances, plain.variances)
        distances = np.where(possible[..., None, None], gram.distances, plain.distances)
        return GroupGram(gram.sizes, variances, distances), possible

    @cached_property
    def _plain(self) -> GroupGram:
        """Orthogonal means of norm 1."""
        apart = self.chart.first.size
        return self.chart.unpack(np.concatenate([np.ones(len(self.chart) - apart), np.full(apart, 2.0)]))


def settling(sizes: Array) -> float:
    """How exactly, relative to it, a fixed point of groups of these sizes can be found.

    Rounding over the drift, which close to exchangeability is as small as 1/n of the distance to the fixed point.
    """
    return max(1e-10, 10 * np.finfo(np.float64).eps * _rounding_grows(sizes) * float(sizes.sum()))


def _rounding_grows(sizes: Array) -> float:
    """Factor of rounding in the distance of two groups' means: close to exchangeability it is one part in k of λ."""
    return 1 + 2 * float(np.sort(sizes)[-2]) if sizes.size > 1 else 1.0
