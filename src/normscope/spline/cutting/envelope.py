"""Max pooling: a window folds along the line of two candidates only where no third one is larger.

Each pair of candidates draws a line across a face, of which a segment belongs to the upper envelope, or nothing. Faces
are cut by whole lines, so that pieces stay convex, and joined again across what is no part of the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.columns import Columns
from normscope.spline.cutting.complex import Complex, Floats
from normscope.spline.cutting.crossings import Crossings
from normscope.spline.cutting.joining import without_edges
from normscope.spline.cutting.ragged import Integers
from normscope.spline.cutting.subdivision import Ends
from normscope.spline.cutting.values import Values

# Edges are kept in doubt: one too many is a sliver at a point where three candidates meet, one too few a lost fold.
_DOUBT = 16.0  # times the tolerance of the signs


@dataclass(frozen=True, eq=False)
class Envelope:
    """How far the two candidates of each chord are above the others of their window.

    Attributes:
        column: of each chord, (n,).
        margin: z of the pair − z of each candidate where the chord enters and leaves, (n, 2, candidates); infinity for
            padding.
        tolerance: of each chord's column, (n,).
    """

    column: Integers
    margin: Floats
    tolerance: Floats

    def folds(self) -> NDArray[np.bool_]:
        """Whether the pair is the largest anywhere on its chord."""
        at_entry, at_leave = (self.margin + self.tolerance[:, None, None]).transpose(1, 0, 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            zero = at_entry / _difference(at_entry, at_leave)
        low = np.where(at_entry < 0, np.where(at_leave < 0, np.inf, zero), 0.0).max(axis=1)
        high = np.where(at_leave < 0, np.where(at_entry < 0, -np.inf, zero), 1.0).min(axis=1)
        found: NDArray[np.bool_] = low < high
        return found

    def folds_at(self, chord: Integers, share: Floats) -> NDArray[np.bool_]:
        """Whether the pair of a chord is the largest at a share of the way along it."""
        at_entry, at_leave = self.margin[chord].transpose(1, 0, 2)
        there = at_entry + share[:, None] * _difference(at_leave, at_entry)
        found: NDArray[np.bool_] = there.min(axis=1) >= -_DOUBT * self.tolerance[chord]
        return found

    def taken(self, which: NDArray[np.bool_]) -> Envelope:
        """Some of the chords."""
        return Envelope(self.column[which], self.margin[which], self.tolerance[which])

    def joined(
        self, cut: Complex, parent: Integers, before: Complex, same: list[tuple[Integers, Integers]], ends: Floats
    ) -> tuple[Complex, NDArray[np.bool_]]:
        """The cut complex without the new edges on which no chord's pair is the largest; and which vertices are left.

        Args:
            cut: with the number of the chord as column of the new edges.
            parent: the face of ``before`` that each face was.
            before: the complex before the cut.
            same: edges, and chords beside their own that they lie on.
            ends: where the chords enter and leave, (n, 2, 2).
        """
        first = len(before.ends)
        edge = np.concatenate([np.arange(first, len(cut.ends)), *(some for some, _ in same)])
        chord = np.concatenate([cut.column[first:], *(some for _, some in same)])
        entry, along = ends[chord, 0], ends[chord, 1] - ends[chord, 0]
        middle = cut.xy[cut.ends[edge]].mean(axis=1)
        share = ((middle - entry) * along).sum(axis=1) / (along**2).sum(axis=1)
        folds = np.flatnonzero(self.folds_at(chord, share))
        removed = np.arange(len(cut.ends)) >= first
        removed[edge[folds]] = False
        column = cut.column.copy()
        column[first:] = -1
        folds = folds[np.argsort(-chord[folds], kind="stable")]
        column[edge[folds]] = self.column[chord[folds]]  # of several chords, the first is written last
        return without_edges(replace(cut, column=column), removed, parent, before)


def envelope(
    complex_: Complex, chords: Crossings, ends: Ends, columns: Columns, tolerance: Floats, values: Values
) -> Envelope:
    """The margins of the pairs of all chords."""
    assert columns.windows is not None
    candidates = columns.windows[columns.unit[chords.column]]
    n, m = candidates.shape
    units = np.broadcast_to(np.maximum(candidates, 0)[:, None, None], (n, 2, 2, m))
    vertices = np.broadcast_to(complex_.ends[ends.edge][..., None], (n, 2, 2, m))
    z = values.at(vertices.ravel(), units.ravel()).reshape(n, 2, 2, m)
    share = ends.share[..., None]
    z = (1 - share) * z[:, :, 0] + share * z[:, :, 1]
    pair = (candidates == columns.first[chords.column][:, None]).argmax(axis=1)
    margin = np.take_along_axis(z, pair[:, None, None], axis=2) - z
    margin[np.broadcast_to(candidates[:, None] < 0, margin.shape)] = np.inf
    return Envelope(chords.column, margin, tolerance[chords.column])


def _difference(a: Floats, b: Floats) -> Floats:
    """A − b; 0 where both are infinite, which is padding."""
    return np.subtract(a, b, out=np.zeros_like(a), where=np.isfinite(a))
