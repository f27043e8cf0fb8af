"""Which classes may win in a region of a partition, and where on an edge two of them are equal.

All decisions are made from the logits at the corners, none from fitted planes: a sliver loses no digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from normscope.spline.classes.half_edges import HalfEdges, largest
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers, owners, ranges, starts_of

_TIE = 2.0**-40


class Entries(NamedTuple):
    """Classes that may be the largest somewhere in a region, sorted by region and class.

    Attributes:
        region: place of the region, (A,).
        cls: the class, (A,).
        starts: where the entries of each region start, (R + 1,).
    """

    region: Integers
    cls: Integers
    starts: Integers

    @property
    def counts(self) -> Integers:
        """Entries of each region, (R,)."""
        return np.diff(self.starts)


class Pairs(NamedTuple):
    """Pairs of classes i < j of a region, (P,) each."""

    region: Integers
    i: Integers
    j: Integers


def tie_of(logits: Floats) -> float:
    """Differences up to this are ties, which the first class wins: 4000 times the rounding of the largest logit."""
    return _TIE * float(np.abs(logits).max(initial=0.0))


def entries(edges: HalfEdges, logits: Floats) -> Entries:
    """The classes that may win.

    Their highest value is above the lowest that the maximum can have; and no earlier class ties with them all over
    the region.
    """
    high, low = largest(logits, edges), -largest(-logits, edges)
    region, cls = np.nonzero(high >= low.max(1, keepdims=True) - tie_of(logits))
    found = _entries(region, cls, len(edges.regions))
    pairs = pairs_of(found)
    row, half = rows_of(edges, pairs.region)
    at = edges.ends[half, 0]
    copies = np.ones(len(pairs.region), dtype=np.bool_)
    np.logical_and.at(copies, row, np.abs(logits[at, pairs.i[row]] - logits[at, pairs.j[row]]) <= tie_of(logits))
    classes = logits.shape[1]
    kept = ~np.isin(region * classes + cls, pairs.region[copies] * classes + pairs.j[copies])
    return _entries(region[kept], cls[kept], len(edges.regions))


def _entries(region: Integers, cls: Integers, regions: int) -> Entries:
    return Entries(region, cls, starts_of(np.bincount(region, minlength=regions)))


def pairs_of(found: Entries) -> Pairs:
    """All pairs of entries of one region."""
    here = np.arange(len(found.region))
    counts = found.starts[1:][found.region] - here - 1
    first, second = np.repeat(here, counts), ranges(here + 1, counts)
    return Pairs(found.region[first], found.cls[first], found.cls[second])


def rows_of(edges: HalfEdges, region: Integers) -> tuple[Integers, Integers]:
    """For each of some regions all its directed edges: which of the regions, and the edges."""
    counts = edges.counts[region]
    return owners(counts), ranges(edges.starts[region], counts)


def rivals_of(found: Entries, region: Integers) -> tuple[Integers, Integers]:
    """For each of some regions all its classes: which of the regions, and the classes."""
    counts = found.counts[region]
    return owners(counts), found.cls[ranges(found.starts[region], counts)]


def ordered(edges: HalfEdges, half: Integers) -> tuple[Integers, Integers]:
    """Start and end of the partition's edges that directed edges lie on."""
    forward = edges.forward[half] == 1
    tail, head = edges.ends[half].T
    return np.where(forward, tail, head), np.where(forward, head, tail)


def zero_share(here: Floats, there: Floats) -> Floats:
    """Where between 0 and 1 a function that changes sign is zero, of its values there."""
    here, there = np.abs(here), np.abs(there)
    total = here + there
    share: Floats = np.divide(here, total, out=np.full(len(here), 0.5), where=total > 0)
    return share


def between(start: Floats, end: Floats, share: Floats) -> Floats:
    """Points (n, 2) at a share of the way; at 0 and 1 bit for bit the ends."""
    found: Floats = start + share[:, None] * (end - start)
    return np.asarray(np.where((share == 1.0)[:, None], end, found))
