"""How many regions hyperplanes in general position make of a space, and how many of these are bounded.

The units of one layer of a piecewise-linear network. With random offsets their hyperplanes are in general position;
with offsets at the mean of the batch, as recentering sets them, they all go through one point.
"""

from __future__ import annotations

import math
import operator
from typing import SupportsIndex


def region_count(units: SupportsIndex, inputs: SupportsIndex, *, central: bool = False) -> int:
    """Σ_(i<=d) C(m, i), or, all through one point, 2 Σ_(i<d) C(m − 1, i): regions of m hyperplanes in d dimensions.

    Args:
        units: m >= 0.
        inputs: d >= 1.
        central: All hyperplanes go through one point, and no d of their normals are linearly dependent.

    Raises:
        ValueError: ``units`` < 0 or ``inputs`` < 1.

    Source: Schläfli; Cover (1965) for the central ones, Zaslavsky (1975) for all.
    """
    m, d = _checked(units, inputs)
    if not central:
        return sum(math.comb(m, i) for i in range(d + 1))
    return 2 * sum(math.comb(m - 1, i) for i in range(d)) if m else 1


def bounded_region_count(units: SupportsIndex, inputs: SupportsIndex, *, central: bool = False) -> int:
    """C(m − 1, d), or, all through one point, 0: bounded regions of m hyperplanes in d dimensions.

    So a layer of random offsets has a bounded region, almost surely, if and only if it has more units than inputs.
    Regions of hyperplanes through one point are cones: a recentered layer never has one.

    Args:
        units: m >= 0.
        inputs: d >= 1.
        central: All hyperplanes go through one point.

    Raises:
        ValueError: ``units`` < 0 or ``inputs`` < 1.

    Source: Zaslavsky, Facing up to arrangements (1975); the consequence for layers is that of Riedi, Balestriero and
    Baraniuk (PMLR 334, 2026).
    """
    m, d = _checked(units, inputs)
    return 0 if central or m == 0 else math.comb(m - 1, d)


def _checked(units: SupportsIndex, inputs: SupportsIndex) -> tuple[int, int]:
    m, d = operator.index(units), operator.index(inputs)
    if m < 0:
        raise ValueError(f"a layer has at least 0 units, got {m}")
    if d < 1:
        raise ValueError(f"a layer has at least 1 input, got {d}")
    return m, d
