"""The area that each class has in each region, by Green's theorem on the region's border and the segments inside."""

from __future__ import annotations

import numpy as np

from normscope.spline.classes.chords import Segments
from normscope.spline.classes.class_pairs import Entries, between, ordered, rivals_of, rows_of, tie_of, zero_share
from normscope.spline.classes.half_edges import HalfEdges
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers


def class_areas(edges: HalfEdges, xy: Floats, logits: Floats, found: Entries, segments: Segments) -> Floats:
    """½ ∮ x dy − y dx around the part of a region where each of its classes is the largest, (A,)."""
    entry, half = rows_of(edges, found.region)
    low, high = _owned(edges, logits, found, entry, half)
    start, end = (xy[v] for v in ordered(edges, half))
    origin = xy[edges.ends[edges.starts[:-1], 0]]  # of each region: small ones far from 0 keep their digits
    at = origin[found.region[entry]]
    along = _cross(between(start, end, low) - at, between(start, end, high) - at)
    along = np.where(edges.forward[half] == 1, along, -along)
    area = np.bincount(entry, np.where(high > low, along, 0.0), minlength=len(found.region))
    at = origin[segments.region]
    chord = _cross(segments.ends[:, 0] - at, segments.ends[:, 1] - at)
    for side, sign in ((0, 1.0), (1, -1.0)):
        np.add.at(area, _place(found, segments.region, segments.classes[:, side]), sign * chord)
    return np.asarray(area / 2)


def _owned(edges: HalfEdges, logits: Floats, found: Entries, entry: Integers, half: Integers) -> tuple[Floats, Floats]:
    """The part of an edge, as shares of it from its start, where a class is the largest; ties go to the first."""
    row, rival = rivals_of(found, found.region[entry])
    own = found.cls[entry[row]]
    other = rival != own
    row, rival, own = row[other], rival[other], own[other]
    start, end = ordered(edges, half[row])
    here, there = logits[start, own] - logits[start, rival], logits[end, own] - logits[end, rival]
    bound = np.where(own < rival, -tie_of(logits), np.nextafter(tie_of(logits), np.inf))
    zero = zero_share(here, there)
    low, high = np.zeros(len(entry)), np.ones(len(entry))
    at_start, at_end = here >= bound, there >= bound
    np.maximum.at(low, row[~at_start], np.where(at_end, zero, 2.0)[~at_start])
    falls = at_start & ~at_end
    np.minimum.at(high, row[falls], zero[falls])
    return low, high


def _place(found: Entries, region: Integers, cls: Integers) -> Integers:
    """Places of entries, which are sorted by region and class."""
    width = int(found.cls.max(initial=0)) + 1
    return np.searchsorted(found.region * width + found.cls, region * width + cls)


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
