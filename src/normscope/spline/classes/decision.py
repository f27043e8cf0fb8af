"""The exact decision boundary of a classifier inside a 2-D slice, from its partition.

In a region all logits are affine, so the set where class i is the largest is convex, and the boundary between two
classes is a segment: between the two points where z_i − z_j changes sign on the region's border, less what other
classes cover. All of it follows from the logits at the vertices, which both regions at an edge share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.spline.classes.chords import segments_of
from normscope.spline.classes.class_areas import class_areas
from normscope.spline.classes.class_pairs import entries, tie_of
from normscope.spline.classes.half_edges import HalfEdges, half_edges
from normscope.spline.classes.logits import logits_at_vertices
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers
from normscope.spline.distances.checks import require_partition
from normscope.spline.distances.plane_points import segment_distances
from normscope.spline.given import plane_points

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_BYTES = 2**26
_NOTHING = 1e-12  # share of a region that is a touch, not a part


@dataclass(frozen=True, eq=False)
class DecisionBoundary:
    """Where the predicted class changes, in plane coordinates.

    Attributes:
        segments: (S, 2, 2): both ends of each piece, with class ``classes[:, 0]`` on the left of the way between.
        classes: (S, 2), the two classes, the lower one first.
        region: (S,), the region of the partition that the piece lies in.
        parts: a table, one row a region and class in it: region, class, area, sorted. A single logit z has the classes
            0 (z ≤ 0) and 1 (z > 0); of equal logits the first class is taken, as argmax does.
    """

    segments: Floats
    classes: Integers
    region: Integers
    parts: pd.DataFrame

    @property
    def length(self) -> float:
        """Of all pieces together."""
        return float(np.linalg.norm(self.segments[:, 1] - self.segments[:, 0], axis=1).sum())

    @cached_property
    def area(self) -> dict[int, float]:
        """Of each class that occurs, over the whole window."""
        return {int(str(cls)): float(area) for cls, area in self.parts.groupby("class")["area"].sum().items()}

    def distance(self, points: Any) -> Floats:
        """Euclidean distance in the plane of each point, (m, 2), to the boundary inside the window: (m,).

        Infinite without a boundary. In plane coordinates: distances of input space where u and v are orthonormal, as
        those of `plane_through` are. The boundary outside of the window is not known: for a point that is closer to
        the window's border this is an upper bound.

        Raises:
            ValueError: points of another shape, or not finite.
            TypeError: points that are no numbers.
        """
        at = plane_points(points)
        found = np.full(len(at), np.inf)
        size = max(1, _BYTES // (8 * 12 * max(1, len(self.segments))))
        for start in range(0, len(at) if len(self.segments) else 0, size):
            found[start : start + size] = segment_distances(at[start : start + size], self.segments).min(1)
        return found


def decision_boundary(partition: Partition) -> DecisionBoundary:
    """The exact decision boundary inside the slice, for any number of classes; of a single logit, its zero set.

    A boundary that runs along an edge of the partition is there once. Logits that differ by less than 10⁻¹² of the
    largest one are ties.

    Raises:
        ValueError: the partition was stopped before its last fold, or the model puts out no vector of logits.
        TypeError: it is no partition.
    """
    require_partition(partition)
    if not partition.complete:
        raise ValueError("this partition was stopped before its last fold: outputs are not yet affine on its regions")
    logits = _logits(partition)
    edges = half_edges(partition)
    winners = (logits >= logits.max(1, keepdims=True) - tie_of(logits)).argmax(1)[edges.ends[:, 0]]
    low, high = (extreme.reduceat(winners, edges.starts[:-1]) for extreme in (np.minimum, np.maximum))
    # the set of a class is convex: if it has all corners of a region it has the region
    pure = np.flatnonzero(low == high)
    ends, classes, region = [np.empty((0, 2, 2))], [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    tables = [pd.DataFrame({"region": pure, "class": low[pure], "area": partition.area[pure]})]
    for chunk in _chunks(edges.chosen(np.flatnonzero(low != high)), logits.shape[1]):
        found = entries(chunk, logits)
        pieces = segments_of(chunk, partition.vertices, logits, found)
        area = class_areas(chunk, partition.vertices, logits, found, pieces)
        ends.append(pieces.ends)
        classes.append(pieces.classes)
        region.append(chunk.regions[pieces.region])
        table = pd.DataFrame({"region": chunk.regions[found.region], "class": found.cls, "area": area})
        tables.append(table[area > _NOTHING * partition.area[table["region"]]])
    parts = pd.concat(tables).sort_values(["region", "class"], ignore_index=True)
    once = _once(np.concatenate(ends), np.concatenate(classes))
    return DecisionBoundary(
        np.concatenate(ends)[once], np.concatenate(classes)[once], np.concatenate(region)[once], parts
    )


def _logits(partition: Partition) -> Floats:
    """At all vertices, (V, classes)."""
    program = partition.program
    if len(program.output_shape) > 1:
        raise ValueError(f"the model puts out {program.output_shape} an input: a decision needs a vector of logits")
    return logits_at_vertices(partition)


def _chunks(edges: HalfEdges, classes: int) -> Iterator[HalfEdges]:
    """Regions, so many at a time that their logits fit."""
    size = max(1, _BYTES // (8 * 16 * classes))
    for start in range(0, len(edges.regions), size):
        yield edges.chosen(np.arange(start, min(start + size, len(edges.regions))))


def _once(ends: Floats, classes: Integers) -> NDArray[np.bool_]:
    """Without a line that is there from both its sides: one class touches it from either, the other is but the line."""
    backwards = (ends[:, 0] > ends[:, 1])[:, 0] | ((ends[:, 0, 0] == ends[:, 1, 0]) & (ends[:, 0, 1] > ends[:, 1, 1]))
    sorted_ends = np.where(backwards[:, None, None], ends[:, ::-1], ends)
    key = np.concatenate([sorted_ends.reshape(-1, 4), classes], axis=1)
    _, which, counts = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(counts[which.ravel()] == 1)
