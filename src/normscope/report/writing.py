"""Numbers, names, lists and lines through depth as text, in sentences and in the characters of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

Form = Literal["number", "cosine", "percent", "index"]

_BARS = "▁▂▃▄▅▆▇█"


def number(value: float) -> str:
    """Three significant digits; powers of ten where they are shorter; a dash where there is no number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    # the form follows the rounded number: 999.7 is a thousand, 0.00996 a hundredth
    if float(f"{abs(value):.1e}") >= 1e-2 and float(f"{abs(value):.3g}") < 1000:
        return f"{value:#.3g}".rstrip(".").replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{power}".replace("-", "−")


def cosine(value: float) -> str:
    """A cosine to two decimals."""
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def joined(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def form(value: Any, kind: Form) -> str:
    """A number in at most eight characters."""
    if pd.isna(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if kind == "index":
        return str(int(value)) if value >= 0 else "–"
    if kind == "percent":
        return f"{100 * value:.0f}%"
    if kind == "cosine":
        return f"{value:.2f}".replace("-0.00", "0.00")
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def elide(text: str, width: int) -> str:
    """``text`` in ``width`` columns: the middle is left out where it is longer, for both ends of a name tell most."""
    if cell_len(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    head = (width - 1) // 2
    tail = width - 1 - head
    end = text[-tail:]
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(text, head) + "…" + end


def short_path(name: str, width: int) -> str:
    """A layer's dotted name in ``width`` columns: words become their first letters, from the left, as few as needed.

    ``encoder.stages.0.layers.1.conv`` in 20 columns is ``e.s.0.l.1.conv``: numbers, which tell layers apart, stay.
    What is still too long loses its middle (`elide`).
    """
    parts = name.split(".")
    for place, part in enumerate(parts[:-1]):
        if cell_len(".".join(parts)) <= width:
            break
        if part and not part.isdigit():
            parts[place] = part[0]
    return elide(".".join(parts), width)


def sparkline(values: NDArray[np.float64], width: int, *, logarithmic: bool) -> str:
    """A line of bars from the smallest to the largest value; medians of neighbours where there are too many values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log10(values) if logarithmic else values
    heights = np.where(np.isfinite(heights), heights, np.nan)
    chunks = np.array_split(heights, min(width, len(heights)))
    merged = [float(np.nanmedian(chunk)) if np.isfinite(chunk).any() else math.nan for chunk in chunks]
    known = [value for value in merged if not math.isnan(value)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    flat = high - low <= 1e-9 * max(abs(high), abs(low))
    top = len(_BARS) - 1
    places = [3 if flat else 0 if math.isnan(v) else round(top * (v - low) / (high - low)) for v in merged]
    return "".join(" " if math.isnan(v) else _BARS[place] for v, place in zip(merged, places, strict=True))
