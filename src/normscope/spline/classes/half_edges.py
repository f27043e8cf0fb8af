"""The regions of a partition as lists of directed edges, each with the region on its left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers, ranges, starts_of

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition


@dataclass(frozen=True, eq=False)
class HalfEdges:
    """Directed edges sorted by region, H of R regions.

    Attributes:
        starts: where those of each region start, (R + 1,).
        ends: the vertices that each goes from and to, (H, 2).
        forward: whether it goes the way of the partition's edge, (H,): the same point of an edge is computed the same
            way from both its sides.
        regions: the numbers of the regions, (R,).
    """

    starts: Integers
    ends: Integers
    forward: Integers
    regions: Integers

    @property
    def counts(self) -> Integers:
        """Directed edges of each region, (R,)."""
        return np.diff(self.starts)

    def chosen(self, which: Integers) -> HalfEdges:
        """Those of some regions, by their places."""
        counts = self.counts[which]
        at = ranges(self.starts[which], counts)
        return HalfEdges(starts_of(counts), self.ends[at], self.forward[at], self.regions[which])


def half_edges(partition: Partition) -> HalfEdges:
    """Of all regions."""
    table = partition.edges
    ends = table[["start", "end"]].to_numpy(dtype=np.int64)
    sides = table[["left", "right"]].to_numpy(dtype=np.int64)
    region = np.concatenate([sides[:, 0], sides[:, 1]])
    directed = np.concatenate([ends, ends[:, ::-1]])
    forward = np.repeat([1, 0], len(ends))
    order = np.argsort(region, kind="stable")
    order = order[region[order] >= 0]
    count = len(partition.area)
    starts = starts_of(np.bincount(region[order], minlength=count))
    return HalfEdges(starts, directed[order], forward[order], np.arange(count))


def largest(values: Floats, edges: HalfEdges) -> Floats:
    """Of each region and column, over the region's vertices: (V, columns) to (R, columns)."""
    found: Floats = np.maximum.reduceat(values[edges.ends[:, 0]], edges.starts[:-1], axis=0)
    return found
