"""The exact pieces of a piecewise affine model: the partition of a slice of its input space, distances to its folds."""

from __future__ import annotations

from normscope.spline.classes.decision import DecisionBoundary, decision_boundary
from normscope.spline.classes.labels import Labelled, labelled
from normscope.spline.cutting.building import partition
from normscope.spline.cutting.partition import Partition
from normscope.spline.cutting.plane import Plane, plane_through
from normscope.spline.distances.ball import TooManyRegions
from normscope.spline.distances.complexity import disc_complexity, local_complexity
from normscope.spline.distances.counts import LocalComplexity
from normscope.spline.distances.distance import BoundaryDistance, boundary_distance
from normscope.spline.distances.least_squares import least_squares_offsets
from normscope.spline.distances.margins import MarginBounds, margin_bounds
from normscope.spline.reading.program import Fold, Program, State, read
from normscope.spline.reading.refusal import NotPiecewiseAffineError

__all__ = [
    "BoundaryDistance",
    "DecisionBoundary",
    "Fold",
    "Labelled",
    "LocalComplexity",
    "MarginBounds",
    "NotPiecewiseAffineError",
    "Partition",
    "Plane",
    "Program",
    "State",
    "TooManyRegions",
    "boundary_distance",
    "decision_boundary",
    "disc_complexity",
    "labelled",
    "least_squares_offsets",
    "local_complexity",
    "margin_bounds",
    "partition",
    "plane_through",
    "read",
]
