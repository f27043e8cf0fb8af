"""The fixed points of a layer on n points: symmetric, one odd point, two groups, or groups of given sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from normscope.theory.activations.piecewise_linear import PiecewiseLinear
from normscope.theory.groups import elementwise
from normscope.theory.groups.chart import Chart
from normscope.theory.groups.fixed_point import Attraction, FixedPoint, listing_order
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import Array, GroupGram, checked_sizes, whole_number
from normscope.theory.groups.roots import Search, settling
from normscope.theory.groups.sides import sides
from normscope.theory.groups.spectrum import spectrum

_ALL_PAIRS, _ALL_PAIRS_TILTED = 16, 8  # batch sizes up to which all two-group partitions are searched
_MANY_GROUPS = 4
_COINCIDENT = 1e-11
_MERGED, _MOST = 1e-7, 1e-3  # groups whose numbers differ by less are one
_VANISHED = 1e-6


def fixed_points(layer: GroupMap, n: int, sizes: Sequence[int] | None = None) -> list[FixedPoint]:
    """The Gram matrices of n points that the layer leaves as they are (up to scale, where it is scale-free).

    Searched are Gram matrices of one group of exchangeable points, and of two: (1, n − 1) and (k, n − k), all k for
    small n, some of them for large; with ``sizes``, of groups of these sizes instead. Each group is also searched as a
    tight one, all its cosines exactly 1. One unknown ratio is bracketed over 70 decades; more are solved for by
    Newton's method from many starts, which finds what it finds: with two large groups (each from some 10⁴ points on)
    what is close to the symmetric one is beyond rounding. Cycles of several layers are not looked for. Where fixed
    points come as a continuum, one stands for it and says so (``family``).

    Args:
        layer: the map.
        n: number of points, at least 2.
        sizes: of the groups; they add up to n.

    Returns:
        The fixed points, those that attract first, then by group sizes. Where the scale is not free, a mean squared
        norm below 1e-6 counts as going to 0 and is not listed.

    Raises:
        ValueError: n < 2, or the sizes do not add up to n.
        TypeError: n or a size is not a whole number.

    Source: symmetric ones are those of Yang et al. (2019), the tight cluster and the odd point those of Nachum et al.
    (2024); the search, the others and all spectra are normscope's own, see docs/theory.md.
    """
    n, sizes = whole_number("n", n), None if sizes is None else tuple(whole_number("a size", k) for k in sizes)
    if n < 2:
        raise ValueError(f"a fixed point of a batch needs at least 2 points, got n = {n}")
    if sizes is not None and (sum(sizes) != n or min(sizes) < 1):
        raise ValueError(f"sizes are at least 1 and add up to n = {n}, got {sizes}")
    partitions = [sizes] if sizes is not None else list(_partitions(layer, n))
    if _is_linear(layer) and layer.scale_free:
        found = _linear(layer, n)
    else:
        found = [point for part in partitions for point in _on_groups(layer, checked_sizes(part))]
    return sorted(found, key=listing_order)


def _partitions(layer: GroupMap, n: int) -> Iterator[tuple[int, ...]]:
    yield (n,)
    if n == 2 and layer.recenter:
        return  # two centred points are exchangeable
    if n <= (_ALL_PAIRS_TILTED if layer.tilts else _ALL_PAIRS):
        smaller = set(range(1, n // 2 + 1))
    elif layer.tilts:
        smaller = {1, 2, 3, n // 4, n // 2} if layer.recenter else {1, 2}
    else:
        smaller = {1, 2, 3, 4, 8, n // 8, n // 4, n // 2}
    yield from ((k, n - k) for k in sorted(smaller))


def _on_groups(layer: GroupMap, sizes: Array) -> Iterator[FixedPoint]:
    if not layer.recenter and not layer.tilts:
        yield from _elementwise(layer, sizes)
        return
    for tight in _faces(layer, sizes):
        chart = Chart(sizes, recenter=layer.recenter, tight=tight)
        search = Search(layer, chart)
        roots = search.roots()
        for i, root in enumerate(roots):
            gram = layer(chart.unpack(np.exp(root)))
            if not _distinct(layer, gram):
                continue
            neighbours = (roots[i - 1 : i], roots[i + 1 : i + 2]) if search.unknowns == 1 else None
            point = _fixed_point(layer, gram, family=_parallel_family(layer, tight))
            yield sides(layer, point, chart, neighbours) if point.saddle else point


def _faces(layer: GroupMap, sizes: Array) -> Iterator[tuple[int, ...]]:
    """The sets of groups that are tight; of those that differ by exchanging groups of one size, one."""
    loose = [g for g in range(sizes.size) if sizes[g] > 1]
    counts = range(len(loose) + 1) if sizes.size <= _MANY_GROUPS else (0, len(loose))
    seen = set()
    for count in counts:
        for tight in combinations(loose, count):
            shape = tuple(sorted((float(k), g in tight) for g, k in enumerate(sizes)))
            if shape not in seen and not (layer.recenter and sizes.size == 1 and tight):
                seen.add(shape)
                yield tight


def _distinct(layer: GroupMap, gram: GroupGram) -> bool:
    """Whether these are so many groups: not fewer, nor (without recentering) all points on one line again."""
    m = gram.sizes.size
    if elementwise.merged(gram, tolerance=float(np.clip(10 * settling(gram.sizes), _MERGED, _MOST))):
        return False
    if m == 2 and gram.sizes[0] == gram.sizes[1] and np.diff(gram.contrasts)[0] > 1e-9 * gram.trace:
        return False  # its mirror image is there
    if not layer.scale_free and gram.trace < _VANISHED * gram.sizes.sum():
        return False  # the Gram matrix goes to 0, ever slower
    on_a_line = m > 1 and not layer.recenter and layer.tilts and bool(np.all(gram.one_minus_cosines < _COINCIDENT))
    return not on_a_line


def _fixed_point(
    layer: GroupMap, gram: GroupGram, *, family: str = "", attraction: Attraction | None = None
) -> FixedPoint:
    if layer.scale_free:
        gram = gram.scaled(gram.sizes.sum() / gram.trace)
    after = layer(gram)
    growth = float(after.trace / gram.trace) if layer.scale_free else 1.0
    moved = after.scaled(1 / growth)
    largest = max(gram.variances.max(), gram.distances.max())
    residual = max(np.abs(moved.variances - gram.variances).max(), np.abs(moved.distances - gram.distances).max())
    point = FixedPoint(gram, spectrum(layer, gram), growth, float(residual / largest), layer.scale_free, family)
    if attraction is None:
        attraction = "exponential" if point.stable else "none" if point.unstable_directions else "neutral"
    return FixedPoint(gram, point.jacobian, growth, point.residual, layer.scale_free, family, attraction)


def _parallel_family(layer: GroupMap, tight: tuple[int, ...]) -> str:
    """Rescaling does not see norms along a line through 0."""
    if layer.recenter or not layer.tilts or not tight:
        return ""
    return "a continuum: the points of a tight group are parallel, with any norms of the same total square"


def _elementwise(layer: GroupMap, sizes: Array) -> Iterator[FixedPoint]:
    if layer.scale_free and layer.activation.degree == 1:
        if sizes.size == 1:  # J(c) > c below 1: only parallel points stay
            gram = GroupGram(sizes, np.ones(1), np.zeros((1, 1)))
            family = "a continuum: all points parallel, with any norms"
            yield _fixed_point(layer, gram, family=family, attraction="algebraic")
        return
    for gram in elementwise.grams(layer, sizes):
        if _distinct(layer, gram) or sizes.size == 1:
            yield _fixed_point(layer, gram)


def _is_linear(layer: GroupMap) -> bool:
    return isinstance(layer.activation, PiecewiseLinear) and layer.activation.even == 0


def _linear(layer: GroupMap, n: int) -> list[FixedPoint]:
    """φ(x) = a x: the eigenvectors of the Gram matrix stay, and without rescaling its eigenvalues too, up to scale."""
    sizes = checked_sizes([n])
    # all eigenvalues equal: orthogonal points, or a centred simplex
    flat = GroupGram(sizes, np.ones(1), np.full((1, 1), 2.0 / (1 - layer.recenter / n)))
    if not layer.tilts:
        which = "centred Gram matrices" if layer.recenter else "all Gram matrices"
        return [_fixed_point(layer, flat, family=f"a continuum: {which} stay as they are")]
    found = [_fixed_point(layer, flat)]
    if n == 2 and layer.recenter:
        return found
    of_rank = (
        f"a continuum: projections of one rank r < {n - layer.recenter}, "
        "growing r/(r − 2)-fold in the directions left out (infinitely for r ≤ 2)"
    )
    if layer.recenter:
        line = Chart(checked_sizes([1, n - 1]), recenter=True, tight=(1,)).unpack(np.ones(1))
    else:
        line = GroupGram(sizes, np.ones(1), np.zeros((1, 1)))
    return [*found, _fixed_point(layer, line, family=of_rank)]
