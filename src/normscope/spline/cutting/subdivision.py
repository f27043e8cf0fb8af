"""Edges divided where lines cross them: once an edge, so that the faces on its two sides share the new vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.columns import Columns
from normscope.spline.cutting.complex import Complex, Floats
from normscope.spline.cutting.crossings import Crossings
from normscope.spline.cutting.mixing import Mixed
from normscope.spline.cutting.ragged import Integers, owners, starts_of, steps
from normscope.spline.cutting.values import Values


@dataclass(frozen=True, eq=False)
class Ends:
    """Where chords enter and leave: on which edge, and how far along it; (n, 2) each, entry first.

    Attributes:
        edge: of the corner at or before the end.
        share: of the way from the edge's start to its end; 0 or 1 in a vertex.
        drop: by how much the column changes along the edge; 0 in a vertex.
    """

    edge: Integers
    share: Floats
    drop: Floats

    def taken(self, which: NDArray[np.bool_]) -> Ends:
        """Those of some of the chords."""
        return Ends(self.edge[which], self.share[which], self.drop[which])

    def blur(self, complex_: Complex, tolerance: Floats) -> Floats:
        """How far off the line of each chord may be, given how far off its column may be: tolerance / gradient, (n,).

        The gradient is orthogonal to the chord: what the column changes by on the edges at its ends, over their widths
        across the chord. 0 where both ends are vertices.
        """
        start, along = _sections(complex_, self.edge)
        at = start + self.share[..., None] * along
        chord = at[:, 1] - at[:, 0]
        length = np.hypot(chord[:, 0], chord[:, 1])[:, None]
        across = np.abs(along[..., 0] * chord[:, None, 1] - along[..., 1] * chord[:, None, 0])
        width = np.divide(across, length, out=np.zeros_like(across), where=(length > 0) & (self.drop > 0)).sum(axis=1)
        drop = self.drop.sum(axis=1)
        blur: Floats = np.divide(tolerance * width, drop, out=np.zeros_like(drop), where=drop > 0)
        return blur


def chord_ends(complex_: Complex, chords: Crossings, columns: Columns, values: Values) -> Ends:
    """The ends of chords.

    On an edge a column is zero at |f₀| / (|f₀| + |f₁|) of the way: its signs at the two ends are known to differ, and
    absolute values keep the share between 0 and 1 whatever rounding does when values are computed a second time. The
    faces on both sides of the edge get the same number.
    """
    directed = complex_.cycles[chords.corner]
    edge, share = directed >> 1, (directed & 1).astype(np.float64)
    inside, column = chords.inside, np.repeat(chords.column, 2).reshape(-1, 2)
    key, which = np.unique(edge[inside] * len(columns) + column[inside], return_inverse=True)
    vertices = complex_.ends[key // len(columns)].ravel()
    found = columns.at(np.repeat(key % len(columns), 2), lambda unit: values.at(vertices, unit))
    at_start, at_end = np.abs(found).reshape(-1, 2).T
    total = at_start + at_end
    shares = np.divide(at_start, total, out=np.full(len(key), 0.5), where=total > 0)
    share[inside] = shares[which]
    drop = np.zeros_like(share)
    drop[inside] = total[which]
    return Ends(edge, share, drop)


def divide(complex_: Complex, chords: Crossings, ends: Ends, near: Floats) -> tuple[Complex, Integers, Mixed]:
    """Divide the edges at the ends of chords.

    Args:
        complex_: the complex.
        chords: of its faces.
        ends: where they enter and leave.
        near: how close to the point before it on its edge an end of each chord is that point, (n,).

    Returns:
        The complex, with the same faces; the corners at which each chord now enters and leaves, (n, 2); and what the
        new vertices are made of.
    """
    corner, inside = chords.corner, chords.inside
    edge, share, close = ends.edge[inside], ends.share[inside], np.repeat(near, 2).reshape(-1, 2)[inside]
    order = np.lexsort((share, edge))
    along, by = edge[order], share[order]
    start, way = _sections(complex_, along)
    length = np.hypot(way[:, 0], way[:, 1])
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (along[1:] != along[:-1]) | (np.diff(by) * length[1:] > close[order][1:])
    counts = np.bincount(along[fresh], minlength=len(complex_.ends))
    points = (start + by[:, None] * way)[fresh]
    mixed = Mixed(complex_.ends[along[fresh]], np.stack([1 - by[fresh], by[fresh]], axis=1))
    divided, corners = _divided(complex_, np.concatenate([complex_.xy, points]), counts)
    # which of its edge's new vertices each end is, on the way that the face goes
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.cumsum(fresh) - 1 - starts_of(counts)[along]
    backwards = (complex_.cycles[corner[inside]] & 1).astype(np.bool_)
    places = corners[corner]
    places[inside] += 1 + np.where(backwards, counts[edge] - 1 - rank, rank)
    return divided, places, mixed


def _sections(complex_: Complex, edge: Integers) -> tuple[Floats, Floats]:
    """Start of edges and the way to their end."""
    start = complex_.xy[complex_.ends[edge, 0]]
    return start, complex_.xy[complex_.ends[edge, 1]] - start


def _divided(complex_: Complex, xy: Floats, counts: Integers) -> tuple[Complex, Integers]:
    """Edge e becomes counts[e] + 1 edges through the new vertices, numbered along the edges.

    Returns the complex, and where each corner has gone.
    """
    parts = counts + 1
    first = starts_of(parts)[:-1]
    owner = owners(parts)
    step = steps(parts)
    before = len(complex_.xy) + starts_of(counts)[:-1]  # first new vertex of each edge
    start = np.where(step == 0, complex_.ends[owner, 0], before[owner] + step - 1)
    end = np.where(step == counts[owner], complex_.ends[owner, 1], before[owner] + step)
    directed = complex_.cycles
    edge, backwards = directed >> 1, directed & 1
    sizes = parts[edge]
    along = steps(sizes)
    whole = np.repeat(edge, sizes)
    flipped = np.repeat(backwards, sizes)
    cycles = 2 * (first[whole] + np.where(flipped == 1, counts[whole] - along, along)) + flipped
    corners = starts_of(sizes)
    divided = Complex(
        xy,
        np.stack([start, end], axis=1),
        complex_.fold[owner],
        complex_.column[owner],
        corners[complex_.starts],
        cycles,
        complex_.born,
        complex_.active,
    )
    return divided, corners
