"""The partition of a window by clipping polygons, one region after another, in exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Point = tuple[Fraction, Fraction]
Affine = tuple[Fraction, Fraction, Fraction]  # a·x + b·y + c
Layer = tuple[list[list[Fraction]], list[Fraction]]  # weight, bias


@dataclass(frozen=True)
class Piece:
    """A region, the model's units on it as affine functions, and how many of the units so far were active."""

    polygon: list[Point]
    units: list[Affine]
    active: int


@dataclass(frozen=True)
class Bend:
    """A non-linearity: ``slopes[i]`` between kinks i − 1 and i; or the maximum of ``pool`` neighbouring units."""

    kinks: tuple[int, ...] = (0,)
    slopes: tuple[Fraction, ...] = (Fraction(0), Fraction(1))
    pool: int = 0


def regions(layers: Sequence[Layer], bends: Sequence[Bend], extent: tuple[int, int, int, int]) -> list[Piece]:
    """The regions of a perceptron with two inputs; the last layer has no bend."""
    left, right, bottom, top = map(Fraction, extent)
    window = [(left, bottom), (right, bottom), (right, top), (left, top)]
    one, zero = Fraction(1), Fraction(0)
    pieces = [Piece(window, [(one, zero, zero), (zero, one, zero)], 0)]
    for layer, bend in zip(layers, bends, strict=False):
        pieces = [done for piece in pieces for done in _bent(_linear(piece, layer), bend)]
    return pieces


def area(polygon: list[Point]) -> Fraction:
    """By the shoelace formula."""
    turns = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum((x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in turns), Fraction(0)) / 2


def inside(polygon: list[Point]) -> tuple[float, float]:
    """The mean of the vertices."""
    return tuple(float(sum(axis) / len(polygon)) for axis in zip(*polygon, strict=True))  # type: ignore[return-value]  # two axes


def _linear(piece: Piece, layer: Layer) -> Piece:
    weight, bias = layer
    units = []
    for row, offset in zip(weight, bias, strict=True):
        a, b, c = (sum((w * unit[k] for w, unit in zip(row, piece.units, strict=True)), Fraction(0)) for k in range(3))
        units.append((a, b, c + offset))
    return Piece(piece.polygon, units, piece.active)


def _bent(piece: Piece, bend: Bend) -> list[Piece]:
    return _pooled(piece, bend.pool) if bend.pool else _kinked(piece, bend)


def _kinked(piece: Piece, bend: Bend) -> list[Piece]:
    polygons = [piece.polygon]
    for a, b, c in piece.units:
        for kink in bend.kinks:
            line = (a, b, c - kink)
            polygons = [part for polygon in polygons for part in _halves(polygon, line)]
    done = []
    for polygon in polygons:
        units, active = [], piece.active
        for unit in piece.units:
            below = sum(_most(polygon, unit) > kink for kink in bend.kinks)
            active += below == 1
            units.append(_on_branch(unit, bend, below))
        done.append(Piece(polygon, units, active))
    return done


def _on_branch(unit: Affine, bend: Bend, below: int) -> Affine:
    """The function on its branch, continuous at the kinks and with value kinks[0] · slopes[1] at the first."""
    slope = bend.slopes[below]
    anchor = bend.kinks[max(below - 1, 0)]
    value = bend.kinks[0] * bend.slopes[1] if below < 2 else bend.kinks[1] * bend.slopes[1]
    a, b, c = unit
    return slope * a, slope * b, slope * (c - anchor) + value


def _pooled(piece: Piece, size: int) -> list[Piece]:
    parts = [(piece.polygon, list[Affine]())]
    for start in range(0, len(piece.units) - size + 1, size):
        window = list(dict.fromkeys(piece.units[start : start + size]))
        parts = [
            (where, [*chosen, candidate])
            for polygon, chosen in parts
            for candidate in window
            if (where := _where_largest(polygon, candidate, window))
        ]
    return [Piece(polygon, units, piece.active) for polygon, units in parts]


def _where_largest(polygon: list[Point], candidate: Affine, window: list[Affine]) -> list[Point]:
    for other in window:
        if other != candidate:
            polygon = _clipped(polygon, tuple(p - q for p, q in zip(candidate, other, strict=True)))  # type: ignore[arg-type]  # three numbers
    return polygon


def _halves(polygon: list[Point], line: Affine) -> list[list[Point]]:
    a, b, c = line
    if a == b == 0:
        return [polygon]
    return [part for part in (_clipped(polygon, line), _clipped(polygon, (-a, -b, -c))) if part]


def _clipped(polygon: list[Point], line: Affine) -> list[Point]:
    """The part where the line is ≥ 0, empty if it has no area."""
    kept: list[Point] = []
    for here, there in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        at_here, at_there = _at(line, here), _at(line, there)
        if at_here >= 0:
            kept.append(here)
        if at_here * at_there < 0:
            share = at_here / (at_here - at_there)
            kept.append((here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])))
    return kept if len(kept) > 2 and area(kept) > 0 else []


def _most(polygon: list[Point], unit: Affine) -> Fraction:
    """The unit at the mean of the vertices: inside, where it is at no kink unless it is everywhere."""
    x, y = (sum(axis, Fraction(0)) / len(polygon) for axis in zip(*polygon, strict=True))
    return _at(unit, (x, y))


def _at(line: Affine, point: Point) -> Fraction:
    return line[0] * point[0] + line[1] * point[1] + line[2]
