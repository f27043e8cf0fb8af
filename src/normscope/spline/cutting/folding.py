"""One fold: from the complex on whose faces its argument is affine to the one on whose faces its value is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normscope.spline.cutting.columns import Columns
from normscope.spline.cutting.complex import Complex, Floats, rectangle, selected
from normscope.spline.cutting.crossings import Crossings, crossings
from normscope.spline.cutting.envelope import Envelope, envelope
from normscope.spline.cutting.front import Front, joined
from normscope.spline.cutting.joining import born
from normscope.spline.cutting.mixing import Mixed, no_vertices, with_crossings
from normscope.spline.cutting.plane import Extent
from normscope.spline.cutting.ragged import Integers, starts_of
from normscope.spline.cutting.rounds import Cutter, lines_through
from normscope.spline.cutting.signs import Signs, decide, on_faces
from normscope.spline.cutting.subdivision import chord_ends, divide
from normscope.spline.cutting.values import Values

_SHARED = 8  # units with one line that are allowed for before lines are counted as regions
_ROUNDING = 2.0**-46  # of coordinates: points so close are one, 64 times the rounding of float64


class RegionLimit(Exception):
    """A fold makes more regions than allowed."""


@dataclass(frozen=True, eq=False)
class Folded:
    """A window, cut by the folds so far.

    Attributes:
        complex: its pieces.
        mixed: what the vertices are made of that the last fold made.
        tolerances: for each fold, up to which size |z − kink| of its units counted as zero, (units,).
        doubtful: pairs of a face and a column that were left out because rounding left their signs without sense.
    """

    complex: Complex
    mixed: Mixed
    tolerances: tuple[Floats, ...] = ()
    doubtful: int = 0


def unfolded(extent: Extent) -> Folded:
    """The window before the first fold."""
    return Folded(rectangle(extent), no_vertices())


def fold_once(before: Folded, columns: Columns, values: Values, limit: int, tick: Callable[[float], None]) -> Folded:
    """Every face cut where a column of the next fold is zero.

    Args:
        before: the window before it.
        columns: of the fold.
        values: of the folds' arguments.
        limit: most regions allowed.
        tick: called with the share of the fold that is done.

    Raises:
        RegionLimit: there would be more than ``limit``.
    """
    complex_, fold = before.complex, len(before.tolerances)
    vertices = complex_.tails()
    noise = values.noise(complex_.xy, complex_.ends, fold)
    signs = decide(columns, len(complex_.xy), values.pieces(complex_.xy, fold, before.mixed), noise)
    face, column, active = on_faces(signs, vertices, complex_.starts, columns.step)
    complex_ = replace(complex_, active=complex_.active + active)
    # every line that crosses a face adds one to its regions, but for units that share their line
    more = max(len(np.unique(face)), len(face) // _SHARED)
    if columns.windows is None and complex_.faces + more > limit:
        raise RegionLimit
    tick(0.5)
    chords = crossings(complex_, vertices, signs, face, column)
    ends = chord_ends(complex_, chords, columns, values)
    upper: Envelope | None = None
    if columns.windows is not None:
        upper = envelope(complex_, chords, ends, columns, signs.tolerance, values)
        folds = upper.folds()
        upper, chords, ends = upper.taken(folds), chords.taken(folds), ends.taken(folds)
    values.release()
    if not len(chords.face):
        return _after(before, complex_, no_vertices(), signs, chords)
    near = np.maximum(_ROUNDING * _size(complex_), ends.blur(complex_, signs.tolerance[chords.column]))
    divided, places, on_edges = divide(complex_, chords, ends, near)
    at = divided.xy[divided.tails()[places]]
    lines = lines_through(at[:, 0], at[:, 1], columns.step[chords.column], near)
    cutter = Cutter(divided.xy, len(divided.ends), lines)
    done = _cut(cutter, _front(divided, places, chords, len(columns)), limit - complex_.faces)
    first = len(divided.xy)
    mixed = with_crossings(on_edges, len(complex_.xy), divided, places, cutter.on.rows, cutter.xy.rows[first:])
    cut, parent = _assembled(divided, cutter, done, fold)
    inside = slice(first - len(complex_.xy), None)
    cut.xy[first:] = (mixed.weights[inside, :, None] * complex_.xy[mixed.parents[inside]]).sum(axis=1)
    if upper is not None:
        cut, used = upper.joined(cut, parent, divided, cutter.same, at)
        mixed = mixed.taken(used[len(complex_.xy) :])
    else:
        owner = cut.column[len(divided.ends) :]
        owner[:] = chords.column[owner]
    return _after(before, cut, mixed, signs, chords)


def _after(before: Folded, complex_: Complex, mixed: Mixed, signs: Signs, chords: Crossings) -> Folded:
    tolerances = (*before.tolerances, signs.of_units)
    return Folded(complex_, mixed, tolerances, before.doubtful + chords.doubtful)


def _size(complex_: Complex) -> float:
    """Of the numbers that coordinates in the window are, and of the window."""
    corners = complex_.xy[:4]
    return float(np.abs(corners).max() + np.ptp(corners, axis=0).max())


def _front(divided: Complex, places: Integers, chords: Crossings, columns: int) -> Front:
    """The crossed faces, with their chords in random order."""
    rank = np.random.default_rng(0).permutation(columns)[chords.column]
    order = np.lexsort((rank, chords.face))
    counts = np.bincount(chords.face, minlength=divided.faces)
    faces = np.flatnonzero(counts)
    starts, cycles = selected(divided.starts, divided.cycles, faces)
    place = (places - divided.starts[chords.face][:, None])[order]
    return Front(
        starts,
        cycles,
        divided.ends.ravel()[cycles],
        faces,
        divided.active[faces],
        starts_of(counts[faces]),
        order,
        place[:, 0],
        place[:, 1],
    )


def _cut(cutter: Cutter, front: Front, more: int) -> Front:
    """All faces cut by all of their chords, into up to ``more`` faces more."""
    most = len(front) + more
    done: list[Front] = []
    faces = 0
    while len(front):
        front = cutter.round(front)
        ready = np.diff(front.chord_starts) == 0
        done.append(front.taken(ready))
        front = front.taken(~ready)
        faces += len(done[-1])
        if faces + len(front) > most:
            raise RegionLimit
    return joined(done)


def _assembled(divided: Complex, cutter: Cutter, done: Front, fold: int) -> tuple[Complex, Integers]:
    """The complex of the cut faces and those that no chord crossed; and which face each was before.

    New edges have the number of their chord as column.
    """
    crossed = np.zeros(divided.faces, dtype=np.bool_)
    crossed[done.parent] = True
    whole = np.flatnonzero(~crossed)
    starts, cycles = selected(divided.starts, divided.cycles, whole)
    parent = np.concatenate([whole, done.parent])
    cut = Complex(
        cutter.xy.rows,
        np.concatenate([divided.ends, cutter.ends.rows]),
        np.concatenate([divided.fold, np.full(len(cutter.chord), fold)]),
        np.concatenate([divided.column, cutter.chord.rows]),
        starts_of(np.concatenate([np.diff(starts), done.sizes()])),
        np.concatenate([cycles, done.cycles]),
        born(parent, divided.born, fold),
        np.concatenate([divided.active[whole], done.active]),
    )
    return cut, parent
