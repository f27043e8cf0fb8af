"""What the script of a trace's page draws: columns of numbers, cosine matrices and channels packed into bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.loading import one_line
from normscope.report.inspection.joined import Joined, join
from normscope.report.inspection.quantities import Quantity, quantities_of
from normscope.report.inspection.standouts import trouble
from normscope.report.inspection.words import words
from normscope.report.packing import base64_of, pack_cosines
from normscope.tracing import Trace

_SHOWN = 64  # samples in a heat map: more are not told apart by eye
_COSINES = 2_700_000  # bytes of all cosine matrices together: of very deep networks fewer samples are shown
_CHANNELS = 900_000  # bytes of all sorted channels together
_NAME = 300  # characters of a layer's name

TROUBLE = Quantity(
    "trouble",
    "trouble",
    "Trouble",
    "cosine",
    "unit",
    "Where to look first: the largest of not finite (1), dead channels, mean cosine, odd-point score, and a tenth of "
    "the decades that the size of outputs or gradients lies from the median layer's.",
)


def trace_payload(traces: Sequence[Trace], names: Sequence[str]) -> dict[str, Any]:
    """Everything the script draws, as plain JSON.

    Args:
        traces: one or two.
        names: what each is called.
    """
    joined = join(traces)
    calls = max(1, sum(len(trace.table) for trace in traces))
    several = joined.labels["layer"].duplicated(keep=False)
    return {
        "quantities": [quantity._asdict() for quantity in page_quantities(traces)],
        "layers": [
            one_line(f"{layer} (call {call})" if repeated else str(layer), _NAME)
            for layer, call, repeated in zip(joined.labels["layer"], joined.labels["call"], several, strict=True)
        ],
        "kinds": [one_line(str(kind), _NAME) for kind in joined.labels["kind"]],
        "shapes": list(joined.labels["shape"]),
        "networks": [
            _network(trace, name, joined, which, calls)
            for which, (trace, name) in enumerate(zip(traces, names, strict=True))
        ],
    }


def page_quantities(traces: Sequence[Trace]) -> list[Quantity]:
    """The columns of the page."""
    return [*quantities_of(traces), TROUBLE]


def shown_samples(trace: Trace, calls: int) -> list[int]:
    """Samples of the heat maps: all, or as many as there is space for, evenly chosen, and the odd one of the end."""
    # m (m − 1) / 2 bytes a matrix, a third more as text
    space = int((1 + math.sqrt(1 + 8 * 0.75 * _COSINES / calls)) / 2)
    limit = max(4, min(_SHOWN, space))
    if trace.batch <= limit:
        return list(range(trace.batch))
    ends = trace.table["odd_index"].iloc[-1:].dropna() if "odd_index" in trace.table else pd.Series(dtype=float)
    odd = {int(index) for index in ends if index >= 0}
    even = {int(i) for i in np.linspace(0, trace.batch - 1, limit - len(odd))}
    return sorted(odd | even)


def _network(trace: Trace, name: str, joined: Joined, which: int, calls: int) -> dict[str, Any]:
    places = joined.positions[which]
    ranked = trouble(trace.table)
    keys = list(zip(trace.table["layer"], trace.table["call"], strict=True))
    grams = [_gram(trace, key) for key in keys]
    having = [row for row, gram in enumerate(grams) if gram is not None]
    shown = shown_samples(trace, calls)
    slots = {row: slot for slot, row in enumerate(having)}
    table = joined.tables[which]
    values = {q.key: _column(table, q.key) for q in quantities_of([trace])}
    values[TROUBLE.key] = [None if row < 0 else round(float(ranked["trouble"].iloc[row]), 4) for row in places]
    return {
        "name": name,
        "batch": trace.batch,
        "positions": places,
        "values": values,
        "why": ["" if row < 0 else ranked["why"].iloc[row] for row in places],
        "shown": shown,
        "slots": [slots.get(row, -1) for row in places],
        "cosines": pack_cosines([gram for gram in grams if gram is not None], shown),
        "channels": [None if row < 0 else _channels(trace, keys[row], calls) for row in places],
    }


def _column(table: pd.DataFrame, key: str) -> list[float | str | None]:
    return [word or value for value, word in zip(told(table[key]), words(table, key), strict=True)]


def told(values: pd.Series) -> list[float | str | None]:
    """Four significant digits; words for infinities; None for what is undefined."""
    plain: list[float | str | None] = []
    for value in values.to_numpy(float):
        if math.isnan(value):
            plain.append(None)
        else:
            plain.append(float(f"{value:.4g}") if math.isfinite(value) else "∞" if value > 0 else "−∞")
    return plain


def _gram(trace: Trace, key: tuple[str, int]) -> NDArray[np.float64] | None:
    try:
        return trace.gram(*key)
    except KeyError:  # its output has no row a sample
        return None


def _channels(trace: Trace, key: tuple[str, int], calls: int) -> dict[str, Any] | None:
    """Means and deviations of the channels, each sorted, thinned to what a curve shows."""
    try:
        channels = trace.channels(*key)
    except KeyError:  # its output has no channels, or they were not measured
        return None
    count = len(channels)
    if not count or not {"mean", "std"} <= set(channels):
        return None
    points = max(8, min(64, int(0.75 * _CHANNELS / (8 * calls))))
    places = np.unique(np.linspace(0, count - 1, min(points, count)).round().astype(int))
    with np.errstate(over="ignore"):
        curves = [np.sort(channels[name].to_numpy(float))[places].astype("<f4") for name in ("mean", "std")]
    dead = int(channels["dead"].sum()) if "dead" in channels else None
    return {"count": count, "dead": dead, "curves": base64_of(np.concatenate(curves))}
