"""Where fixed points are born, merge or change stability: solved for, in a real batch size or in a slope.

Every branch of fixed points is followed through its folds (`continuation`), and along it the leading eigenvalue of each
kind of change is watched (`branches`). normscope's own; the machinery is that of numerical bifurcation theory (Keller,
1977; Kuznetsov, Elements of Applied Bifurcation Theory).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from normscope.theory.activations.activation import Activation, PiecewiseLinear, activation
from normscope.theory.phases.branches import Family, Modes
from normscope.theory.phases.continuation import Array, CurvePoint, along, crossing, follow, sign_changes
from normscope.theory.phases.families import families

Parameter = Literal["n", "slope"]
Kind = Literal["birth", "death", "exchange", "symmetry breaking", "oscillation"]

LARGEST = 1000.0
"""Batch size up to which transitions are looked for, unless told otherwise."""

_SEEDS = 6
_SAME = 1e-4  # distance in (x, t) at which a root lies on a branch
_END = 1e-3  # by how much a branch may be short of where it ends
_BULGE = 0.2  # how far the curve may be from a chord, in chords: neighbouring tangents differ by 1/4
_BESIDE = 1e-3  # step along the branch to either side
_REAL = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Transition:
    """A value of the parameter at which fixed points appear, vanish or change what attracts."""

    kind: Kind
    """birth or death: two fixed points appear or vanish as the parameter grows; exchange: two pass through each other;
    symmetry breaking: points of a group begin or cease to leave it; oscillation: an eigenvalue passes −1 or a complex
    pair the unit circle."""
    parameter: Parameter
    value: float
    error: float
    """Absolute, of ``value``: rounding, through the slope of the equations solved."""
    family: str
    """Group sizes of the branch, and which of them are tight."""
    mode: str
    """What changes along the eigenvector: the groups as wholes, single points of one, or pairs of points."""
    eigenvalue: complex
    below: str
    """The branch just below: stable, saddle (one kind of change grows), unstable, or none."""
    above: str
    """The branch just above."""

    @property
    def attracts(self) -> bool:
        """Whether what attracts differs on the two sides."""
        return ("stable" in self.below.split()) != ("stable" in self.above.split())

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds: the eigenvalue as a pair."""
        return {**asdict(self), "eigenvalue": [self.eigenvalue.real, self.eigenvalue.imag], "attracts": self.attracts}


def transitions(
    recenter: bool,
    rescale: bool,
    activation_: str | Activation = "relu",
    *,
    parameter: Parameter = "n",
    n: int | None = None,
    low: float | None = None,
    high: float | None = None,
    first: Sequence[int] = (0, 1, 2),
    progress: Callable[[int, int], None] | None = None,
) -> list[Transition]:
    """The transitions of the fixed points of groups (k, n − k), all k in ``first``; 0 is the symmetric one.

    A branch is found if it passes one of six values of the parameter, and ends where its groups can no longer be told
    apart (cosines and norms alike to 1e-6).

    Args:
        recenter: as of `GramMap`.
        rescale: as of `GramMap`.
        activation_: as of `GramMap`, of degree 1 with rescaling; with ``parameter="slope"`` the leaky ReLU is meant.
        parameter: n, or the slope of the leaky ReLU for x < 0 at batch size ``n``. Slopes beyond ±1 are those within,
            of another scale and sign.
        n: batch size, with the slope.
        low: end of the range; 3 (or a few points more than k), or slope −0.999.
        high: end of the range; 1000, or slope 0.999.
        first: sizes k of the first group.
        progress: called with (families done, of how many).

    Returns:
        Transitions in the order of the parameter.

    Raises:
        ValueError: a range that is empty, no batch size with a slope, or a φ that has no quadrature with rescaling.
    """
    low, high = _range(parameter, n, low, high)
    if _alone(recenter, rescale, activation(activation_)) and parameter == "n":
        return []
    found: list[Transition] = []
    every = list(families(recenter, rescale, activation_, parameter, n, low, high, first))
    for i, (name, family, start, end) in enumerate(every):
        if progress is not None:
            progress(i, len(every))
        found += _of_family(name, family, parameter, start, end)
    return sorted(_different(found), key=lambda transition: transition.value)


def _alone(recenter: bool, rescale: bool, phi: Activation) -> bool:
    """Whether fixed points do not depend on n: entries are mapped one by one, or φ is linear and leaves continua."""
    linear = isinstance(phi, PiecewiseLinear) and phi.even == 0
    return linear or not (recenter or (rescale and phi.degree != 0))


def _different(found: list[Transition]) -> list[Transition]:
    """Each once: two parts of one branch may have been followed apart."""
    kept: list[Transition] = []
    for one in found:
        what = (one.kind, one.family, one.mode)
        if not any(
            what == (o.kind, o.family, o.mode) and abs(one.value - o.value) < _SAME * abs(o.value) for o in kept
        ):
            kept.append(one)
    return kept


def _range(parameter: Parameter, n: int | None, low: float | None, high: float | None) -> tuple[float, float]:
    if parameter == "slope" and (n is None or n < 3):
        raise ValueError(f"transitions in the slope need a batch size of at least 3, got n = {n}")
    defaults = (3.0, LARGEST) if parameter == "n" else (-0.999, 0.999)
    low, high = defaults[0] if low is None else float(low), defaults[1] if high is None else float(high)
    least, most = (2.0, 1e5) if parameter == "n" else (-1.0, 1.0)
    if not least <= low < high <= most:
        raise ValueError(f"{parameter} goes from low to high within {least:g} to {most:g}, got {low:g} to {high:g}")
    return low, high


