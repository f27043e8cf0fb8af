"""Whether a partition is what it says: checked by evaluating the model inside the regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from normscope.spline.cutting.complex import Complex, Floats
from normscope.spline.cutting.patterns import Patterns
from normscope.spline.cutting.ragged import Integers, ranges, starts_of

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_AREA = 1e-12
_AFFINE = 1e-9
_BLOCK = 2**25  # bytes of one layer of a block of regions


@dataclass(frozen=True)
class Verification:
    """What checking a partition gave.

    Attributes:
        regions: how many regions were checked against the model.
        edges: how many edges between two regions were.
        area_error: |sum of all areas − area of the window| / area of the window.
        smallest_area: of all regions; all are to be positive.
        euler: vertices − edges + regions, which is 1 for a window without holes or overlaps.
        affine_error: largest |f(Σ λᵢ vᵢ) − Σ λᵢ f(vᵢ)| for random weights λ on the vertices v of a region, over the
            largest |f| at the vertices. f is all of the model, or its arguments up to the first fold that is not cut.
        unfolded_edges: edges whose unit does not change between the points inside the two regions.
        unexplained: pairs of an edge and a unit that changes there without being zero along the edge.
        shared: pairs of an edge and a further unit that is zero along the edge and changes there.
        doubtful: lines that rounding left out (`Partition.doubtful`).
    """

    regions: int
    edges: int
    area_error: float
    smallest_area: float
    euler: int
    affine_error: float
    unfolded_edges: int
    unexplained: int
    shared: int
    doubtful: int

    @property
    def ok(self) -> bool:
        """Whether all of it is as it should be: areas to 1e-12, affine to 1e-9, no unexplained and no unfolded edge."""
        fits = self.area_error <= _AREA and self.smallest_area > 0 and self.euler == 1
        return fits and self.affine_error <= _AFFINE and self.unfolded_edges == self.unexplained == self.doubtful == 0

    def __str__(self) -> str:
        return "\n".join([
            f"partition {'verified' if self.ok else 'NOT AS IT SHOULD BE'}",
            f"areas: sum to the window to {self.area_error:.1e}; the smallest is {self.smallest_area:.1e}; "
            f"V − E + R = {self.euler}",
            f"affine: to {self.affine_error:.1e} of the largest value, at random points of {self.regions} regions",
            f"neighbours: across {self.edges} edges {self.unfolded_edges} do not change their unit, "
            f"{self.unexplained} other units change; {self.shared} more share an edge",
            f"lines left out for rounding: {self.doubtful}",
        ])  # fmt: skip


def verify(
    partition: Partition, complex_: Complex, sides: Integers, patterns: Patterns, regions: int | None, seed: int
) -> Verification:
    """Check a partition; see `Verification`.

    Args:
        partition: what to check.
        complex_: its complex.
        sides: left and right region of the edges.
        patterns: what the model does at points.
        regions: how many to check, drawn at random; None is all.
        seed: of the draw and of the weights λ.
    """
    xmin, xmax, ymin, ymax = partition.extent
    window = (xmax - xmin) * (ymax - ymin)
    generator = np.random.default_rng(seed)
    chosen = np.arange(len(partition))
    if regions is not None and regions < len(chosen):
        chosen = np.sort(generator.choice(chosen, size=regions, replace=False))
    affine, largest, counts = 0.0, 0.0, np.zeros(4, dtype=np.int64)
    checker = _checker(sides, chosen, len(partition))
    with torch.no_grad():
        for block in _blocks(chosen, patterns):
            error, scale = _affine_error(partition, complex_, block, patterns, generator)
            affine, largest = max(affine, error), max(largest, scale)
            edge = np.flatnonzero((checker >= block[0]) & (checker <= block[-1]))
            counts += _neighbours(complex_, sides, edge, partition.centroids, patterns)
    edges, unfolded, unexplained, shared = counts.tolist()
    return Verification(
        regions=len(chosen),
        edges=edges,
        area_error=float(abs(partition.area.sum() - window) / window),
        smallest_area=float(partition.area.min()),
        euler=len(complex_.xy) - len(complex_.ends) + complex_.faces,
        affine_error=affine / largest if largest else 0.0,
        unfolded_edges=unfolded,
        unexplained=unexplained,
        shared=shared,
        doubtful=partition.doubtful,
    )


def _blocks(chosen: Integers, patterns: Patterns) -> Iterator[Integers]:
    size = max(1, _BLOCK // (8 * patterns.widest))
    for low in range(0, len(chosen), size):
        yield chosen[low : low + size]


def _affine_error(
    partition: Partition, complex_: Complex, block: Integers, patterns: Patterns, generator: np.random.Generator
) -> tuple[float, float]:
    """The largest error at one random point in each region, and the largest value at the vertices."""
    vertices, starts = partition.cycles
    counts = np.diff(starts)[block]
    corner = ranges(starts[block], counts)
    weight = generator.exponential(size=len(corner))
    first = starts_of(counts)[:-1]
    weight /= np.repeat(np.add.reduceat(weight, first), counts)
    here, which = np.unique(vertices[corner], return_inverse=True)
    at_vertices = patterns.values(complex_.xy[here])
    inside = np.add.reduceat(weight[:, None] * complex_.xy[vertices[corner]], first)
    told = np.add.reduceat(weight[:, None] * at_vertices[which], first)
    return float(np.abs(patterns.values(inside) - told).max()), float(np.abs(at_vertices).max())


def _checker(sides: Integers, chosen: Integers, regions: int) -> Integers:
    """The chosen region with which each edge between two regions is checked, −1 for none."""
    is_chosen = np.zeros(regions + 1, dtype=np.bool_)  # the last is the outside, −1
    is_chosen[chosen] = True
    left, right = sides.T
    first = np.where(is_chosen[left], left, np.where(is_chosen[right], right, -1))
    return np.where((sides >= 0).all(axis=1), first, -1)


def _neighbours(
    complex_: Complex, sides: Integers, edge: Integers, centroids: Floats, patterns: Patterns
) -> NDArray[np.int64]:
    """Of some edges between two regions: their number, the unfolded ones; units: unexplained, shared."""
    region, which = np.unique(sides[edge], return_inverse=True)
    left, right = which.reshape(-1, 2).T
    counts = np.array([len(edge), len(edge), 0, 0])
    for fold, pattern in enumerate(patterns.at(centroids[region])):
        change, unit = np.nonzero(pattern[left] != pattern[right])
        mine = complex_.fold[edge] == fold
        owner = np.full(len(edge), -1)
        owner[mine] = patterns.columns[fold].unit[complex_.column[edge[mine]]]
        own = unit == owner[change]
        counts[1] -= len(np.unique(change[own]))
        other, unit = change[~own], unit[~own]
        before, after = pattern[left[other], unit], pattern[right[other], unit]
        at_zero = patterns.on_edge(complex_.xy, complex_.ends[edge[other]], fold, unit, before, after)
        counts[2] += (~at_zero).sum()
        counts[3] += at_zero.sum()
    return counts
