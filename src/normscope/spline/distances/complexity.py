"""Local complexity: how many units of each layer fold within a distance of a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope.spline.cutting.whole import whole_number
from normscope.spline.distances.ball import TooManyRegions, crossing_units
from normscope.spline.distances.checks import checked_radius, require_partition
from normscope.spline.distances.counts import LocalComplexity
from normscope.spline.distances.distance import boundary_distance
from normscope.spline.distances.gaps import unit_count
from normscope.spline.distances.jacobians import Mode
from normscope.spline.distances.plane_points import segment_distances
from normscope.spline.distances.points import as_program, chosen_folds
from normscope.spline.given import plane_points
from normscope.spline.reading.program import Program

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_BYTES = 2**26


def local_complexity(
    model: nn.Module | Program,
    inputs: Any,
    radius: float,
    *,
    method: Literal["first_order", "exact"] = "first_order",
    batch: Tensor | None = None,
    layers: str | Sequence[str] | None = None,
    units: int | None = None,
    seed: int = 0,
    mode: Mode = "auto",
    budget: int = 10_000,
) -> LocalComplexity:
    """Number of units of each layer whose boundary crosses the open ball ‖y − x‖ < radius around each point.

    "first_order" takes the distances of `boundary_distance`: fast, exact where no earlier layer folds within the ball
    (``.exact`` says where), and a linear continuation elsewhere. "exact" enumerates all regions that meet the ball; a
    unit crosses if it takes both its sides there (a window of a max pooling: if its largest entry changes). That is
    for small nets and balls: the regions grow like (crossing units)^(input dimension). Slivers thinner than 2·10⁻⁹
    radii (or than rounding, in balls smaller than 10⁻⁶ of the point's size) are not seen.

    Args:
        model: any model that `normscope.spline.partition` takes, or a program that was read from it.
        inputs: the points, (n, *input_shape).
        radius: Euclidean, in the units of the input.
        method: see above.
        batch: batch normalization uses the statistics of this batch instead of the running ones.
        layers: names or glob patterns of the layers to count; all if not given.
        units: look at so many units of a layer; "first_order" alone.
        seed: of the drawn units.
        mode: how derivatives are taken, see `boundary_distance`; "first_order" alone.
        budget: regions that may meet a ball; "exact" alone.

    Returns:
        The counts. For several radii call `boundary_distance` once and its `crossing` for each.

    Raises:
        ValueError: a radius that is not positive and finite, inputs of a wrong shape, an unknown layer or method,
            units with "exact", ``units`` or ``budget`` below 1.
        TypeError: inputs that are no numbers, another number that is none.
        TooManyRegions: a ball meets more regions than ``budget``; the message says which point.

    Source: Balestriero, Baraniuk (arXiv 2209.14778), boundaries in ε-balls around data.
    """
    radius = checked_radius(radius)
    if method == "first_order":
        found = boundary_distance(model, inputs, batch=batch, layers=layers, units=units, seed=seed, mode=mode)
        return found.crossing(radius)
    if method != "exact":
        raise ValueError(f"method is 'first_order' or 'exact', got {method!r}")
    if units is not None:
        raise ValueError("method 'exact' enumerates regions and needs every unit: leave units out")
    budget = whole_number("budget", budget, 1)
    program, points = as_program(model, inputs, batch)
    folds = chosen_folds(program, layers)
    counts = np.zeros((len(points), len(folds)), dtype=np.int64)
    for row, center in enumerate(points.flatten(1).numpy()):
        try:
            crossing = crossing_units(program, center, radius, folds, budget)
        except TooManyRegions:
            raise TooManyRegions(
                f"more than {budget} regions within {radius:g} of point {row}: "
                "take a smaller radius, a larger budget, or method='first_order'"
            ) from None
        counts[row] = [len(crossing[index]) for index in folds]
    return _exact(program, folds, counts, "exact", radius)


def disc_complexity(partition: Partition, centers: Any, radius: float) -> LocalComplexity:
    """Number of units of each layer with an edge in the open disc of ``radius`` around points of a 2-D slice. Exact.

    Args:
        partition: the pieces of the slice.
        centers: (m, 2), in plane coordinates, as is the radius.
        radius: of the discs.

    Returns:
        The counts, of all folds. Of units that share an edge the partition names one; the others are not counted.

    Raises:
        ValueError: a radius that is not positive and finite, centers of a wrong shape, a disc that leaves the window,
            or a partition that was stopped before its last fold.
        TypeError: no partition, or no numbers.
    """
    radius = checked_radius(radius)
    require_partition(partition)
    if not partition.complete:
        raise ValueError("this partition was stopped before its last fold: edges are missing to count")
    points = plane_points(centers)
    _check_inside(points, radius, partition.extent)
    edges = partition.edges
    edges = edges[edges["fold"] >= 0].sort_values(["fold", "unit"])
    owners = edges[["fold", "unit"]].to_numpy()
    ends = partition.vertices[edges[["start", "end"]].to_numpy()]
    first = np.flatnonzero(np.r_[True, (owners[1:] != owners[:-1]).any(1)][: len(owners)])
    counts = np.zeros((len(points), len(partition.folds)), dtype=np.int64)
    size = max(1, _BYTES // (8 * 8 * max(1, len(ends))))
    for start in range(0, len(points) if len(ends) else 0, size):
        near = segment_distances(points[start : start + size], ends) < radius
        crossing = np.logical_or.reduceat(near, first, axis=1)
        for index in range(len(partition.folds)):
            counts[start : start + size, index] = crossing[:, owners[first, 0] == index].sum(1)
    return _exact(partition.program, list(range(len(partition.folds))), counts, "slice", radius)


def _check_inside(points: NDArray[np.float64], radius: float, extent: tuple[float, float, float, float]) -> None:
    low, high = np.array(extent[::2]), np.array(extent[1::2])
    outside = ((points - radius < low) | (points + radius > high)).any(1)
    if outside.any():
        raise ValueError(
            f"the disc of radius {radius:g} around center {int(outside.argmax())} leaves the window {tuple(extent)}: "
            "take a larger extent or a smaller radius"
        )


def _exact(
    program: Program, folds: list[int], counts: NDArray[np.int64], method: Literal["exact", "slice"], radius: float
) -> LocalComplexity:
    units = np.array([unit_count(program.folds[index]) for index in folds], dtype=np.int64)
    return LocalComplexity(
        method=method,
        radius=radius,
        folds=tuple(program.folds[index] for index in folds),
        counts=counts,
        at_least=counts,
        exact=np.ones(counts.shape, dtype=np.bool_),
        looked_at=units,
        units=units,
    )
