"""From a `Run` to the numbers that the page and the JSON speak of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope import theory
from normscope.report.study import Run, Study

ODD_SCORE = 0.5  # above: one point stands out
COLLAPSED = 0.95  # mean cosine above: the batch points in one direction


@dataclass(frozen=True)
class Summary:
    """The end of the network in numbers: medians over the last tenth of the layers, and rates through depth.

    Attributes:
        shape: "odd point" (score above 0.5), "collapsed" (mean cosine above 0.95), else "spread".
        odd_index: the odd point where there is one, else None.
        odd_from: depth from which on its score stays above 0.5, else None.
        scale_growth: factor of the root mean square of the activations per layer, forward.
        gradient_growth: factor of the squared gradient norm per layer, backward. Both factors are fitted (least
            squares on logarithms) where the transient of the first quarter of the depth is over.
        gradient_ratio: gradient norm at the first layer over that at the last one.
        coherence: median over all layers of the gradient coherence.
    """

    model: str
    norm: str
    shape: str
    cos_mean: float
    cluster_cosine: float
    odd_cosine: float
    odd_norm_ratio: float
    odd_score: float
    odd_index: int | None
    odd_from: int | None
    effective_rank: float
    scale_growth: float
    gradient_growth: float
    gradient_ratio: float
    coherence: float


@dataclass(frozen=True)
class Expected:
    """What theory says of one number of a `Summary`, and where it is from."""

    norm: str
    quantity: str
    value: float
    source: str


def rms(table: pd.DataFrame) -> NDArray[np.float64]:
    """Root mean square of each layer's activations."""
    values: NDArray[np.float64] = np.hypot(table["mean"].to_numpy(float), table["std"].to_numpy(float))
    return values


def summarize(run: Run) -> Summary:
    """The `Summary` of a run."""
    table = run.trace.table
    last = table.tail(max(1, len(table) // 10))
    odd = table["odd_score"].to_numpy(float)
    cos_mean, score = float(last["cos_mean"].median()), float(last["odd_score"].median())
    shape = "odd point" if score > ODD_SCORE else "collapsed" if cos_mean > COLLAPSED else "spread"
    gradient = table["grad_norm"].to_numpy(float)
    return Summary(
        model=run.model,
        norm=run.norm,
        shape=shape,
        cos_mean=cos_mean,
        cluster_cosine=float(last["cluster_cosine"].median()),
        odd_cosine=float(last["odd_cosine"].median()),
        odd_norm_ratio=float(last["odd_norm_ratio"].median()),
        odd_score=score,
        odd_index=int(last["odd_index"].mode()[0]) if shape == "odd point" else None,
        odd_from=_from_depth(odd > ODD_SCORE, run.depths) if shape == "odd point" else None,
        effective_rank=float(last["effective_rank"].median()),
        scale_growth=_growth(rms(table), run.depths),
        gradient_growth=_growth(gradient**2, run.depths) ** -1,
        gradient_ratio=float(gradient[0] / gradient[-1]),
        coherence=float(table["grad_coherence"].median()),
    )


def expectations(model: str, batch: int) -> list[Expected]:
    """What the papers expect of a summary, for wide ReLU networks; nothing where they say nothing."""
    if model != "mlp":
        return []
    odd = theory.odd_point_configuration(batch)
    yang, nachum = "Yang et al. 2019", "Nachum et al. 2024"
    return [
        Expected("batch", "cos_mean", theory.symmetric_cosine(batch), yang),
        Expected("batch", "gradient_growth", theory.gradient_growth(batch), yang),
        Expected("recenter", "cos_mean", odd.mean_cosine, nachum),
        Expected("recenter", "cluster_cosine", odd.cluster_cosine, nachum),
        Expected("recenter", "odd_cosine", odd.odd_cosine, nachum),
        Expected("recenter", "odd_norm_ratio", odd.norm_ratio, nachum),
        Expected("none", "cos_mean", 1.0, "Cho & Saul 2009"),
    ]


def _from_depth(above: NDArray[np.bool_], depths: list[int]) -> int | None:
    """Depth from which on it is true to the end."""
    below = np.flatnonzero(~above)
    first = 0 if below.size == 0 else int(below[-1]) + 1
    return depths[first] if first < len(depths) else None


def _growth(values: NDArray[np.float64], depths: list[int]) -> float:
    """exp(slope) of log values against depth, behind the first quarter; NaN with fewer than three usable points."""
    start = len(depths) // 4
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values[start:])
    usable = np.isfinite(logs)
    if usable.sum() < 3:
        return math.nan
    slope = np.polyfit(np.asarray(depths[start:])[usable], logs[usable], 1)[0]
    return float(np.exp(slope))


def numbers(study: Study) -> dict[str, Any]:
    """The study as plain data for JSON: settings, summaries, expectations, every layer; what is undefined is null."""
    return {
        "settings": asdict(study.settings),
        "summaries": [_plain(asdict(summarize(run))) for run in study.runs],
        "expected": [
            {"model": model, **asdict(e)}
            for model in study.settings.models
            for e in expectations(model, len(study.labels))
            if e.norm in study.settings.norms
        ],
        "layers": [
            {"model": run.model, "norm": run.norm, "depth": depth, **_plain(row)}
            for run in study.runs
            for depth, row in zip(run.depths, run.trace.table.to_dict("records"), strict=True)
        ],
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
