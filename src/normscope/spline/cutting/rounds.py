"""Convex faces cut by the chords that cross them: all faces at once, each by one chord a round.

A round cuts every face by its first chord. The other chords of the face go to the piece that holds both of their ends,
or cross: the crossing becomes a vertex of the cut, which both pieces share, and the chord is split there. On which
side of the cut an end lies follows from its place in the cycle of the face, not from coordinates, so that the pieces
fit together whatever rounding does. Chords cut in random order, so that a face that k lines cut into many is done
after O(log k) rounds, as in randomized incremental construction (Clarkson and Shor, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.front import Front, joined
from normscope.spline.cutting.growing import Growing
from normscope.spline.cutting.ragged import Integers, owners, ranges, starts_of, steps


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of chords: a point x lies ⟨normal, x − point⟩ above one.

    Attributes:
        point, normal: (n, 2); normals of length 1.
        step: what lying above adds to the number of active units, (n,).
        near: how far off the line may be: a point so close is on it, a piece so thin is not cut off, (n,).
    """

    point: Floats
    normal: Floats
    step: Integers
    near: Floats

    def distance(self, chord: Integers, xy: Floats) -> Floats:
        """Signed distances of points (m, 2) from the lines of chords (m,)."""
        away = (xy - self.point[chord]) * self.normal[chord]
        found: Floats = away[:, 0] + away[:, 1]
        return found


def lines_through(entry: Floats, leave: Floats, step: Integers, near: Floats) -> Lines:
    """The lines of chords that enter and leave at points (n, 2); above is to the right of the way from entry on."""
    along = leave - entry
    length = np.hypot(along[:, 0], along[:, 1])
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return Lines(entry, normal / np.where(length > 0, length, 1.0)[:, None], step, near)


