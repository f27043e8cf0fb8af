"""Arguments of the folds at the vertices, in pieces that fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.mixing import Mixed
from normscope.spline.cutting.plane import Plane
from normscope.spline.cutting.ragged import Integers
from normscope.spline.reading.program import Program, State

_PIECE = 2**21  # bytes of one piece of arguments: larger ones leave the caches, and each is new memory
_KEPT = 3 * 2**30  # bytes of arguments and states that are kept rather than computed again
_SAMPLED = 64  # points of edges
_BATCHES = (1, 2, 3, 4, 5)  # points that are looked at together


class Values:
    """z of one fold after another at a growing list of vertices.

    While they are small, the arguments of a fold are kept until the next, and the states of the vertices between
    folds. A new vertex then takes the mean of the states of those that it is made of, which is exact as every value is
    affine there, and goes on from it: a fold costs the stretch since the one before. Else each fold starts from the
    points.
    """

    def __init__(self, program: Program, plane: Plane, *, kept: int = _KEPT) -> None:
        self._program, self._plane, self._bytes = program, plane, kept
        self._state: State | None = None  # of all vertices there were, at the last fold
        self._z: list[Floats] | None = None
        self._xy: Floats = np.empty((0, 2))
        self._fold = 0

    def pieces(self, xy: Floats, fold: int, mixed: Mixed) -> Iterator[tuple[slice, Floats]]:
        """Z at the vertices, (rows, units), piece by piece.

        Args:
            xy: of the vertices; the last ``len(mixed.parents)`` are new since the last call.
            fold: one more than at the last call.
            mixed: what the new vertices are made of.
        """
        self._xy, self._fold = xy, fold
        before, self._state, self._z = self._state, None, []
        states: list[State] = []
        keeps_z = len(xy) * self._program.folds[fold].units * 8 <= self._bytes
        left = self._bytes - (before.bytes if before else 0)
        if not keeps_z:
            self._z = None
        else:
            left -= len(xy) * self._program.folds[fold].units * 8
        keeps_states = fold + 1 < len(self._program.folds)  # else no fold comes after it
        for rows in self._slices(len(xy)):
            state = self._at(rows, before, mixed)
            z = _array(self._program.argument(state))
            if self._z is not None:
                self._z.append(z)
            keeps_states = keeps_states and 2 * state.bytes * len(xy) <= left * len(state)
            if keeps_states:
                states.append(state)
            else:
                states = []
            yield rows, z
        self._state = states[0].cat(*states[1:]) if states else None

    def noise(self, xy: Floats, ends: Integers, fold: int) -> Floats:
        """How far rounding takes z of each unit from being affine, (units,).

        The largest |z(between) − what z at the ends says| at points of some of the edges; z is affine along every one.
        One point of an edge, the middle, or more where there are few edges. Where z is constant that is 0; but matrix
        products round by how many rows there are and which row it is, so a few points are given in small batches too.
        """
        self._fold = fold
        some = ends[np.unique(np.linspace(0, len(ends) - 1, _SAMPLED).astype(np.int64))]
        start, end = xy[some].transpose(1, 0, 2)
        count = max(1, _SAMPLED // len(some))
        share = np.arange(1, count + 1)[:, None, None] / (count + 1)
        between = (1 - share) * start + share * end  # shape: (count, edges, 2)
        sampled = np.concatenate([start, end, *between])
        z = self._z_at(sampled)
        at_start, at_end, *others = z.reshape(2 + count, len(some), -1)
        found: Floats = np.abs(np.stack(others) - ((1 - share) * at_start + share * at_end)).max(axis=(0, 1))
        low = 0
        for rows in _BATCHES:
            alone = slice(low, low + rows)
            found = np.maximum(found, np.abs(self._z_at(sampled[alone]) - z[alone]).max(axis=0))
            low += rows
        return found

    def at(self, vertices: Integers, units: Integers) -> Floats:
        """Entry i is z[vertices[i], units[i]] of the last fold asked for."""
        found = np.empty(len(vertices))
        order = np.argsort(vertices, kind="stable")
        slices = list(self._slices(len(self._xy)))
        bounds = np.searchsorted(vertices[order], [*(rows.start for rows in slices), len(self._xy)])
        for piece, (low, high) in enumerate(itertools.pairwise(bounds)):
            some = order[low:high]
            if not len(some):
                continue
            if self._z is not None:
                found[some] = self._z[piece][vertices[some] - slices[piece].start, units[some]]
            else:
                needed, where = np.unique(vertices[some], return_inverse=True)
                z = self._z_at(self._xy[needed])
                found[some] = z[where, units[some]]
        return found

    def release(self) -> None:
        """Forget the arguments of the last fold: `at` is not called for it again."""
        self._z = None

    def _slices(self, count: int) -> Iterator[slice]:
        widest = max(fold.units for fold in self._program.folds[: self._fold + 1])
        size = max(1, _PIECE // (8 * max(widest, self._plane.origin.numel())))
        return (slice(low, min(low + size, count)) for low in range(0, count, size))

    def _at(self, rows: slice, before: State | None, mixed: Mixed) -> State:
        """The state of some vertices at the fold."""
        if before is None:
            return self._fresh(self._xy[rows])
        old = len(before)
        parts = []
        if rows.start < old:
            parts.append(before.take(np.arange(rows.start, min(rows.stop, old))))
        if rows.stop > old:
            new = slice(max(rows.start - old, 0), rows.stop - old)
            parts.append(_mean(before, mixed.parents[new], mixed.weights[new]))
        return self._to_fold(parts[0].cat(*parts[1:]))

    def _z_at(self, xy: Floats) -> Floats:
        return _array(self._program.argument(self._fresh(xy)))

    def _fresh(self, xy: Floats) -> State:
        return self._to_fold(self._program.start(self._plane.points(xy)))

    def _to_fold(self, state: State) -> State:
        while state.index < self._fold:
            state = self._program.advance(state)
        return state


def _mean(state: State, parents: Integers, weights: Floats) -> State:
    """Weighted means of the points of a state: parents (n, k), weights (n, k)."""
    used = np.flatnonzero(weights.any(axis=0))
    parts = [state.take(parents[:, column]) for column in used]
    live = {}
    for number, axis in state.axes.items():
        total: Tensor | None = None
        for column, part in zip(used, parts, strict=True):
            tensor = part.live[number]
            weight = torch.as_tensor(weights[:, column]).repeat_interleave(axis.per)
            weight = weight.reshape([-1 if dim == axis.dim else 1 for dim in range(tensor.dim())])
            total = tensor.mul_(weight) if total is None else total.addcmul_(tensor, weight)
        assert total is not None
        live[number] = total
    return State(state.index, len(parents), live, state.axes)


def _array(z: Tensor) -> Floats:
    found: Floats = z.detach().numpy()
    return found
