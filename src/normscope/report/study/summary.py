"""From a `Run` to the numbers that the page and the JSON speak of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope import theory
from normscope.report.grouping import Grouping
from normscope.report.study.run import Run, Study

_FIXED_POINT = "fixed point of recentering + ReLU, after Nachum et al. 2024"
COLLAPSED = 0.95  # mean cosine above: the batch points in one direction
_MOVED = 0.1  # mean cosine that changed by more has changed
_DEEP = {"batch": 10, "recenter": 100, "none": 100}  # layers behind which a batch is near its fixed point

Shape = Literal["odd point", "odd points", "collapsed", "drawn together", "moved apart", "as far apart", "no direction"]


@dataclass(frozen=True)
class Summary:
    """The end of a network in numbers: of its last watched layer, and rates through depth.

    Attributes:
        shape: what became of the batch, by the first rule that holds:
            "no direction": fewer than two samples are not zero, or something is not finite;
            "odd point", "odd points": one sample, or several, apart from a tight cluster (`grouping`);
            "collapsed": mean cosine above 0.95;
            "drawn together", "moved apart": mean cosine more than 0.1 above, or below, that of the first layer;
            "as far apart": all else.
        depth: number of the last layer.
        directions: how many samples are not zero.
        cos_start: mean cosine at the first layer. All other cosines are of the last one.
        cluster_cosine, odd_cosine, odd_norm_ratio, odd_score: of the one oddest sample (`normscope.measure.odd_point`).
        odd: the samples that sit apart, the oddest first.
        odd_from: depth from which on it is these, else None.
        apart_cosine: mean cosine of the samples that sit apart to the others, and tight_cosine that among the others.
        scale_growth: factor of the root mean square of the activations per layer, forward.
        gradient_growth: factor of the squared gradient norm per layer, backward. Both factors are fitted (least
            squares on logarithms) where the transient of the first quarter of the depth is over.
        gradient_ratio: gradient norm at the first layer over that at the last one.
        coherence: median over all layers of the gradient coherence.
    """

    model: str
    norm: str
    shape: Shape
    depth: int
    directions: int
    cos_start: float
    cos_mean: float
    cluster_cosine: float
    odd_cosine: float
    odd_norm_ratio: float
    odd_score: float
    odd: tuple[int, ...]
    odd_from: int | None
    apart_cosine: float
    tight_cosine: float
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
    table, end = run.trace.table, run.groupings[-1]
    last = table.iloc[-1]
    start, mean = float(table["cos_mean"].iloc[0]), float(last["cos_mean"])
    gradient = table["grad_norm"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(gradient[0] / gradient[-1])
    return Summary(
        model=run.model,
        norm=run.norm,
        shape=_shape(end, start, mean),
        depth=run.depths[-1],
        directions=end.directions,
        cos_start=start,
        cos_mean=mean,
        cluster_cosine=float(last["cluster_cosine"]),
        odd_cosine=float(last["odd_cosine"]),
        odd_norm_ratio=float(last["odd_norm_ratio"]),
        odd_score=float(last["odd_score"]),
        odd=end.odd,
        odd_from=_from_depth(run) if end.odd else None,
        apart_cosine=end.odd_cosine,
        tight_cosine=end.cluster_cosine,
        effective_rank=float(last["effective_rank"]),
        scale_growth=_growth(rms(table), run.depths),
        gradient_growth=_growth(gradient**2, run.depths) ** -1,
        gradient_ratio=ratio,
        coherence=float(table["grad_coherence"].median()),
    )


def expectations(summary: Summary, batch: int) -> list[Expected]:
    """What theory expects of a summary, for ReLU networks of infinite width and depth; nothing where it says nothing.

    Nothing of residual networks, and of plain ones only where they are deep enough to be near a fixed point: 10 layers
    with batch norm, 100 with recentering alone and with no norm. Recentering alone has two fixed points that attract
    (`normscope.theory.odd_point_configuration`): that of the odd point is expected where samples do sit apart.
    """
    norm = summary.norm
    if summary.model != "mlp" or summary.depth < _DEEP.get(norm, math.inf):
        return []
    if norm == "batch":
        found = {"cos_mean": theory.symmetric_cosine(batch), "gradient_growth": theory.gradient_growth(batch)}
        return [Expected(norm, quantity, value, "Yang et al. 2019") for quantity, value in found.items()]
    if norm == "none":
        return [Expected(norm, "cos_mean", 1.0, "Cho & Saul 2009")]
    odd = theory.odd_point_configuration(batch)
    if odd is None or not summary.odd:
        return []
    return [
        Expected(norm, "cos_mean", odd.mean_cosine, _FIXED_POINT),
        Expected(norm, "cluster_cosine", odd.cluster_cosine, _FIXED_POINT),
        Expected(norm, "odd_cosine", odd.odd_cosine, _FIXED_POINT),
        Expected(norm, "odd_norm_ratio", odd.norm_ratio, _FIXED_POINT),
    ]


def _shape(end: Grouping, start: float, mean: float) -> Shape:
    if end.directions < 2:
        return "no direction"
    if end.odd:
        return "odd point" if len(end.odd) == 1 else "odd points"
    if mean > COLLAPSED:
        return "collapsed"
    if mean > start + _MOVED:
        return "drawn together"
    return "moved apart" if mean < start - _MOVED else "as far apart"


def _from_depth(run: Run) -> int:
    """Depth from which on the same samples sit apart, to the end."""
    last = set(run.groupings[-1].odd)
    others = [row for row, found in enumerate(run.groupings) if set(found.odd) != last]
    return run.depths[others[-1] + 1 if others else 0]


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
    summaries, batch = [summarize(run) for run in study.runs], len(study.labels)
    return {
        "settings": asdict(study.settings),
        "summaries": [_plain(asdict(summary)) for summary in summaries],
        "expected": [
            {"model": summary.model, **asdict(e)} for summary in summaries for e in expectations(summary, batch)
        ],
        "ln_channel_std": [
            {"model": run.model, "norm": run.norm, **_plain({"layer": layer, "value": value})}
            for run in study.runs
            for layer, value in zip(theory.CHANNEL_STD_LAYERS, run.ln_channel_std, strict=False)
        ],
        "layers": [
            {"model": run.model, "norm": run.norm, "depth": depth, **_plain(row), "odd": list(found.odd)}
            for run in study.runs
            for depth, row, found in zip(run.depths, run.trace.table.to_dict("records"), run.groupings, strict=True)
        ],
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