def _of_family(name: str, family: Family, parameter: Parameter, start: float, end: float) -> Iterator[Transition]:
    followed: list[list[CurvePoint]] = []
    for t in np.linspace(start, end, _SEEDS):
        for root in family.roots(float(t)):
            if not any(_lies_on(branch, root, family) for branch in followed):
                branch = _branch(family, root, start, end)
                followed.append(branch)
                yield from _along(name, family, parameter, branch)


def _branch(family: Family, root: Array, start: float, end: float) -> list[CurvePoint]:
    """The branch through a root, from one of its ends to the other."""

    def inside(y: Array) -> bool:
        return start - 1e-9 <= y[-1] <= end + 1e-9 and family.inside(y) and family.distinct(y)

    up = follow(family.equation, root, 1.0, inside)
    if len(up) > 1 and up[-1] is up[0]:  # closed: the other direction is the same curve
        return up
    down = follow(family.equation, root, -1.0, inside)
    return [CurvePoint(point.y, -point.tangent) for point in reversed(down)] + up[1:]


def _lies_on(branch: list[CurvePoint], root: Array, family: Family) -> bool:
    """Whether a root lies between two neighbouring points of the branch: beside their chord, and on the curve."""
    for before, after in pairwise(branch):
        chord = after.y - before.y
        part = float((root - before.y) @ chord / (chord @ chord))
        lateral = float(np.linalg.norm(root - before.y - part * chord))
        over = _END / float(np.linalg.norm(chord))
        if not -over <= part <= 1 + over or lateral > _BULGE * np.linalg.norm(chord) + _SAME:
            continue
        reached = along(family.equation, before, float((root - before.y) @ before.tangent))
        if reached is not None and np.abs(reached.y - root).max() < _SAME:
            return True
    return False


def _along(name: str, family: Family, parameter: Parameter, branch: list[CurvePoint]) -> Iterator[Transition]:
    folds = []
    for i in sign_changes([point.tangent[-1] for point in branch]):
        fold = crossing(family.equation, branch[i], branch[i + 1], lambda point: float(point.tangent[-1]))
        if fold is not None:
            folds.append(fold)
            opens = branch[i + 1].tangent[-1] > 0
            yield _transition("birth" if opens else "death", name, family, parameter, fold)
    modes = [family.modes(point.y) for point in branch]
    for mode in sorted({which for at in modes for which in at.names}):

        def excess(point: CurvePoint, mode: str = mode) -> float:
            return _excess(family.modes(point.y), mode)

        for i in sign_changes([_excess(at, mode) for at in modes]):
            if min(abs(_excess(at, mode)) for at in modes[i : i + 2]) < _ROUNDING:
                continue  # 1 all along the branch: it is rounding that changes its sign
            place = crossing(family.equation, branch[i], branch[i + 1], excess)
            if place is None or abs(excess(place)) > _REAL:
                continue  # a jump: the kinds of change that there are depend on the sizes of the groups
            if any(np.abs(place.y - fold.y).max() < _SAME for fold in folds if mode == "groups"):
                continue
            at = family.modes(place.y)
            value = at.values[at.names.index(mode)]
            real = abs(value - 1) < _REAL
            kind: Kind = "oscillation" if not real else "exchange" if mode == "groups" else "symmetry breaking"
            yield _transition(kind, name, family, parameter, place, mode, excess)


def _excess(modes: Modes, mode: str) -> float:
    return float(np.abs(modes.values[modes.names.index(mode)])) - 1 if mode in modes.names else np.nan


def _transition(
    kind: Kind,
    name: str,
    family: Family,
    parameter: Parameter,
    at: CurvePoint,
    mode: str = "groups",
    excess: Callable[[CurvePoint], float] | None = None,
) -> Transition:
    beside = [along(family.equation, at, sign * _BESIDE) for sign in (-1, 1)]
    states = [_state(family.modes(point.y)) if point is not None else "unknown" for point in beside]
    if kind in ("birth", "death"):
        both = " and ".join(sorted(states))
        below, above = ("none", both) if kind == "birth" else (both, "none")
    else:
        below, above = states if at.tangent[-1] > 0 else states[::-1]
    modes = family.modes(at.y)
    value = float(np.exp(at.t)) if parameter == "n" else at.t
    error = _error(family, at, beside, excess) * (value if parameter == "n" else 1.0)
    eigenvalue = complex(modes.values[modes.names.index(mode)])
    return Transition(kind, parameter, value, error + 1e-15 * abs(value), name, mode, eigenvalue, below, above)


def _error(
    family: Family,
    at: CurvePoint,
    beside: Sequence[CurvePoint | None],
    excess: Callable[[CurvePoint], float] | None,
) -> float:
    """Of t. Of a fold, rounding in F over its slope in t; else that of the eigenvalue over its slope in t."""
    _, derivative = family.equation(at.y)
    rounding = 4 * family.rounding(at.y)
    if excess is None:
        return rounding / float(np.linalg.norm(derivative[:, -1]))
    left, right = beside
    if left is None or right is None:
        return np.inf
    own = derivative[:, :-1]
    displaced = rounding * float(np.linalg.norm(np.linalg.pinv(own))) if own.size else 0.0
    rise = abs(excess(right) - excess(left)) / abs(right.t - left.t)
    return (abs(excess(at)) + displaced + 1e-13) / rise if rise > 0 else np.inf


def _state(modes: Modes) -> str:
    if modes.outside == 0:
        return "stable"
    return "saddle" if modes.outside == 1 else "unstable"