class Cutter:
    """New vertices and edges, round after round.

    Attributes:
        xy: all vertices.
        ends, chord: of the new edges, the first of which is number ``first_edge``.
        same: edges and chords that lie on edges of another chord, in pieces.
        on: the chord on which each new vertex was made.
    """

    def __init__(self, xy: Floats, first_edge: int, lines: Lines) -> None:
        self.xy = Growing(xy)
        self.ends = Growing(np.empty((0, 2), dtype=np.int64))
        self.chord = Growing(np.empty(0, dtype=np.int64))
        self.same: list[tuple[Integers, Integers]] = []
        self.on = Growing(np.empty(0, dtype=np.int64))
        self._first_edge, self._lines = first_edge, lines

    def round(self, front: Front) -> Front:
        """Every face cut by its first chord, or left without it where a piece would be too thin."""
        front = front.rotated()
        upper, lower = self._thickness(front)
        cuts = np.minimum(upper, lower) > self._lines.near[front.chord[front.chord_starts[:-1]]]
        if cuts.all():
            return self._cut(front)
        stays = front.taken(~cuts)
        step = self._lines.step[stays.chord[stays.chord_starts[:-1]]]
        stays.active[:] += np.where((upper > lower)[~cuts], step, 0)
        stays = stays.without_first_chords()
        return joined([self._cut(front.taken(cuts)), stays]) if cuts.any() else stays

    def _thickness(self, front: Front) -> tuple[Floats, Floats]:
        """How far the two pieces reach from the cut."""
        first = front.chord_starts[:-1]
        chord = np.repeat(front.chord[first], front.sizes())
        distance = self._lines.distance(chord, self.xy.rows[front.vertices])
        starts, middle = front.starts[:-1], front.starts[:-1] + front.leave[first]
        ends = np.stack([starts, middle], axis=1).ravel()
        upper = np.maximum.reduceat(distance, ends)[::2]
        lower = -np.minimum.reduceat(distance, ends)[1::2]
        return upper, lower

    def _cut(self, front: Front) -> Front:
        first, sizes = front.chord_starts[:-1], front.sizes()
        cut, middles = front.chord[first], front.leave[first]
        rest = front.without_first_chords()
        face, chord, enter, leave = rest.chord_faces(), rest.chord, rest.enter, rest.leave
        middle, size = middles[face], sizes[face]
        on_upper = (enter <= middle) & (leave <= middle)
        on_lower = ((enter == 0) | (enter >= middle)) & ((leave == 0) | (leave >= middle))
        same, crosses = on_upper & on_lower, ~(on_upper | on_lower)
        on_upper &= ~same
        on_lower &= ~same
        # nodes of the cut: 0 its entry, 1 … count the crossings, count + 1 its end
        entry, exit_ = front.vertices[front.starts[:-1]], front.vertices[front.starts[:-1] + middles]
        node = np.zeros(len(chord), dtype=np.int64)
        node[crosses], counts, points = self._crossings(chord[crosses], face[crosses], entry, exit_)
        first_vertex = self.xy.append(points) + starts_of(counts)[:-1]
        self.on.append(np.repeat(cut, counts))
        nodes = _interleaved(entry, ranges(first_vertex, counts), counts, exit_)
        owner = cut.copy()
        np.minimum.at(owner, face[same], chord[same])  # of units with one line, the first owns the edges
        edges = self._new_edges(nodes, counts, owner)
        self._note_same(edges, counts, owner, cut, face[same], chord[same])
        # the number of active units
        step = self._lines.step[chord]
        upper_active, lower_active = front.active + self._lines.step[cut], front.active.copy()
        around = on_upper & (enter > leave)
        np.add.at(lower_active, face[around], step[around])
        around = on_lower & (_late(enter, size) > _late(leave, size))
        np.add.at(upper_active, face[around], step[around])
        np.add.at(upper_active, face[same & (enter == 0)], step[same & (enter == 0)])
        np.add.at(lower_active, face[same & (enter != 0)], step[same & (enter != 0)])
        # the chords' ends in the pieces
        count = counts[face]
        upper_node = np.where(node == 0, 0, middle + count + 1 - node)
        lower_node = np.where(node == count + 1, 0, size - middle + node)
        goes_up, goes_down = on_upper | crosses, on_lower | crosses
        upper_ends = [np.where(end <= middle, end, upper_node)[goes_up] for end in (enter, leave)]
        lower_ends = [
            np.where((end == 0) | (end >= middle), _late(end, size) - middle, lower_node)[goes_down]
            for end in (enter, leave)
        ]
        faces = len(front)
        upper_cycles = _piece(front, 0 * middles, middles, nodes, edges, counts, backwards=True)
        lower_cycles = _piece(front, middles, sizes - middles, nodes, edges, counts, backwards=False)
        up = np.bincount(face[goes_up], minlength=faces)
        down = np.bincount(face[goes_down], minlength=faces)
        return joined([
            Front(*upper_cycles, front.parent, upper_active, starts_of(up), chord[goes_up], *upper_ends),
            Front(*lower_cycles, front.parent, lower_active, starts_of(down), chord[goes_down], *lower_ends),
        ])  # fmt: skip

    def _crossings(
        self, chord: Integers, face: Integers, entry: Integers, exit_: Integers
    ) -> tuple[Integers, Integers, Floats]:
        """Where chords cross the cuts of their faces: the node of each, the number of new ones of each cut, points.

        A cut's end that is near the chord's line is the crossing; a crossing near the one before it is the same.
        """
        start, end = self.xy.rows[entry[face]], self.xy.rows[exit_[face]]
        at_start, at_end = np.abs(self._lines.distance(chord, start)), np.abs(self._lines.distance(chord, end))
        near, total = self._lines.near[chord], at_start + at_end
        share = np.divide(at_start, total, out=np.full(len(chord), 0.5), where=total > 0)
        to_start = (at_start <= near) & (at_start <= at_end)
        to_end = (at_end <= near) & ~to_start
        between = np.flatnonzero(~(to_start | to_end))
        between = between[np.lexsort((share[between], face[between]))]
        length = np.hypot(*(end - start)[between].T)
        of, along = face[between], share[between] * length
        fresh = np.ones(len(between), dtype=np.bool_)
        fresh[1:] = (of[1:] != of[:-1]) | (np.diff(along) > near[between][1:])
        counts = np.bincount(of[fresh], minlength=len(entry))
        node = np.zeros(len(chord), dtype=np.int64)
        node[between] = np.cumsum(fresh) - starts_of(counts)[of]
        node[to_end] = counts[face[to_end]] + 1
        new = between[fresh]
        points = start[new] + share[new, None] * (end - start)[new]
        return node, counts, points

    def _new_edges(self, nodes: Integers, counts: Integers, owner: Integers) -> Integers:
        """Edges between successive nodes of each cut; the number of the first edge of each."""
        first = starts_of(counts + 2)[:-1]
        at = ranges(first, counts + 1)
        row = self.ends.append(np.stack([nodes[at], nodes[at + 1]], axis=1))
        self.chord.append(np.repeat(owner, counts + 1))
        return self._first_edge + row + starts_of(counts + 1)[:-1]

    def _note_same(
        self, edges: Integers, counts: Integers, owner: Integers, cut: Integers, face: Integers, chord: Integers
    ) -> None:
        """Edges of several chords: all chords but the owner."""
        if not len(face):
            return
        moved = np.flatnonzero(owner != cut)
        face, chord = np.concatenate([face, moved]), np.concatenate([chord, cut[moved]])
        other = chord != owner[face]
        face, chord = face[other], chord[other]
        sizes = counts[face] + 1
        self.same.append((ranges(edges[face], sizes), np.repeat(chord, sizes)))


def _late(place: Integers, size: Integers) -> Integers:
    """Places of a cycle with 0 told as its size: on the way from the middle back to the start."""
    return np.where(place == 0, size, place)


def _interleaved(entry: Integers, between: Integers, counts: Integers, exit_: Integers) -> Integers:
    """The nodes of each cut, end to end."""
    starts = starts_of(counts + 2)
    nodes = np.empty(starts[-1], dtype=np.int64)
    nodes[starts[:-1]] = entry
    nodes[ranges(starts[:-1] + 1, counts)] = between
    nodes[starts[1:] - 1] = exit_
    return nodes


def _piece(
    front: Front, low: Integers, size: Integers, nodes: Integers, edges: Integers, counts: Integers, *, backwards: bool
) -> tuple[Integers, Integers, Integers]:
    """``size`` places of each cycle from ``low`` on, closed by the cut: starts, directed edges, their vertices."""
    along = counts + 1
    starts = starts_of(size + along)
    cycles = np.empty(starts[-1], dtype=np.int64)
    vertices = np.empty(starts[-1], dtype=np.int64)
    kept, into = ranges(front.starts[:-1] + low, size), ranges(starts[:-1], size)
    cycles[into], vertices[into] = front.cycles[kept], front.vertices[kept]
    into, step, face = ranges(starts[:-1] + size, along), steps(along), owners(along)
    first_node = starts_of(counts + 2)[:-1][face]
    if backwards:
        step = counts[face] - step
        cycles[into] = 2 * (edges[face] + step) + 1
        vertices[into] = nodes[first_node + step + 1]
    else:
        cycles[into] = 2 * (edges[face] + step)
        vertices[into] = nodes[first_node + step]
    return starts, cycles, vertices
