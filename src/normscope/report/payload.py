"""What the page's script draws, as plain JSON: lines through depth, and cosine matrices packed into bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.report.study import Run, Study
from normscope.report.summary import Expected, rms

_STOPS = 72  # positions of the layer slider: more would only weigh
_SHOWN = 64  # samples in a heat map: more are not told apart by eye, and would only weigh


class Chart(NamedTuple):
    """One quantity through depth."""

    key: str
    title: str
    axis: str
    scale: Literal["log", "unit", "rank"]  # "unit": 0 to 1 and a little more; "rank": 0 to the size of the batch


CHARTS = (
    Chart("cos_mean", "Mean cosine of two samples", "cosine", "unit"),
    Chart("odd_score", "Does one sample stand out?", "odd-point score", "unit"),
    Chart("cluster_cosine", "How tight are the others?", "cosine among the others", "unit"),
    Chart("odd_cosine", "How far off is the oddest sample?", "its cosine to the others", "unit"),
    Chart("effective_rank", "Effective rank", "directions in use", "rank"),
    Chart("rms", "Size of activations", "root mean square", "log"),
    Chart("grad_norm", "Size of gradients", "‖∂ loss / ∂ activation‖", "log"),
    Chart("grad_coherence", "Do the samples' gradients agree?", "coherence", "unit"),
)


def section_payload(model: str, runs: Sequence[Run], expected: Sequence[Expected], shown: Sequence[int]) -> Any:
    """Everything the script draws for one model."""
    stops = slider_stops(len(runs[0].depths))
    return {
        "id": model,
        "depths": runs[0].depths,
        "stops": stops,
        "layers": runs[0].trace.table["layer"].tolist(),
        "norms": [run.norm for run in runs],
        "cosines": {run.norm: pack_cosines(run, stops, shown) for run in runs},
        "cos_mean": {run.norm: _column(run, "cos_mean") for run in runs},
        "odd": {run.norm: _column(run, "odd_index") for run in runs},
        "odd_score": {run.norm: _column(run, "odd_score") for run in runs},
        "charts": [_chart(chart, runs, expected) for chart in CHARTS],
    }


def samples_payload(study: Study, shown: Sequence[int]) -> Any:
    """The samples of the heat maps: their labels, and all the digits as bytes."""
    images = study.images.reshape(len(study.labels), -1)
    low, high = images.min(), images.max()
    pixels = ((images - low) / (high - low) * 255).round().byte().numpy()
    return {"shown": list(shown), "labels": study.labels.tolist(), "images": _base64(pixels)}


def shown_samples(study: Study) -> list[int]:
    """Samples in the heat maps: all, or of a large batch an even choice that holds every odd point of the end."""
    n = len(study.labels)
    if n <= _SHOWN:
        return list(range(n))
    odd = {int(run.trace.table["odd_index"].iloc[-1]) for run in study.runs} - {-1}
    even = [int(i) for i in np.linspace(0, n - 1, _SHOWN - len(odd))]
    return sorted(odd | set(even))


def slider_stops(layers: int) -> list[int]:
    """Rows at which the slider stops: every layer at first, then ever wider steps, always the last."""
    if layers <= _STOPS:
        return list(range(layers))
    steep = _STOPS // 3
    wide = np.unique(np.geomspace(steep, layers - 1, _STOPS - steep).round().astype(int))
    return [*range(steep), *(int(i) for i in wide)]


def pack_cosines(run: Run, stops: Sequence[int], shown: Sequence[int]) -> str:
    """Cosine matrices at the stops, base64.

    Upper triangles, row by row, as signed bytes: cosine × 127, rounded (an error of at most 0.004); −128 is undefined.
    """
    rows, columns = np.triu_indices(len(shown), 1)
    packed = np.empty((len(stops), len(rows)), dtype=np.int8)  # shape: (stops, m (m − 1) / 2)
    table = run.trace.table
    for position, row in enumerate(stops):
        gram = run.trace.gram(table["layer"].iloc[row], int(table["call"].iloc[row]))[np.ix_(shown, shown)]
        with np.errstate(invalid="ignore", divide="ignore"):
            norms = np.sqrt(np.diagonal(gram))
            cosines = (gram / norms[:, None] / norms)[rows, columns]
        packed[position] = np.where(np.isfinite(cosines), np.clip(np.rint(cosines * 127), -127, 127), -128)
    return _base64(packed)


def _chart(chart: Chart, runs: Sequence[Run], expected: Sequence[Expected]) -> Any:
    lines = {
        run.norm: _rounded(rms(run.trace.table)) if chart.key == "rms" else _column(run, chart.key) for run in runs
    }
    theory = {}
    for run in runs:
        for e in expected:
            if e.norm == run.norm and e.quantity == chart.key:
                theory[run.norm] = {"y": [e.value, e.value], "source": e.source}
            if e.norm == run.norm and chart.key == "grad_norm" and e.quantity == "gradient_growth":
                theory[run.norm] = {"y": _expected_gradient(run, e.value), "source": e.source}
    return {**chart._asdict(), "lines": lines, "expected": theory}


def _expected_gradient(run: Run, growth: float) -> list[float | None]:
    """Gradient norms at the first and the last depth, if they grew as expected from the measured last one."""
    last = float(run.trace.table["grad_norm"].iloc[-1])
    with np.errstate(over="ignore"):
        first = last * np.float64(growth) ** ((run.depths[-1] - run.depths[0]) / 2)
    return [_finite(float(first)), _finite(last)]


def _column(run: Run, column: str) -> list[float | None]:
    return _rounded(run.trace.table[column].to_numpy(float))


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [_finite(float(f"{value:.4g}")) for value in values]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
