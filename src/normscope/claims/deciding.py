"""Which part of a claim to show where there is place for one: the one on which the verdict hangs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normscope.claims.parts import Part


def deciding(parts: Sequence[Part]) -> Part | None:
    """The first part that does not hold, or else the tightest one; None if there are no parts.

    The tightest is the one whose interval takes most of the way from its value to a limit. What is exact takes none of
    it; among such parts it is the one whose value is nearest to a limit, relative to the larger of both. What is
    infinite, or NaN, is near to nothing. Of equally tight parts it is the first.
    """
    failing = next((part for part in parts if not part.holds), None)
    return failing or max(parts, key=_strain, default=None)


def _strain(part: Part) -> tuple[float, float]:
    """How much of the way to a limit the interval takes, in [0, 1] of what holds; and how near the value is to it."""
    measured, expected = part.measured, part.expected
    if expected.low == expected.high:  # the interval covers the value that is expected
        x = expected.low
        reach = measured.value - measured.low if x < measured.value else measured.high - measured.value
        return _share(abs(x - measured.value), reach), _nearness(measured.value, x)
    limits = [(expected.low, measured.low), (expected.high, measured.high)]
    strains = [
        (_share(abs(end - measured.value), abs(limit - measured.value)), _nearness(measured.value, limit))
        for limit, end in limits
        if math.isfinite(limit)
    ]
    return max(strains, default=(0.0, 0.0))


def _share(part: float, whole: float) -> float:
    # ∞ / ∞ is NaN, which no order knows: the largest would depend on where it stands
    return part / whole if math.isfinite(part) and part > 0 and whole > 0 else 0.0


def _nearness(value: float, limit: float) -> float:
    if not (math.isfinite(value) and math.isfinite(limit)):
        return 0.0
    size = max(abs(value), abs(limit))
    return 1 - abs(value - limit) / size if size else 1.0
