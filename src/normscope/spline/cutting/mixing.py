"""New vertices as weighted means of vertices that were there before: so are all values that are affine on a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.complex import Complex, Floats
from normscope.spline.cutting.ragged import Integers


@dataclass(frozen=True, eq=False)
class Mixed:
    """New vertices, end to end after the old ones.

    Attributes:
        parents: old vertices, (n, 2) on edges, (n, 4) inside faces too.
        weights: of them, with sum 1.
    """

    parents: Integers
    weights: Floats

    def taken(self, which: NDArray[np.bool_]) -> Mixed:
        """Some of the vertices."""
        return Mixed(self.parents[which], self.weights[which])


def no_vertices() -> Mixed:
    """None."""
    return Mixed(np.empty((0, 4), dtype=np.int64), np.empty((0, 4)))


def with_crossings(on_edges: Mixed, old: int, divided: Complex, places: Integers, on: Integers, xy: Floats) -> Mixed:
    """The vertices on edges, and those inside faces: means of the ends of the chord that each is on.

    Args:
        on_edges: the vertices that divide edges.
        old: number of vertices before.
        divided: the complex with these.
        places: corners at which the chords enter and leave, (chords, 2).
        on: the chord of each vertex inside a face, (n,).
        xy: their positions, (n, 2).
    """
    ends = divided.tails()[places[on]]
    entry, leave = divided.xy[ends].transpose(1, 0, 2)
    along = leave - entry
    share = ((xy - entry) * along).sum(axis=1) / (along**2).sum(axis=1)
    share = np.clip(share, 0.0, 1.0)[:, None]
    padded = np.zeros((len(on_edges.parents), 2), dtype=np.int64)
    parents = np.concatenate([np.concatenate([on_edges.parents, padded], axis=1), np.empty((len(on), 4), np.int64)])
    weights = np.concatenate([np.concatenate([on_edges.weights, padded], axis=1), np.empty((len(on), 4))])
    for side, part in ((0, 1 - share), (1, share)):
        known = ends[:, side] < old
        row = np.where(known, 0, ends[:, side] - old)
        vertex = np.where(known[:, None], ends[:, side, None], on_edges.parents[row] if len(padded) else 0)
        weight = np.where(known[:, None], [1.0, 0.0], on_edges.weights[row] if len(padded) else 0.0)
        parents[len(padded) :, 2 * side : 2 * side + 2] = vertex
        weights[len(padded) :, 2 * side : 2 * side + 2] = part * weight
    return Mixed(parents, weights)
