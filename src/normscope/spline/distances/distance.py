"""Distances of points to the folds of a piecewise affine model: exact to the nearest, first-order to every unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope.loading import suggestion
from normscope.spline.cutting.whole import shortly, whole_number
from normscope.spline.distances.checks import checked_radius
from normscope.spline.distances.counts import LocalComplexity
from normscope.spline.distances.gaps import distances, unit_count
from normscope.spline.distances.jacobians import Mode, row_gradients
from normscope.spline.distances.points import as_program, chosen_folds, chosen_units
from normscope.spline.reading.called import fold_called
from normscope.spline.reading.folds import Fold
from normscope.spline.reading.program import Program

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryDistance:
    """How far n points are from the folds of a model. Folds are those looked at, F of them, in order of computation.

    Attributes:
        folds: what each is: layer, kind, shape.
        indices: their places among all folds of the model.
        units: which units of each were looked at, (U,).
        first_order: for each fold |z − kink| / ‖∇z‖ of every unit, (n, U): the distance to the unit's boundary as it
            is continued from the region of the point. Infinite where z is locally constant. See `proven`.
        nearest: (n, F), the smallest value up to and with each fold. Where ``exact``, this *is* the distance to the
            nearest boundary of folds ≤ l, whatever earlier folds do; elsewhere an upper bound of it.
        nearest_fold: (n, F), the position in ``folds`` that the nearest boundary belongs to; −1 where there is none.
        nearest_unit: (n, F), its unit; −1 where there is none.
        exact: (F,), whether every unit of every fold up to this one was looked at.
    """

    folds: tuple[Fold, ...]
    indices: tuple[int, ...]
    units: tuple[NDArray[np.int64], ...]
    first_order: tuple[Array, ...]
    nearest: Array
    nearest_fold: NDArray[np.int64]
    nearest_unit: NDArray[np.int64]
    exact: NDArray[np.bool_]

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each fold: of a layer that is called twice ``act`` and ``act:1``."""
        return tuple(fold.layer for fold in self.folds)

    def position(self, fold: int | str) -> int:
        """The place in ``folds`` of a fold by its name; a place is returned as it is.

        Raises:
            ValueError: no such layer; the message names a close one.
            IndexError: no such place.
            TypeError: neither a name nor a whole number.
        """
        if isinstance(fold, str):
            named = fold_called(self.folds, fold)
            if named is None:
                raise ValueError(f"no layer {shortly(fold)} among these folds{suggestion(fold, self.layers)}")
            return named
        place = whole_number("fold", fold)
        if not 0 <= place < len(self.folds):
            raise IndexError(f"there are folds 0 to {len(self.folds) - 1}, not {shortly(place)}")
        return place

    def earlier(self, fold: int | str) -> Array:
        """Radius of a ball around each point that no fold before this one crosses, (n,): zero where it is not known."""
        place = self.position(fold)
        if self.indices[place] == 0:
            return np.full(len(self.nearest), np.inf)
        known = place > 0 and self.indices[place - 1] == self.indices[place] - 1 and self.exact[place - 1]
        return self.nearest[:, place - 1] if known else np.zeros(len(self.nearest))

    def proven(self, fold: int | str) -> NDArray[np.bool_]:
        """Which first-order distances of a fold are exact distances to the unit's boundary, (n, U).

        Those within the ball that no earlier fold crosses: z is affine there. What is beyond may be wrong either way,
        but the unit's boundary is certainly no closer than that ball's radius.
        """
        place = self.position(fold)
        return np.asarray(self.first_order[place] <= self.earlier(place)[:, None])

    def crossing(self, radius: float) -> LocalComplexity:
        """Units of each fold whose boundary is closer than ``radius`` by first-order distances.

        Raises:
            ValueError: a radius that is not positive and finite.
        """
        radius = checked_radius(radius)
        n, f = self.nearest.shape
        counts, at_least = np.zeros((n, f), dtype=np.int64), np.zeros((n, f), dtype=np.int64)
        exact = np.zeros((n, f), dtype=np.bool_)
        for place in range(f):
            within = self.first_order[place] < radius
            counts[:, place] = within.sum(1)
            at_least[:, place] = (within & self.proven(place)).sum(1)
            exact[:, place] = self.earlier(place) >= radius
        return LocalComplexity(
            method="first_order",
            radius=radius,
            folds=self.folds,
            counts=counts,
            at_least=at_least,
            exact=exact,
            looked_at=np.array([len(units) for units in self.units], dtype=np.int64),
            units=np.array([unit_count(fold) for fold in self.folds], dtype=np.int64),
        )

    def table(self) -> pd.DataFrame:
        """One row a point and fold.

        Columns point, fold, layer, kind, nearest (up to and with this fold), exact, nearest_layer, nearest_unit, and
        of this fold alone: closest (the smallest first-order distance), proven (whether that one is exact), median.
        """
        n, f = self.nearest.shape
        own = np.stack([_smallest(values) for values in self.first_order], axis=1)
        sure = np.stack([own[:, place] <= self.earlier(place) for place in range(f)], axis=1)
        middle = np.stack([np.median(values, axis=1) for values in self.first_order], axis=1)
        names = np.array([*self.layers, ""], dtype=object)
        return pd.DataFrame(
            {
                "point": np.repeat(np.arange(n), f),
                "fold": np.tile(np.array(self.indices), n),
                "layer": np.tile(names[:-1], n),
                "kind": np.tile(np.array([fold.kind for fold in self.folds], dtype=object), n),
                "nearest": self.nearest.ravel(),
                "exact": np.tile(self.exact, n),
                "nearest_layer": names[self.nearest_fold.ravel()],
                "nearest_unit": self.nearest_unit.ravel(),
                "closest": own.ravel(),
                "proven": sure.ravel(),
                "median": middle.ravel(),
            }
        )


