"""Curves of solutions: pseudo-arclength continuation of F(x, t) = 0, F: ℝᵐ × ℝ → ℝᵐ, through folds in t.

Keller (1977). Along the curve functions are watched, and where one of them changes sign the place is solved for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]
Equation = Callable[[Array], tuple[Array, Array]]
"""y = (x, t) to F (m,) and its derivative (m, m + 1)."""

_LONGEST, _SHORTEST, _FIRST = 0.3, 1e-6, 0.02
_EDGE = 1e-4  # how close the curve comes to the edge of the domain
_TURN = 0.25  # radians between tangents of neighbouring points
_NEWTON, _CONVERGED, _STUCK = 8, 1e-11, 1e-9
_SAME = 1e-7  # distance in y at which two solutions are one


@dataclass(frozen=True)
class CurvePoint:
    """A point of the curve, and its unit tangent, which goes on in the direction of travel."""

    y: Array
    tangent: Array

    @property
    def t(self) -> float:
        """The parameter."""
        return float(self.y[-1])


def follow(
    equation: Equation, start: Array, direction: float, inside: Callable[[Array], bool], most: int = 600
) -> list[CurvePoint]:
    """The curve from a solution on, towards larger (``direction`` 1) or smaller (−1) t, as long as it is ``inside``.

    It also ends where F cannot be solved any more (it leaves the domain), and at its start if it comes back to it: the
    last point is then the first.

    Args:
        equation: F and its derivative.
        start: (m + 1,), a solution.
        direction: of t at the start.
        inside: whether a point is to be kept.
        most: points.
    """
    ahead = np.zeros(start.size)
    ahead[-1] = direction
    here = _point(equation(start)[1], start, ahead)
    if here is None:
        return []
    points, length = [here], _FIRST
    bend = np.zeros(start.size)
    while len(points) < most and length > _SHORTEST:
        if length > _EDGE and not inside(_ahead(here, length, bend)):
            length /= 2  # up to the edge
            continue
        there = along(equation, here, length, bend)
        if there is None or float(there.tangent @ here.tangent) < np.cos(_TURN):
            length /= 2
            continue
        if not inside(there.y):
            if length < _EDGE:
                break
            length /= 2
            continue
        if _passes(equation, here, there, points[0], bend):
            points.append(points[0])
            break
        points.append(there)
        bend = _bend(here, there)
        here, length = there, min(1.5 * length, _LONGEST)
    return points


def along(equation: Equation, point: CurvePoint, length: float, bend: Array | None = None) -> CurvePoint | None:
    """The curve's point at which the projection on the tangent is ``length``; None where there is none nearby.

    Args:
        equation: F and its derivative.
        point: of the curve.
        length: from there, along the tangent.
        bend: how fast the tangent turns there, where it is known: Newton's method then starts closer.
    """
    guess = point.y + length * point.tangent
    y = guess if bend is None else _ahead(point, length, bend)
    last = np.inf
    for _ in range(_NEWTON):
        value, derivative = equation(y)
        system = np.vstack([derivative, point.tangent])
        if not (np.all(np.isfinite(system)) and np.all(np.isfinite(value))):
            return None
        move = np.linalg.lstsq(system, -np.append(value, (y - guess) @ point.tangent), rcond=None)[0]
        size = float(np.abs(move).max())
        if size > 1:
            return None
        y = y + move
        # rounding may keep Newton's steps from becoming smaller
        if size < _CONVERGED or last / 2 < size < _STUCK:
            break
        last = size
    else:
        if size > _STUCK:
            return None
    return _point(derivative, y, point.tangent)


def crossing(
    equation: Equation, before: CurvePoint, after: CurvePoint, watched: Callable[[CurvePoint], float]
) -> CurvePoint | None:
    """Where between two neighbouring points ``watched`` is 0; None where it jumps, or the curve is lost."""
    length, bend = float((after.y - before.y) @ before.tangent), _bend(before, after)
    lost = False

    def value(s: float) -> float:
        nonlocal lost
        point = before if s == 0 else along(equation, before, s, bend)
        if point is None:
            lost = True
            return 0.0
        return watched(point)

    ends = value(0.0), value(length)
    if lost or not np.all(np.isfinite(ends)) or ends[0] * ends[1] > 0:
        return None
    place = float(brentq(value, 0.0, length, xtol=1e-13, rtol=1e-14))
    return None if lost else along(equation, before, place, bend)


def _passes(equation: Equation, before: CurvePoint, after: CurvePoint, first: CurvePoint, bend: Array) -> bool:
    """Whether the step from ``before`` to ``after`` passes ``first``, in the direction in which the curve left it."""
    length, place = ((point.y - before.y) @ before.tangent for point in (after, first))
    if not 0 < place <= length or float(np.linalg.norm(first.y - before.y)) > 2 * length:
        return False
    reached = along(equation, before, float(place), bend)
    if reached is None or float(np.abs(reached.y - first.y).max()) > _SAME:
        return False
    return bool(reached.tangent @ first.tangent > np.cos(_TURN))


def _ahead(point: CurvePoint, length: float, bend: Array) -> Array:
    """(m + 1,): where the curve is at ``length`` along the tangent, up to its third derivative."""
    across = bend - (bend @ point.tangent) * point.tangent
    return np.asarray(point.y + length * point.tangent + length**2 / 2 * across)


def _bend(before: CurvePoint, after: CurvePoint) -> Array:
    """(m + 1,): how the tangent turns between two points, over their distance."""
    return np.asarray((after.tangent - before.tangent) / np.linalg.norm(after.y - before.y))


def _point(derivative: Array, y: Array, ahead: Array) -> CurvePoint | None:
    """With the tangent that goes ``ahead``, from the derivative of F there (or where Newton's last step began)."""
    system = np.vstack([derivative, ahead])
    if not np.all(np.isfinite(system)):
        return None
    tangent = np.linalg.lstsq(system, np.append(np.zeros(y.size - 1), 1.0), rcond=None)[0]
    size = np.linalg.norm(tangent)
    return CurvePoint(y, tangent / size) if size > 0 else None


def sign_changes(values: Sequence[float]) -> list[int]:
    """The places i at which value i + 1 has another sign than value i; nan and infinities count for nothing."""
    found = []
    for i in range(len(values) - 1):
        a, b = values[i], values[i + 1]
        if np.isfinite(a) and np.isfinite(b) and (a < 0 <= b or b < 0 <= a):
            found.append(i)
    return found
