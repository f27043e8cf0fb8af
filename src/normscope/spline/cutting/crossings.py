"""Where the lines of a fold enter and leave the faces: on an edge, or in a vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.complex import Complex
from normscope.spline.cutting.ragged import Integers, owners, ranges, starts_of
from normscope.spline.cutting.signs import Signs


@dataclass(frozen=True, eq=False)
class Crossings:
    """Chords of faces: each of a column, from where the boundary leaves the part above zero to where it enters it.

    The part of the face above zero lies counter-clockwise between ``entry`` and ``leave``.

    Attributes:
        face, column: of each chord, sorted by face, (n,).
        corner: the corner of the face (index into the cycles) before or at each end, (n, 2): entry, leave.
        inside: whether that end lies inside the corner's edge, or else in the corner itself, (n, 2).
        doubtful: pairs of a face and a column whose signs fit no line and that were left out: 0 but for rounding.
    """

    face: Integers
    column: Integers
    corner: Integers
    inside: NDArray[np.bool_]
    doubtful: int

    def taken(self, which: NDArray[np.bool_]) -> Crossings:
        """Some of the chords."""
        return Crossings(self.face[which], self.column[which], self.corner[which], self.inside[which], self.doubtful)


def crossings(complex_: Complex, vertices: Integers, signs: Signs, face: Integers, column: Integers) -> Crossings:
    """The chords of pairs of a face and a column that has both signs on it.

    Going round the face, zeros left out, the sign changes exactly twice. Between the two signs is an edge, or one or
    more vertices on the line, the first of which is the end of the chord.
    """
    counts = np.diff(complex_.starts)[face]
    corner = ranges(complex_.starts[face], counts)
    pair = owners(counts)
    sign = signs.of(vertices[corner], np.repeat(column, counts))
    strict = np.flatnonzero(sign)
    after = _next_of_pair(pair[strict], len(face))
    turns = np.flatnonzero(sign[strict] != sign[strict][after])
    here, there = strict[turns], strict[after[turns]]
    pairs = pair[here]
    fits = np.bincount(pairs, minlength=len(face)) == 2
    size = counts[pairs]
    first = complex_.starts[face[pairs]]
    gap = (corner[there] - corner[here]) % size
    inside = gap == 1
    end = np.where(inside, corner[here], first + (corner[here] + 1 - first) % size)
    leaves = sign[here] > 0
    corners, insides = np.zeros((len(face), 2), dtype=np.int64), np.zeros((len(face), 2), dtype=np.bool_)
    corners[pairs, leaves.astype(np.int64)] = end
    insides[pairs, leaves.astype(np.int64)] = inside
    return Crossings(face[fits], column[fits], corners[fits], insides[fits], int((~fits).sum()))


def _next_of_pair(pair: Integers, pairs: int) -> Integers:
    """Index of the next entry of the same pair, cyclically; entries are sorted by pair, and every pair has some."""
    starts = starts_of(np.bincount(pair, minlength=pairs))
    after = np.arange(1, len(pair) + 1)
    after[starts[1:] - 1] = starts[:-1]
    return after
