"""Faces joined again across edges that are taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from normscope.spline.cutting.complex import Complex, following
from normscope.spline.cutting.ragged import Integers, owners, starts_of


def without_edges(
    cut: Complex, removed: NDArray[np.bool_], parent: Integers, before: Complex
) -> tuple[Complex, NDArray[np.bool_]]:
    """A complex without some of the edges that its last fold made; the faces on their two sides become one.

    Args:
        cut: the complex.
        removed: which edges, (E,).
        parent: the face of ``before`` that each face was, (F,).
        before: the complex before the fold.

    Returns:
        The complex, and which of the vertices are still there: not those at which no edge ends any more.
    """
    sides = cut.sides()
    pairs = sides[removed]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(cut.faces, cut.faces))
    faces, label = connected_components(graph, directed=False)
    # an edge with one face on both sides separates nothing
    removed = removed | ((label[sides[:, 0]] == label[sides[:, 1]]) & (sides >= 0).all(axis=1))
    kept = ~removed[cut.cycles >> 1]
    label_of_corner = label[owners(np.diff(cut.starts))]
    starts = starts_of(np.bincount(label_of_corner[kept], minlength=faces))
    first = np.full(faces, -1)
    first[label_of_corner[kept][::-1]] = np.flatnonzero(kept)[::-1]
    corners = _walked(_onward(cut, kept), first, starts)
    some_face = np.empty(faces, dtype=np.int64)
    some_face[label] = np.arange(cut.faces)
    number = np.cumsum(~removed) - 1
    cycles = cut.cycles[corners]
    fold = int(cut.fold.max())
    joined = replace(
        cut,
        ends=cut.ends[~removed],
        fold=cut.fold[~removed],
        column=cut.column[~removed],
        starts=starts,
        cycles=2 * number[cycles >> 1] + (cycles & 1),
        born=born(parent[some_face], before.born, fold),
        active=cut.active[some_face],
    )
    return _without_loose_vertices(joined, len(before.xy))


def born(parent: Integers, before: Integers, fold: int) -> Integers:
    """The last fold that cut each face: this one if its parent came to more than one face, else the parent's."""
    pieces = np.bincount(parent, minlength=len(before))[parent]
    found: Integers = np.where(pieces > 1, fold, before[parent])
    return found


def _onward(cut: Complex, kept: NDArray[np.bool_]) -> Integers:
    """The next kept corner of the joined face, from each kept corner on."""
    corner = np.empty(2 * len(cut.ends), dtype=np.int64)
    corner[cut.cycles] = np.arange(len(cut.cycles))
    after = following(cut.starts)
    onward = after.copy()
    turning = np.flatnonzero(kept & ~kept[onward])
    while len(turning):
        onward[turning] = after[corner[cut.cycles[onward[turning]] ^ 1]]
        turning = turning[~kept[onward[turning]]]
    return onward


def _walked(onward: Integers, first: Integers, starts: Integers) -> Integers:
    """The corners of all faces, each from its first one on."""
    corners = np.empty(starts[-1], dtype=np.int64)
    place, here, left = starts[:-1], first, np.diff(starts)
    while len(here):
        corners[place] = here
        more = left > 1
        place, here, left = place[more] + 1, onward[here[more]], left[more] - 1
    return corners


def _without_loose_vertices(joined: Complex, first: int) -> tuple[Complex, NDArray[np.bool_]]:
    """Without vertices, from number ``first`` on, that no edge ends at any more."""
    used = np.arange(len(joined.xy)) < first
    used[joined.ends] = True
    number = np.cumsum(used) - 1
    return replace(joined, xy=joined.xy[used], ends=number[joined.ends]), used
