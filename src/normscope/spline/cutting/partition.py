"""The partition of a slice of input space into the regions on which a model is affine."""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normscope.spline.cutting.columns import Columns, columns_of
from normscope.spline.cutting.complex import Complex, Floats
from normscope.spline.cutting.plane import Extent, Plane
from normscope.spline.cutting.polygons import Polygons
from normscope.spline.cutting.ragged import Integers
from normscope.spline.cutting.whole import shortly, whole_number
from normscope.spline.reading.program import Fold, Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normscope.spline.classes.decision import DecisionBoundary
    from normscope.spline.cutting.patterns import Patterns
    from normscope.spline.cutting.verification import Verification

_PIECE = 2**22  # bytes of a layer for the points that the model is given at a time


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """The exact pieces of a window of a plane in input space, on each of which the model is affine.

    Regions are convex. A vertex may lie inside a straight side of a region: where an edge of a neighbour ends.
    Coordinates are those of the plane, x = origin + s·u + t·v.

    Attributes:
        program: the model, fold by fold.
        plane: the slice.
        extent: the window (xmin, xmax, ymin, ymax).
        tolerances: for each fold that is done, up to which size |z − kink| of its units counted as zero, (units,).
        note: why it is not complete; empty if it is.
        doubtful: lines of units left out of a region because rounding left their signs without sense; 0 as a rule.
    """

    program: Program
    plane: Plane
    extent: Extent
    tolerances: tuple[Floats, ...]
    note: str = ""
    doubtful: int = 0
    _complex: Complex = field(kw_only=True)

    @property
    def folds_done(self) -> int:
        """Folds by which the window is cut: all of them if ``complete``."""
        return len(self.tolerances)

    @property
    def complete(self) -> bool:
        """Whether every fold of the model is cut: False when a limit or an interruption stopped it."""
        return self.folds_done == len(self.program.folds)

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The non-linearities, in order of computation."""
        return self.program.folds

    @property
    def vertices(self) -> Floats:
        """Coordinates of the vertices in the plane, (V, 2) float64."""
        return self._complex.xy

    @cached_property
    def edges(self) -> pd.DataFrame:
        """One row an edge.

        Columns: ``start``, ``end`` (vertices); ``left``, ``right`` (regions, −1 outside the window); ``fold`` (index,
        −1 for the border of the window) and its ``layer``; ``unit``: entry of the fold's argument, for max pooling
        entry of its output, −1 on the border; ``kink``: value of the argument there, nan for max pooling. Where units
        of one fold share a line, the edge has the first.
        """
        whole, sides = self._complex, self._complex.sides()
        unit, kink = np.full(len(whole.fold), -1), np.full(len(whole.fold), np.nan)
        for index in np.unique(whole.fold[whole.fold >= 0]):
            here = whole.fold == index
            columns = self._columns[index]
            unit[here] = columns.unit[whole.column[here]]
            if columns.second is None:
                kink[here] = columns.offset[whole.column[here]]
        return pd.DataFrame({
            "start": whole.ends[:, 0], "end": whole.ends[:, 1], "left": sides[:, 0], "right": sides[:, 1],
            "fold": whole.fold, "layer": self._layers(whole.fold), "unit": unit, "kink": kink,
        })  # fmt: skip

    @cached_property
    def regions(self) -> pd.DataFrame:
        """One row a region.

        Columns: ``area``; ``x``, ``y``: centroid; ``born``: the last fold that cut it (−1: none) and its ``layer``;
        ``active``: number of active units, whose argument is above the kink (between the kinks of a fold that has two;
        units of max pooling do not count); ``vertices``: how many are on its border.
        """
        area, centre = self._moments
        whole = self._complex
        return pd.DataFrame({
            "area": area, "x": centre[:, 0], "y": centre[:, 1], "born": whole.born, "layer": self._layers(whole.born),
            "active": whole.active, "vertices": np.diff(whole.starts),
        })  # fmt: skip

    def active_through(self) -> Integers:
        """Number of active units of folds 0 … k on each region, for every fold k that is done, (folds_done, R).

        The last row is ``regions["active"]``. The model is evaluated at the centroids at each call.
        """
        with torch.no_grad():
            return self._patterns().active(self.centroids).cumsum(axis=0)

    @property
    def area(self) -> Floats:
        """Areas of the regions in coordinates of the plane, (R,) float64."""
        return self._moments[0]

    @property
    def centroids(self) -> Floats:
        """A point inside each region, (R, 2)."""
        return self._moments[1]

    @cached_property
    def polygons(self) -> Polygons:
        """The vertices of each region, (k, 2), counter-clockwise; each made when asked for."""
        return Polygons(self.vertices, *self.cycles)

    @property
    def cycles(self) -> tuple[Integers, Integers]:
        """The vertices of all regions end to end, counter-clockwise; where each region starts among them, (R + 1,)."""
        return self._tails, self._complex.starts

    def __len__(self) -> int:
        return self._complex.faces

    def neighbours(self, region: int) -> Integers:
        """The regions that share an edge with one, ascending."""
        region = self._index(region)
        starts = self._complex.starts
        directed = self._complex.cycles[starts[region] : starts[region + 1]]
        others = self._sides.ravel()[directed ^ 1]
        return np.unique(others[others >= 0])

    def affine(self, region: int) -> tuple[Floats, Floats]:
        """The model on a region, as a function of the plane's coordinates (s, t): matrix @ (s, t) + offset.

        Returns:
            matrix (outputs, 2) and offset (outputs,); outputs are flattened.
        """
        at, value, jacobian = self._linearized(region)
        matrix = np.stack([jacobian @ direction.reshape(-1).numpy() for direction in (self.plane.u, self.plane.v)], 1)
        return matrix, value - matrix @ at

    def affine_in_input(self, region: int) -> tuple[Floats, Floats]:
        """The model on a region, as a function of the whole input x: matrix @ x + offset, x flattened.

        Returns:
            matrix (outputs, inputs) and offset (outputs,).
        """
        at, value, jacobian = self._linearized(region)
        return jacobian, value - jacobian @ self.plane.points(at[None]).reshape(-1).numpy()

    def locate(self, points: Any) -> Integers:
        """The region that each point of the plane lies in, −1 outside the window; on an edge, one of the two.

        Args:
            points: coordinates, (m, 2).
        """
        from normscope.spline.cutting.location import locate  # scipy's tree is needed by nothing else here

        return locate(self._complex, self.centroids, self._sides, points)

    def decision_boundary(self) -> DecisionBoundary:
        """Where the model's largest output changes; see `normscope.spline.decision_boundary`."""
        from normscope.spline.classes.decision import decision_boundary

        return decision_boundary(self)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw it with matplotlib; see `normscope.spline.pictures.figures.plot` for the options."""
        from normscope.spline.pictures.figures import plot

        return plot(self, ax, **options)

    def plot_layers(self, axes: NDArray[Any] | None = None, **options: Any) -> NDArray[Any]:
        """Draw a panel for every layer; see `normscope.spline.pictures.figures.plot_layers` for the options."""
        from normscope.spline.pictures.figures import plot_layers

        return plot_layers(self, axes, **options)

    def animate(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a GIF that adds layer after layer; see `normscope.spline.pictures.animation.animate` for the options.

        It takes several partitions too, to be shown side by side.
        """
        from normscope.spline.pictures.animation import animate

        animate(self, path, **options)

    def verify(self, regions: int | None = None, *, seed: int = 0) -> Verification:
        """Check the partition by means that it was not made with; see `Verification`.

        Args:
            regions: how many to check, drawn at random; None is all.
            seed: of the draw.

        Raises:
            ValueError: ``regions`` is no whole number of at least 1.
        """
        from normscope.spline.cutting.verification import verify

        some = None if regions is None else whole_number("regions", regions, 1)
        return verify(self, self._complex, self._sides, self._patterns(), some, seed)

    def __repr__(self) -> str:
        state = "" if self.complete else f"; not complete: {self.note}"
        return (
            f"Partition({len(self)} regions, {len(self._complex.ends)} edges, "
            f"{self.folds_done} of {len(self.folds)} folds{state})"
        )

    @cached_property
    def outputs(self) -> Floats:
        """What the model puts out at the vertices, flattened, (V, outputs)."""
        widest = max([self.plane.origin.numel(), *(fold.units for fold in self.folds)])
        pieces = torch.from_numpy(self.vertices).split(max(1, _PIECE // (8 * widest)))
        with torch.no_grad():
            found = [self.program.outputs(self.plane.points(piece)).reshape(len(piece), -1) for piece in pieces]
        outputs: Floats = torch.cat(found).numpy()
        return outputs

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        return self._complex.moments()

    @cached_property
    def _tails(self) -> Integers:
        return self._complex.tails()

    @cached_property
    def _sides(self) -> Integers:
        return self._complex.sides()

    @cached_property
    def _columns(self) -> list[Columns]:
        return [columns_of(fold) for fold in self.folds]

    def _patterns(self) -> Patterns:
        from normscope.spline.cutting.patterns import Patterns

        return Patterns(self.program, self.plane, self._columns[: self.folds_done], self.tolerances)

    def _layers(self, fold: Integers) -> pd.Series:
        names = [known.layer for known in self.folds]
        known = list(dict.fromkeys(names))
        code = np.array([*(known.index(name) for name in names), -1])[fold]
        return pd.Series(pd.Categorical.from_codes(code, categories=pd.Index(known, dtype=object)))

    def _linearized(self, region: int) -> tuple[Floats, Floats, Floats]:
        region = self._index(region)
        at = self.centroids[region]
        point = self.plane.points(at[None])[0]
        jacobian = torch.autograd.functional.jacobian(lambda x: self.program.outputs(x[None])[0].reshape(-1), point)
        assert isinstance(jacobian, Tensor)
        with torch.no_grad():
            value = self.program.outputs(point[None]).reshape(-1).numpy()
        return at, value, jacobian.reshape(len(value), -1).numpy()

    def _index(self, region: int) -> int:
        try:
            found = operator.index(region)
        except TypeError:
            found = -1
        if not 0 <= found < len(self):
            raise IndexError(f"there is no region {shortly(region)}: this partition has regions 0 to {len(self) - 1}")
        return found
