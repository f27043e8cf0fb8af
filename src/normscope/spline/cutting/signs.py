"""On which side of every line each vertex lies: decided once a vertex, in bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.columns import Columns
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers

Bits = NDArray[np.uint64]

# A unit is at its kink, and the vertex lies on its line, within the tolerance: the larger of TOLERANCE times its scale
# and _NOISE times what rounding was seen to do to it. The scale is its largest |z| (at least _FLOOR of the largest of
# all units) at the first vertices, among them the corners of the window. So rounding never decides a sign.
TOLERANCE = 2.0**-40
_NOISE = 2.0**6
_FLOOR = 2.0**-8
_WORD = 64
_GATHERED = 2**26  # bytes
_ONES = np.array([bin(number).count("1") for number in range(2**16)], dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Signs:
    """Bit c of row v: whether column c is above (below) zero at vertex v; neither is on the line.

    Attributes:
        above, below: (vertices, words).
        of_units: tolerance of each unit of z, (units,).
        tolerance: |column| up to which a vertex is on the line, (columns,).
    """

    above: Bits
    below: Bits
    of_units: Floats
    tolerance: Floats

    def of(self, vertices: Integers, columns: Integers) -> NDArray[np.int8]:
        """1, −1 or 0 for each pair of a vertex and a column."""
        at = vertices * self.above.shape[1] + (columns >> 6)
        bit = (columns & 63).astype(np.uint64)
        one = np.uint64(1)
        above = (self.above.ravel()[at] >> bit) & one
        below = (self.below.ravel()[at] >> bit) & one
        found: NDArray[np.int8] = above.astype(np.int8) - below.astype(np.int8)
        return found


def decide(columns: Columns, vertices: int, pieces: Iterable[tuple[slice, Floats]], noise: Floats) -> Signs:
    """The signs of all columns at all vertices, from z in pieces, and what rounding does to each unit of it."""
    words = -(-len(columns) // _WORD)
    above = np.zeros((vertices, words), dtype=np.uint64)
    below = np.zeros_like(above)
    of_units = tolerance = np.empty(0)
    for rows, z in pieces:
        if not len(tolerance):
            largest = np.abs(z).max(axis=0)
            scale = np.maximum(largest, _FLOOR * largest.max())
            of_units = np.maximum(TOLERANCE * scale, _NOISE * noise)
            tolerance = columns.tolerance(of_units, TOLERANCE)
        values = columns.values(z)
        above[rows] = _packed(values > tolerance, words)
        below[rows] = _packed(values < -tolerance, words)
    return Signs(above, below, of_units, tolerance)


def on_faces(
    signs: Signs, vertices: Integers, starts: Integers, steps: Integers
) -> tuple[Integers, Integers, Integers]:
    """Which columns have both signs on a face, and how many units are active on all of it.

    Args:
        signs: of all vertices.
        vertices: of the faces, end to end.
        starts: where each face starts in ``vertices``.
        steps: what being above zero adds to the number of active units, (columns,).

    Returns:
        Faces and columns of the pairs, sorted by face; and for each face the sum of ``steps`` over columns that are
        above zero somewhere on it and nowhere below.
    """
    words = signs.above.shape[1]
    masks = [(value, _packed((steps == value)[None], words)) for value in np.unique(steps) if value]
    active = np.zeros(len(starts) - 1, dtype=np.int64)
    faces, columns = [], []
    for low, high in _portions(starts, _GATHERED // (8 * max(1, words))):
        part, first = vertices[starts[low] : starts[high]], starts[low:high] - starts[low]
        above = np.bitwise_or.reduceat(signs.above[part], first, axis=0)
        below = np.bitwise_or.reduceat(signs.below[part], first, axis=0)
        for value, mask in masks:
            active[low:high] += value * _ones(above & ~below & mask)
        both = (above & below).astype(np.uint64, copy=False)
        face, word = np.nonzero(both)
        entry, bit = np.nonzero(_unpacked(both[face, word]))
        faces.append(face[entry] + low)
        columns.append(word[entry] * _WORD + bit)
    return np.concatenate(faces), np.concatenate(columns), active


def _portions(starts: Integers, most: int) -> Iterable[tuple[int, int]]:
    """Ranges of faces with up to ``most`` vertices (or one face)."""
    low, faces = 0, len(starts) - 1
    while low < faces:
        high = max(low + 1, int(np.searchsorted(starts, starts[low] + most, side="right")) - 1)
        yield low, high
        low = high


def _packed(bits: NDArray[np.bool_], words: int) -> Bits:
    packed = np.packbits(bits, axis=1, bitorder="little")
    padded = np.zeros((len(bits), words * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def _unpacked(words: Bits) -> NDArray[np.uint8]:
    return np.unpackbits(words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")


def _ones(words: Bits) -> Integers:
    found: Integers = _ONES[words.view(np.uint16)].sum(axis=1, dtype=np.int64)
    return found
