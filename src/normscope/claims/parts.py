"""What a claim says, one measured number at a time, held against what is expected of it.

Three kinds show that something *is* so: the whole interval must lie where the claim has it (`at_least`, `at_most`,
`within`). If the claim is false, that happens with at most the chance that the interval misses; for one limit with half
of it, since intervals are two-sided. The fourth, `agrees_with`, finds nothing against it: with few samples anything
agrees with anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from normscope.claims.estimate import Estimate, plain
from normscope.claims.strict_json import decode_float, encode_float


@dataclass(frozen=True)
class Expected:
    """Where a number is expected: from ``low`` to ``high``; infinite where there is no limit, equal for one value."""

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):  # numpy's become Python's
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.low <= self.high:
            raise ValueError(f"a number is expected from low to high, not from {self.low:g} to {self.high:g}")

    def __str__(self) -> str:
        if self.low == self.high:
            return plain(self.low)
        if math.isinf(self.low):
            return f"≤ {plain(self.high)}"
        return f"≥ {plain(self.low)}" if math.isinf(self.high) else f"{plain(self.low)} to {plain(self.high)}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` gives it back."""
        return {"low": encode_float(self.low), "high": encode_float(self.high), "text": str(self)}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Expected:
        """What `to_json` wrote."""
        return cls(decode_float(told["low"]), decode_float(told["high"]))


@dataclass(frozen=True)
class Part:
    """One number of a claim.

    Attributes:
        name: what was measured, in a few words.
        measured: the number and its interval.
        expected: where the claim has it.
        holds: whether the criterion is met.
    """

    name: str
    measured: Estimate
    expected: Expected
    holds: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.measured}, {self._relation} {self.expected}"

    @property
    def _relation(self) -> str:
        if self.holds:
            return "expected"
        apart = self.measured.high < self.expected.low or self.measured.low > self.expected.high
        if apart or self.measured.confidence is None:
            return "but expected"
        bounded = self.expected.low < self.expected.high and not math.isinf(self.expected.high - self.expected.low)
        return "not shown to lie in" if bounded else "not shown to be"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` gives it back."""
        return {
            "name": self.name,
            "measured": self.measured.to_json(),
            "expected": self.expected.to_json(),
            "holds": self.holds,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Part:
        """The part that `to_json` wrote."""
        measured, expected = Estimate.from_json(told["measured"]), Expected.from_json(told["expected"])
        return cls(told["name"], measured, expected, told["holds"])


def at_least(name: str, measured: Estimate, limit: float) -> Part:
    """Shown to be ≥ ``limit``: so is the whole interval."""
    return within(name, measured, limit, math.inf)


def at_most(name: str, measured: Estimate, limit: float) -> Part:
    """Shown to be ≤ ``limit``: so is the whole interval."""
    return within(name, measured, -math.inf, limit)


def within(name: str, measured: Estimate, low: float, high: float) -> Part:
    """Shown to lie from ``low`` to ``high``: so does the whole interval.

    For equality up to a margin this is the test of equivalence by inclusion of the interval (Schuirmann 1987).

    Raises:
        ValueError: ``low`` is not below ``high``, or one of them is NaN.
    """
    expected = Expected(low, high)
    # comparisons with NaN are false: what could not be measured does not hold
    inside = [expected.low <= x <= expected.high for x in (measured.low, measured.value, measured.high)]
    return Part(name, measured, expected, all(inside))


def agrees_with(name: str, measured: Estimate, value: float) -> Part:
    """Nothing speaks against ``value``: the interval covers it.

    Raises:
        ValueError: ``value`` is NaN.
    """
    return Part(name, measured, Expected(value, value), measured.low <= float(value) <= measured.high)
