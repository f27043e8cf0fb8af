"""What dividing points by their norms does to the isometry gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch

from normscope import measure, theory
from normscope.claims.claim import Claim, Criterion
from normscope.claims.joudaki2023.layers import PAPER, gaps_of
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import exact
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure_normalization(*, seed: int, points: int, width: int, batches: int) -> Measurement:
    """What dividing each point by its norm takes off the isometry gap of Gaussian points of log-normal lengths."""
    rng, rows = np.random.default_rng(seed), []
    for batch in range(batches):
        spread = rng.uniform(0, 2)
        norms = np.exp(rng.normal(0, spread, points))
        x = rng.standard_normal((points, width)) * norms[:, None]
        lengths = np.linalg.norm(x, axis=1)
        before, after = gaps_of(torch.stack([measure.gram(torch.from_numpy(y)) for y in (x, x / lengths[:, None])]))
        bound = np.log1p(lengths.var() / lengths.mean() ** 2)
        rows.append({
            "batch": batch, "gain": before - after, "bound": bound, "exact": theory.normalization_gain(lengths**2)
        })  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _judge_normalization(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits = measurement.table, criterion.limits
    excess = float((table["gain"] - table["bound"]).min())
    off = float((table["gain"] - table["exact"]).abs().max())
    return [
        at_least("least gain over the bound (nats)", exact(excess), -limits["rounding"]),
        at_most("largest distance from the exact gain (nats)", exact(off), limits["rounding"]),
    ]


def _draw_normalization(measurement: Measurement, ax: Axes) -> None:
    table = measurement.table
    ax.plot(table["bound"], table["gain"], ".", color=CYCLE[0], markersize=3, alpha=0.4, label="batches")
    ends = np.array([0, table["bound"].max()])
    ax.plot(ends, ends, "k--", label="the paper's bound")
    ax.set(xlabel="ln(1 + Var ‖x‖ / (mean ‖x‖)²)", ylabel="what normalization takes off the isometry gap (nats)")
    ax.legend(fontsize="small")


NORMALIZATION: Final = Claim(
    id="joudaki2023.normalization",
    paper=PAPER,
    result="Theorem on the isometry of normalized points",
    statement="Dividing each point by its norm never raises the isometry gap, and lowers it the more the norms differ.",
    method="Isometry gap of random batches before and after, against ln(1 + Var ‖x‖/(mean ‖x‖)²) and against the exact "
    "difference of logarithmic means of ‖x‖².",
    criterion=Criterion(
        text="in every batch the gap falls by at least the paper's bound and by the exact difference, up to rounding "
        "of {rounding} nats",
        limits={"rounding": 1e-6},  # of logarithms of eigenvalues 1e9 apart
        error_rate=0.0,
        parts=2,
        judge=_judge_normalization,
    ),
    revised="A tolerance of 1e-6 in place of 1e-9: at full scale 1.6e-8 of rounding failed it.",
    measure=_measure_normalization,
    figure=_draw_normalization,
    sizes={
        "quick": {"points": 10, "width": 64, "batches": 300},
        "full": {"points": 10, "width": 64, "batches": 3000},
        "paper": {"points": 10, "width": 64, "batches": 3000},
    },
    seconds={"quick": 1, "full": 3, "paper": 3},
)
