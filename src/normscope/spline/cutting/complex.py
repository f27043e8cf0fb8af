"""The planar complex: vertices, edges with a face on either side, convex faces as cycles of directed edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.ragged import Integers, owners, ranges, starts_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Complex:
    """A window cut into convex faces.

    A directed edge is the number 2 · edge + direction; direction 1 runs from the edge's end to its start. The cycle of
    a face runs counter-clockwise, with the face on the left of its directed edges.

    Attributes:
        xy: positions of the vertices, (V, 2).
        ends: start and end of the edges, (E, 2).
        fold: index of the fold that made an edge, −1 for the border of the window, (E,).
        column: which column (unit and kink, see `columns`) of that fold, (E,).
        starts: where the cycle of each face starts in ``cycles``, (F + 1,).
        cycles: directed edges of all faces, (C,).
        born: the last fold that cut a face, −1 for none, (F,).
        active: number of active units, (F,).
    """

    xy: Floats
    ends: Integers
    fold: Integers
    column: Integers
    starts: Integers
    cycles: Integers
    born: Integers
    active: Integers

    @property
    def faces(self) -> int:
        """Number of faces."""
        return len(self.starts) - 1

    def tails(self) -> Integers:
        """The vertex at which each directed edge of ``cycles`` starts, (C,)."""
        return tails(self.ends, self.cycles)

    def sides(self) -> Integers:
        """The faces on the left and on the right of each edge, −1 outside the window, (E, 2)."""
        sides = np.full(2 * len(self.ends), -1, dtype=np.int64)
        sides[self.cycles] = owners(np.diff(self.starts))
        return sides.reshape(-1, 2)

    def moments(self) -> tuple[Floats, Floats]:
        """Areas (F,) and centroids (F, 2)."""
        return moments(self.xy, self.tails(), self.starts)


def rectangle(extent: tuple[float, float, float, float]) -> Complex:
    """The window (xmin, xmax, ymin, ymax) as one face."""
    left, right, bottom, top = extent
    corners = np.array([(left, bottom), (right, bottom), (right, top), (left, top)], dtype=np.float64)
    ends = np.array([(0, 1), (1, 2), (2, 3), (3, 0)], dtype=np.int64)
    border, one = np.full(4, -1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    return Complex(corners, ends, border, border, np.array([0, 4]), 2 * np.arange(4), one - 1, one)


def tails(ends: Integers, directed: Integers) -> Integers:
    """The vertices at which directed edges start."""
    return ends.ravel()[directed]


def moments(xy: Floats, vertices: Integers, starts: Integers) -> tuple[Floats, Floats]:
    """Areas and centroids of polygons, relative to a vertex of each so that small ones far from 0 keep their digits."""
    counts = np.diff(starts)
    first = xy[vertices[starts[:-1]]]
    here = xy[vertices] - np.repeat(first, counts, axis=0)
    there = here[following(starts)]
    cross = here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0]
    twice = np.add.reduceat(cross, starts[:-1])
    weighted = np.add.reduceat((here + there) * cross[:, None], starts[:-1], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = weighted / (3 * twice[:, None])
    flat = ~np.isfinite(centres).all(axis=1)
    centres[flat] = (np.add.reduceat(here, starts[:-1], axis=0) / counts[:, None])[flat]
    return twice / 2, centres + first


def following(starts: Integers) -> Integers:
    """Index of the next entry in the cycle that an entry belongs to."""
    after = np.arange(1, starts[-1] + 1)
    after[starts[1:] - 1] = starts[:-1]
    return after


def selected(starts: Integers, cycles: Integers, faces: Integers) -> tuple[Integers, Integers]:
    """The cycles of some faces: their starts and their directed edges."""
    counts = np.diff(starts)[faces]
    return starts_of(counts), cycles[ranges(starts[faces], counts)]
