"""A measured number with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from normscope.claims.strict_json import decode_float, encode_float

_EXACT_DIGITS = 4
_MOST_DECIMALS = 12


@dataclass(frozen=True)
class Estimate:
    """A value and the two-sided interval around it.

    Args:
        value: what was measured.
        low: lower end of the interval.
        high: upper end.
        confidence: of the interval, such as 0.99; None where no chance is involved, and the interval is the value.

    Raises:
        ValueError: the ends are the wrong way round, or the confidence is not between 0 and 1.
    """

    value: float
    low: float
    high: float
    confidence: float | None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):  # numpy's become Python's
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.low > self.high:
            raise ValueError(f"an interval goes from low to high, not from {self.low:g} to {self.high:g}")
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise ValueError(f"a confidence lies between 0 and 1, not at {self.confidence:g}")

    def __str__(self) -> str:
        if self.confidence is None or self.low == self.value == self.high:
            return plain(self.value)
        numbers = [_rounded(number, self.high - self.low) for number in (self.value, self.low, self.high)]
        return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` gives it back."""
        ends = {name: encode_float(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "confidence": self.confidence}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Estimate:
        """The estimate that `to_json` wrote."""
        ends = [decode_float(told[name]) for name in ("value", "low", "high")]
        return cls(ends[0], ends[1], ends[2], told["confidence"])


def plain(value: float) -> str:
    """A number in few characters: ``0.3183``, ``1.2e-07``, ``12``."""
    return _signed(f"{value:.{_EXACT_DIGITS}g}")


def _rounded(value: float, spread: float) -> str:
    """``value`` as finely as two digits of ``spread`` tell."""
    if not (math.isfinite(value) and math.isfinite(spread) and spread > 0):
        return plain(value)
    decimals = 1 - math.floor(math.log10(spread))
    size = max(abs(value), spread)
    if size < 1e-4 or size >= 1e6:
        digits = min(max(math.floor(math.log10(size)) + decimals, 1), _MOST_DECIMALS)
        return _signed(f"{value:.{digits}e}")
    return _signed(f"{value:.{min(max(decimals, 0), _MOST_DECIMALS)}f}")


def _signed(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
