"""Floats in strict JSON, which knows no NaN and no infinity."""

from __future__ import annotations

import math


def encode_float(value: float) -> float | str:
    """``value`` itself, or as text where it is not finite: "nan", "inf", "-inf". `decode_float` gives it back."""
    number = float(value)  # numpy's float64 prints like Python's own, its float32 does not
    return number if math.isfinite(number) else str(number)


def decode_float(told: float | str) -> float:
    """The number that `encode_float` wrote, bit for bit."""
    return float(told)