def boundary_distance(
    model: nn.Module | Program,
    inputs: Any,
    *,
    batch: Tensor | None = None,
    layers: str | Sequence[str] | None = None,
    units: int | None = None,
    seed: int = 0,
    mode: Mode = "auto",
) -> BoundaryDistance:
    r"""``d_k(x) = |z_k(x) − kink| / ‖∇_x z_k(x)‖, and min_k d_k(x) over all units of folds ≤ l``.

    In the region of x the model is affine, so each d_k is the distance to a hyperplane, and the region (of folds ≤ l)
    is what lies within all of them: the minimum is exactly the distance of x to the nearest boundary of folds ≤ l, in
    the full input space. A single d_k beyond the region is a first-order value, for a boundary that earlier folds
    bend. A max pooling folds where another entry of a window overtakes the largest: |z_i − z_j| / ‖∇(z_i − z_j)‖.

    All of it is float64 on a copy; the model stays as it is. A point on a boundary has distance zero, and derivatives
    from the side that torch takes (of ReLU at 0: zero). A unit of slope 1 (leaky ReLU) counts as a fold all the same.

    Args:
        model: any model that `normscope.spline.partition` takes, or a program that was read from it.
        inputs: the points, (n, *input_shape).
        batch: batch normalization uses the statistics of this batch instead of the running ones.
        layers: names or glob patterns of the layers to look at; all if not given. What then is not looked at makes
            ``nearest`` an upper bound, and says so.
        units: look at so many units of each layer that has more, drawn by ``seed``: for convolutional networks.
            ``nearest`` is then an upper bound, and says so.
        seed: of the drawn units.
        mode: "forward" pushes a tangent for each input dimension through the model, "reverse" pulls a cotangent back
            for each unit, "auto" takes the cheaper.

    Returns:
        The distances, in units of the input's Euclidean norm.

    Raises:
        ValueError: inputs of a wrong shape or not finite, an unknown layer (names a close one), a model that does not
            fold or cannot be read.
        TypeError: inputs that are no numbers.

    Source: Balestriero, Baraniuk (arXiv 2209.14778), distances to the boundaries that deeper layers fold.
    """
    program, points = as_program(model, inputs, batch)
    chosen = chosen_units(program, chosen_folds(program, layers), units, seed)
    found = row_gradients(program, points, chosen, mode)
    first_order = tuple(
        distances(program.folds[i], found[i].values, found[i].norms, chosen[i], found[i].top).numpy() for i in chosen
    )
    picked = tuple(chosen[i].numpy() for i in chosen)
    nearest, fold, unit = _running_nearest(first_order, picked)
    complete = [i in chosen and len(chosen[i]) == unit_count(fold) for i, fold in enumerate(program.folds)]
    return BoundaryDistance(
        folds=tuple(program.folds[i] for i in chosen),
        indices=tuple(chosen),
        units=picked,
        first_order=first_order,
        nearest=nearest,
        nearest_fold=fold,
        nearest_unit=unit,
        exact=np.array([all(complete[: i + 1]) for i in chosen], dtype=np.bool_),
    )


def _smallest(values: Array) -> Array:
    return np.asarray(values.min(1, initial=np.inf))


def _running_nearest(
    values: Sequence[Array], units: Sequence[NDArray[np.int64]]
) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """The smallest value up to each fold, and whose it is."""
    smallest = np.stack([_smallest(part) for part in values], axis=1)
    ids = [
        u[part.argmin(1)] if part.shape[1] else np.full(len(part), -1) for part, u in zip(values, units, strict=True)
    ]
    nearest = np.minimum.accumulate(smallest, axis=1)
    fresh = smallest < np.concatenate([np.full((len(nearest), 1), np.inf), nearest[:, :-1]], axis=1)
    place = np.maximum.accumulate(np.where(fresh, np.arange(len(values)), -1), axis=1)
    unit = np.take_along_axis(np.stack(ids, axis=1), np.maximum(place, 0), axis=1)
    return nearest, place, np.where(place >= 0, unit, -1)
