"""Faces that wait to be cut, with their chords."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.ragged import Integers, owners, ranges, starts_of


@dataclass(frozen=True, eq=False)
class Front:
    """Faces as cycles, and the chords of each in the order in which they are to cut.

    Attributes:
        starts: where each face starts in the cycles, (faces + 1,).
        cycles: directed edges, counter-clockwise.
        vertices: where each of them starts.
        parent: the face that each comes from.
        active: active units of each face, chords of the face not counted.
        chord_starts: where each face starts among the chords, (faces + 1,).
        chord: number of each chord.
        enter, leave: places of its ends in the cycle of its face; the part above zero is from ``enter`` to ``leave``.
    """

    starts: Integers
    cycles: Integers
    vertices: Integers
    parent: Integers
    active: Integers
    chord_starts: Integers
    chord: Integers
    enter: Integers
    leave: Integers

    def __len__(self) -> int:
        return len(self.active)

    def sizes(self) -> Integers:
        """Number of vertices of each face."""
        return np.diff(self.starts)

    def chord_faces(self) -> Integers:
        """The face of each chord."""
        return owners(np.diff(self.chord_starts))

    def rotated(self) -> Front:
        """The same faces, with the cycle of each starting where its first chord enters."""
        sizes, face = self.sizes(), self.chord_faces()
        turn = self.enter[self.chord_starts[:-1]]
        place = ranges(self.starts[:-1] + turn, sizes)
        place += np.where(place >= np.repeat(self.starts[1:], sizes), np.repeat(-sizes, sizes), 0)
        enter, leave = self.enter - turn[face], self.leave - turn[face]
        size = sizes[face]
        return replace(
            self,
            cycles=self.cycles[place],
            vertices=self.vertices[place],
            enter=np.where(enter < 0, enter + size, enter),
            leave=np.where(leave < 0, leave + size, leave),
        )

    def without_first_chords(self) -> Front:
        """The same faces without the chord that was to cut first."""
        rest = np.ones(len(self.chord), dtype=np.bool_)
        rest[self.chord_starts[:-1]] = False
        return replace(
            self,
            chord_starts=self.chord_starts - np.arange(len(self) + 1),
            chord=self.chord[rest],
            enter=self.enter[rest],
            leave=self.leave[rest],
        )

    def taken(self, which: NDArray[np.bool_]) -> Front:
        """Some of the faces."""
        corner, chord = np.repeat(which, self.sizes()), np.repeat(which, np.diff(self.chord_starts))
        return Front(
            starts_of(self.sizes()[which]),
            self.cycles[corner],
            self.vertices[corner],
            self.parent[which],
            self.active[which],
            starts_of(np.diff(self.chord_starts)[which]),
            self.chord[chord],
            self.enter[chord],
            self.leave[chord],
        )


def joined(fronts: list[Front]) -> Front:
    """All faces of several fronts."""
    return Front(
        starts_of(np.concatenate([front.sizes() for front in fronts])),
        np.concatenate([front.cycles for front in fronts]),
        np.concatenate([front.vertices for front in fronts]),
        np.concatenate([front.parent for front in fronts]),
        np.concatenate([front.active for front in fronts]),
        starts_of(np.concatenate([np.diff(front.chord_starts) for front in fronts])),
        np.concatenate([front.chord for front in fronts]),
        np.concatenate([front.enter for front in fronts]),
        np.concatenate([front.leave for front in fronts]),
    )
