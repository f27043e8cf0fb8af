"""Which point becomes the odd one: what the data tell, and what is left to the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normscope import measure
from normscope.claims.axes import CONFIDENCE, legend_above
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import PAPER, SCORE, batch_of, children, has_odd_point, scales, watch
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import auc, proportion
from normscope.system import BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = ("gaussian", "digits")
PREDICTORS = ("distance", "norm", "lonely")


def predictors(points: Tensor) -> pd.DataFrame:
    """Of every point: its distance from the batch mean, its norm, and minus its mean cosine to the others."""
    points = points.double()
    cosine = measure.cosine_matrix(measure.gram(points))
    others = (cosine.sum(1) - 1) / (len(points) - 1)
    return pd.DataFrame(
        {
            "distance": torch.linalg.vector_norm(points - points.mean(0), dim=1).numpy(),
            "norm": torch.linalg.vector_norm(points, dim=1).numpy(),
            "lonely": -others.numpy(),
        }
    )


def _measure(*, seed: int, n: int, width: int, depth: int, batches: int) -> Measurement:
    """Two networks a batch: the first is what the data should predict, the second tells how much is chance."""
    frames = []
    for kind, child in zip(_KINDS, children(seed, len(_KINDS)), strict=True):
        for batch, (of_batch, *of_networks) in enumerate(np.reshape(children(child, 3 * batches), (-1, 3)).tolist()):
            points = batch_of(kind, n, of_batch)
            ends = [watch(points, width=width, depth=depth, seed=s, depths=[depth]).iloc[0] for s in of_networks]
            first, second = (int(end["odd_index"]) for end in ends)
            rows = predictors(points)
            score = min(float(end["score"]) for end in ends)
            rows = rows.assign(odd=rows.index == first, odd_again=rows.index == second, score=score)
            frames.append(rows.assign(kind=kind, batch=batch))
    return Measurement(pd.concat(frames, ignore_index=True), {"n": n})


def _with_odd_points(measurement: Measurement, kind: str, score: float) -> pd.DataFrame:
    """Of the batches of a kind those that have an odd point in both networks."""
    table = measurement.table
    return table[(table["kind"] == kind) & has_odd_point(table, score)]


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, confidence, parts = criterion.limits, criterion.confidence, []
    for kind in _KINDS:
        rows = _with_odd_points(measurement, kind, limits["score"])
        found = auc(rows["distance"], rows["odd"], confidence, groups=rows["batch"])
        parts.append(at_least(f"{kind}: AUC of the distance from the mean", found, limits["auc"]))
    for kind in _KINDS:
        rows = _with_odd_points(measurement, kind, limits["score"])
        same, of = int((rows["odd"] & rows["odd_again"]).sum()), int(rows["odd"].sum())
        found = proportion(same, of, confidence)
        parts.append(at_most(f"{kind}: batches where two networks agree on the point", found, limits["agree"]))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    names = {"distance": "distance\nfrom the mean", "norm": "norm", "lonely": "− mean cosine\nto the others"}
    kinds = (("gaussian", "Gaussian batches", -0.1, BLUE, "o"), ("digits", "digits", 0.1, VERMILLION, "s"))
    for kind, called, shift, colour, marker in kinds:
        rows = _with_odd_points(measurement, kind, SCORE)
        odd = rows[rows["odd"]]
        agree = proportion(int(odd["odd_again"].sum()), len(odd), CONFIDENCE)
        told = f"{100 * agree.value:.0f} ({100 * agree.low:.0f} – {100 * agree.high:.0f})"
        for place, name in enumerate(PREDICTORS):
            found = auc(rows[name], rows["odd"], CONFIDENCE, groups=rows["batch"])
            bars = [[found.value - found.low], [found.high - found.value]]
            label = f"{called}: two networks choose the same point in {told}% of batches" if place == 0 else None
            ax.errorbar(
                [place + shift], [found.value], bars, color=colour, marker=marker, linestyle="", capsize=4, label=label
            )
    ax.axhline(0.5, color="0.4", linestyle=":", label="chance")
    ax.set(ylabel="AUC for the odd point (95% intervals)", ylim=(0.3, 1.02), xlim=(-0.5, len(PREDICTORS) - 0.5))
    ax.set_xticks(range(len(PREDICTORS)), [names[name] for name in PREDICTORS])
    legend_above(ax)


WHICH_POINT = Claim(
    id="nachum2024.which-point",
    paper=PAPER,
    result="which point becomes the odd one",
    statement="Which point becomes the odd one is decided by the data and by chance: a point far from the mean is "
    "likelier to, and another network may choose another point of the same batch.",
    method="Batches through two random networks each by exact law. AUC, within each batch, of the distance from "
    "the mean for being the odd point, its mean over batches; and how often both networks choose the same.",
    criterion=Criterion(
        text="for Gaussian batches and for digits, among batches whose two networks both score at least {score} at the "
        "last layer, the whole {confidence:.2%} interval of the AUC lies above "
        "{auc}, and that of the fraction of batches where two networks agree below {agree}",
        limits={"score": SCORE, "auc": 0.5, "agree": 0.9},
        error_rate=0.01,
        error="calling it reproduced though the data tell nothing, or decide all",
        parts=4,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    sizes=scales(
        {"n": 32, "width": 512, "depth": 150, "batches": 45},
        {"n": 32, "width": 1024, "depth": 300, "batches": 120},
    ),
    seconds={"quick": 7, "full": 90, "paper": 90},
)
