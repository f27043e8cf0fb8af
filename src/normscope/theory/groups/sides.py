"""Where the two sides of a saddle lead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normscope.theory.groups.chart import Chart
from normscope.theory.groups.elementwise import merged
from normscope.theory.groups.fixed_point import FixedPoint, kind_of
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import Array, GroupGram
from normscope.theory.groups.linearization import Linearized
from normscope.theory.groups.roots import Search

_PUSH = 1e-2  # relative
_LAYERS, _CHECKED = 1500, 50
_CLOSE = 0.3  # in logarithms: the root that Newton's method finds from here is the one approached


def sides(layer: GroupMap, point: FixedPoint, chart: Chart, neighbours: tuple[Array, Array] | None) -> FixedPoint:
    """The saddle, with the kinds of fixed point that the two sides of its unstable direction lead to.

    On a line these are its ``neighbours``; else the map is followed from both sides. Where a side leads to no fixed
    point within reach, or the direction is not one of shared changes, nothing is said.
    """
    if neighbours is not None and all(len(side) for side in neighbours) and _leaves_within(layer, point.groups, chart):
        ends = [layer(chart.unpack(np.exp(side[0]))) for side in neighbours]
        return replace(point, between=(name_of(ends[0]), name_of(ends[1])))
    gram, refined = point.groups, chart
    if not _leaves_within(layer, gram, chart):
        split = _split(gram, chart)
        if split is None:
            return point
        gram, refined = split
        if not np.all(refined.pack(gram) > 0) or not _leaves_within(layer, gram, refined):
            return point
    values, vectors = np.linalg.eig(_relative_jacobian(layer, gram, refined))
    direction = np.real(vectors[:, np.argmax(np.abs(values))])
    direction = direction / np.abs(direction).max()
    names = _destinations(layer, refined, np.log(refined.pack(gram)) + _PUSH * np.outer((-1, 1), direction))
    return point if names is None else replace(point, between=(names[0], names[1]))


def name_of(gram: GroupGram) -> str:
    """Kind and sizes, with groups joined whose points are exchangeable."""
    joined = _joined(gram)
    return f"{kind_of(joined)} {tuple(round(float(k)) for k in joined.sizes)}"


def _relative_jacobian(layer: GroupMap, gram: GroupGram, chart: Chart) -> Array:
    """In logarithms of the coordinates, and without the change of scale."""
    derivative = Linearized(layer, gram)
    jacobian = chart.jacobian(derivative) * chart.pack(gram) / chart.pack(derivative.after)[:, None]
    if layer.scale_free:
        jacobian = jacobian - jacobian.mean(axis=0)
    return jacobian


def _leaves_within(layer: GroupMap, gram: GroupGram, chart: Chart) -> bool:
    """Whether a change that the chart holds is unstable."""
    return bool(np.abs(np.linalg.eigvals(_relative_jacobian(layer, gram, chart))).max(initial=0) > 1 + 1e-9)


def _split(gram: GroupGram, chart: Chart) -> tuple[GroupGram, Chart] | None:
    """The same Gram matrix with one loose group of two taken apart: its two points may compete."""
    pairs = [g for g in chart.loose if gram.sizes[g] == 2]
    if not pairs:
        return None
    group = pairs[0]
    order = np.sort(np.append(np.arange(gram.sizes.size), group))
    sizes = gram.sizes[order]
    sizes[[group, group + 1]] = 1
    distances = gram.distances[np.ix_(order, order)].copy()
    distances[[group, group + 1], [group, group + 1]] = 0
    tight = [i for i, g in enumerate(order) if sizes[i] > 1 and g not in chart.loose]
    finer = Chart(sizes, recenter=chart.recenter, tight=tight)
    return GroupGram(sizes, gram.variances[order], distances), finer


def _destinations(layer: GroupMap, chart: Chart, logs: Array) -> list[str] | None:
    """The fixed points that iteration from these (s, p) approaches; None where one of them approaches none."""
    search, names = Search(layer, chart), [""] * len(logs)
    going = np.arange(len(logs))
    for _ in range(_LAYERS // _CHECKED):
        for _ in range(_CHECKED):
            logs = search.step(logs)
            if not np.all(np.isfinite(logs)):
                return None
            if layer.scale_free:
                logs = logs - logs.mean(axis=-1, keepdims=True)
        change = search.drift(logs)
        if not np.all(np.isfinite(change)):
            return None
        # within this distance of what attracts, a layer moves no further than to its other side
        slow = np.abs(change).max(axis=-1) < 2 * _CLOSE
        roots = search.polished(logs[slow])
        attracting = [root for root in roots if not _leaves_within(layer, layer(chart.unpack(np.exp(root))), chart)]
        for i, at in zip(going, logs, strict=True):
            near = [root for root in attracting if _distance(layer, root, at) < _CLOSE]
            if near:
                names[i] = name_of(layer(chart.unpack(np.exp(near[0]))))
        left = np.array([not names[i] for i in going])
        if not left.any():
            return names
        going, logs = going[left], logs[left]
    return None


def _distance(layer: GroupMap, one: Array, other: Array) -> float:
    gap = one - other
    return float(np.abs(gap - gap.mean() * layer.scale_free).max())


def _joined(gram: GroupGram) -> GroupGram:
    """With exchangeable groups joined."""
    m = gram.sizes.size
    for g in range(m):
        for h in range(g + 1, m):
            pair = GroupGram(gram.sizes[[g, h]], gram.variances[[g, h]], gram.distances[np.ix_([g, h], [g, h])])
            others = [a for a in range(m) if a not in (g, h)]
            alike = np.allclose(gram.distances[g, others], gram.distances[h, others], rtol=1e-6)
            if alike and merged(pair, tolerance=1e-6):
                sizes, distances = gram.sizes.copy(), gram.distances.copy()
                sizes[g] += sizes[h]
                distances[g, g] = distances[g, h]
                kept = [a for a in range(m) if a != h]
                rest = GroupGram(sizes[kept], gram.variances[kept], distances[np.ix_(kept, kept)])
                return _joined(rest)
    order = np.argsort(gram.sizes, kind="stable")
    return GroupGram(gram.sizes[order], gram.variances[order], gram.distances[np.ix_(order, order)])
