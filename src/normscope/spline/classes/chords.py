"""The segments on which two classes are equal and no third is larger, in each region of a partition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.spline.classes.class_pairs import (
    Entries,
    Pairs,
    between,
    ordered,
    pairs_of,
    rivals_of,
    rows_of,
    tie_of,
    zero_share,
)
from normscope.spline.classes.half_edges import HalfEdges
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers


class Segments(NamedTuple):
    """Pieces of the boundary.

    Attributes:
        ends: (S, 2, 2), with the first class on the left of the way from the one to the other.
        classes: (S, 2).
        region: places of the regions, (S,).
    """

    ends: Floats
    classes: Integers
    region: Integers


class _Ends(NamedTuple):
    """One end of each chord: a point on a directed edge."""

    half: Integers
    share: Floats  # from the start of the partition's edge


def segments_of(edges: HalfEdges, xy: Floats, logits: Floats, found: Entries) -> Segments:
    """The segments in all regions.

    Args:
        edges: the regions.
        xy: of all vertices, (V, 2).
        logits: at all vertices, (V, classes).
        found: the classes of each region.
    """
    pairs, leave, enter = _chords(edges, logits, pairs_of(found))
    low, high = _uncovered(edges, logits, pairs, found, leave, enter)
    start, end = _points(edges, xy, leave), _points(edges, xy, enter)
    ends = np.stack([between(start, end, low), between(start, end, high)], axis=1)
    # zero or reversed: a third class covers it, or the chord only touches the region
    real = (high > low) & (ends[:, 0] != ends[:, 1]).any(1)
    return Segments(ends[real], np.stack([pairs.i, pairs.j], axis=1)[real], pairs.region[real])


def _chords(edges: HalfEdges, logits: Floats, pairs: Pairs) -> tuple[Pairs, _Ends, _Ends]:
    """The pairs that are equal on a chord of their region, and where, counter-clockwise, i is left and entered."""
    row, half = rows_of(edges, pairs.region)
    i, j = pairs.i[row], pairs.j[row]
    tail, head = edges.ends[half].T
    tie = tie_of(logits)
    at_tail, at_head = logits[tail, i] - logits[tail, j] >= -tie, logits[head, i] - logits[head, j] >= -tie
    # in each region both or neither, and, values being affine, once: by the number of rows, but for rounding
    crossings = []
    once = np.ones(len(pairs.i), dtype=np.bool_)
    for crossing in (np.flatnonzero(at_tail & ~at_head), np.flatnonzero(~at_tail & at_head)):
        once &= np.bincount(row[crossing], minlength=len(pairs.i)) == 1
        crossings.append(crossing)
    leave, enter = (_ends(edges, logits, half[at], i[at], j[at]) for at in (c[once[row[c]]] for c in crossings))
    return Pairs(pairs.region[once], pairs.i[once], pairs.j[once]), leave, enter


def _ends(edges: HalfEdges, logits: Floats, half: Integers, i: Integers, j: Integers) -> _Ends:
    start, end = ordered(edges, half)
    return _Ends(half, zero_share(logits[start, i] - logits[start, j], logits[end, i] - logits[end, j]))


def _points(edges: HalfEdges, xy: Floats, at: _Ends) -> Floats:
    start, end = ordered(edges, at.half)
    return between(xy[start], xy[end], at.share)


def _uncovered(
    edges: HalfEdges, logits: Floats, pairs: Pairs, found: Entries, leave: _Ends, enter: _Ends
) -> tuple[Floats, Floats]:
    """The part of each chord, as shares of it, on which no third class is larger than the two."""
    row, third = rivals_of(found, pairs.region)
    other = (third != pairs.i[row]) & (third != pairs.j[row])
    row, third = row[other], third[other]
    gaps = []
    for place in (leave, enter):
        start, end = ordered(edges, place.half[row])
        at_start, at_end = (logits[v, pairs.i[row]] - logits[v, third] for v in (start, end))
        gaps.append(at_start + place.share[row] * (at_end - at_start))
    tie = tie_of(logits)
    low, high = np.zeros(len(pairs.i)), np.ones(len(pairs.i))
    here, there = gaps
    zero = zero_share(here, there)
    above_here, above_there = here >= -tie, there >= -tie
    np.maximum.at(low, row[~above_here], np.where(above_there, zero, 2.0)[~above_here])
    falls = above_here & ~above_there
    np.minimum.at(high, row[falls], zero[falls])
    tied = (np.abs(here) <= tie) & (np.abs(there) <= tie)
    low[row[tied][_beaten(edges, logits, pairs, row[tied], third[tied])]] = 2.0
    return low, high


def _beaten(edges: HalfEdges, logits: Floats, pairs: Pairs, row: Integers, third: Integers) -> NDArray[np.bool_]:
    """Whether a third class that ties with both along their chord takes the place of one of them beside it.

    Where it is larger than both somewhere in the region; and where the chord is a side of the region, so that i has
    nothing but this line in it, if it comes before i.
    """
    case, half = rows_of(edges, pairs.region[row])
    vertex = edges.ends[half, 0]
    tie = tie_of(logits)
    i, j = logits[vertex, pairs.i[row[case]]], logits[vertex, pairs.j[row[case]]]
    larger = np.bincount(case[logits[vertex, third[case]] - np.maximum(i, j) > tie], minlength=len(row)) > 0
    line = np.bincount(case[i - j > tie], minlength=len(row)) == 0
    return np.asarray(larger | (line & (third < pairs.i[row])))
