"""What the page's script draws, as plain JSON: lines through depth, and cosine matrices packed into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from normscope.report.packing import base64_of, pack_cosines, rounded
from normscope.report.study.run import Run, Study
from normscope.report.study.summary import Expected, rms

_STOPS = 72  # positions of the layer slider: more would only weigh
_SHOWN = 64  # samples in a heat map: more are not told apart by eye, and would only weigh
_ODD_SHOWN = 4  # odd samples of each network that a choice of samples holds


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
        "cosines": {run.norm: run_cosines(run, stops, shown) for run in runs},
        "cos_mean": {run.norm: _column(run, "cos_mean") for run in runs},
        "odd": {run.norm: [found.odd for found in run.groupings] for run in runs},
        "charts": [_chart(chart, runs, expected) for chart in CHARTS],
    }


def samples_payload(study: Study, shown: Sequence[int]) -> Any:
    """The samples of the heat maps: their labels, and all the digits as bytes."""
    images = study.images.reshape(len(study.labels), -1)
    low, high = images.min(), images.max()
    pixels = ((images - low) / (high - low) * 255).round().byte().numpy()
    return {"shown": list(shown), "labels": study.labels.tolist(), "images": base64_of(pixels)}


def shown_samples(study: Study) -> list[int]:
    """Samples in the heat maps: all, or of a large batch an even choice that holds the oddest samples of the end."""
    n = len(study.labels)
    if n <= _SHOWN:
        return list(range(n))
    odd = {sample for run in study.runs for sample in run.groupings[-1].odd[:_ODD_SHOWN]}
    even = [int(i) for i in np.linspace(0, n - 1, _SHOWN - len(odd))]
    return sorted(odd | set(even))


def slider_stops(layers: int) -> list[int]:
    """Rows at which the slider stops: every layer at first, then ever wider steps, always the last."""
    if layers <= _STOPS:
        return list(range(layers))
    steep = _STOPS // 3
    wide = np.unique(np.geomspace(steep, layers - 1, _STOPS - steep).round().astype(int))
    return [*range(steep), *(int(i) for i in wide)]


def run_cosines(run: Run, stops: Sequence[int], shown: Sequence[int]) -> str:
    """The cosine matrices of a run at the stops (`pack_cosines`)."""
    table = run.trace.table
    grams = [run.trace.gram(table["layer"].iloc[row], int(table["call"].iloc[row])) for row in stops]
    return pack_cosines(grams, shown)


def _chart(chart: Chart, runs: Sequence[Run], expected: Sequence[Expected]) -> Any:
    lines = {run.norm: rounded(rms(run.trace.table)) if chart.key == "rms" else _column(run, chart.key) for run in runs}
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
    return rounded([float(first), last])


def _column(run: Run, column: str) -> list[float | None]:
    return rounded(run.trace.table[column].to_numpy(float))
