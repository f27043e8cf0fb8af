"""Section 4: singular values of products of Gaussian matrices, where the paper's text and its plot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope import theory
from normscope.claims.axes import MARKERS
from normscope.claims.bjorck2018.setting import PAPER
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import mean
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTILES: Final = (np.arange(100) + 0.5) / 100


def _measure(*, seed: int, factors: Sequence[int], dimension: int, products: int) -> Measurement:
    """Kolmogorov's distance from the printed law, of squared singular values and of singular values; quantiles."""
    tables = []
    for m in factors:
        logs = theory.sample_log_singular_values(dimension, m, seed + m, samples=products)  # (products, dimension)
        law = theory.GaussianProduct(m)
        for number, row in enumerate(logs):
            distances = {"squared": _distance(np.exp(2 * row), law), "plain": _distance(np.exp(row), law)}
            tables.append(pd.DataFrame([{"network": number, "log_condition": row[0] - row[-1], **distances}]))
            tables[-1] = tables[-1].assign(kind="product", factors=m, p=np.nan, singular_value=np.nan)
        nothing = dict.fromkeys(("log_condition", "squared", "plain"), np.nan)
        values = np.quantile(np.exp(logs), _QUANTILES)
        rows = pd.DataFrame({"p": _QUANTILES, "singular_value": values})
        tables.append(rows.assign(kind="quantile", factors=m, network=-1, **nothing))
    edges = {f"edge, {m} factors": theory.GaussianProduct(m, squared=False).support[1] for m in factors}
    return Measurement(pd.concat(tables, ignore_index=True), edges)


def _distance(values: NDArray[np.float64], law: theory.GaussianProduct) -> float:
    from scipy.stats import kstest

    return float(kstest(values, law.cdf).statistic)


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    rows = measurement.table[measurement.table["kind"] == "product"]
    limits, parts = criterion.limits, []
    for m, of in rows.groupby("factors"):
        near, far = (mean(of[name], criterion.confidence) for name in ("squared", "plain"))
        parts.append(at_most(f"distance from the law, squared singular values, M = {m}", near, limits["near"]))
        parts.append(at_least(f"distance from the law, singular values, M = {m}", far, limits["far"]))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    rows = measurement.table[measurement.table["kind"] == "quantile"]
    edges = []
    for colour, marker, (m, of) in zip(CYCLE, MARKERS, rows.groupby("factors"), strict=False):
        count: Any = m
        right, wrong = theory.GaussianProduct(count, squared=False), theory.GaussianProduct(count)
        ax.plot(
            of["singular_value"], of["p"], marker, color=colour, markersize=3.5, markevery=4, label=f"M = {m}, drawn"
        )
        edges.append(f"{right.support[1]:.2f}")
        x = np.linspace(0, right.support[1], 300)
        ax.plot(x, right.cdf(x), "-", color=colour, linewidth=1)
        ax.plot(x, wrong.cdf(x), ":", color=colour, linewidth=1)
        ax.axvline(right.support[1], 0, 0.04, color=colour)
    ax.plot([], [], "k-", linewidth=1, label="law, of squared singular values (as plotted)")
    ax.plot([], [], "k:", linewidth=1, label="law, of singular values (as written)")
    ax.set(xlabel=f"singular value (ticks: edges of the law, {', '.join(edges)})", ylabel="share of smaller ones")
    ax.legend(fontsize="small", loc="center right")


PRODUCTS: Final = Claim(
    id="bjorck2018.random-products",
    paper=PAPER,
    result="Theorem on products of random matrices and its plot",
    statement="The printed density is that of the squared singular values of a product of M Gaussian matrices (as the "
    "paper plots it), not of the singular values (as its text says).",
    method="Products of 1, 3 and 5 Gaussian matrices of variance 1/N: largest distance between the distribution "
    "function of their singular values, squared and not, and that of the printed law; mean over products. The "
    "condition number is in the table.",
    criterion=Criterion(
        text="each at {confidence:.2%}: for each number of factors the mean distance is at most {near} for squared "
        "singular values and at least {far} for singular values",
        limits={"near": 0.02, "far": 0.1},
        error_rate=0.01,
        error="calling it reproduced though one of the six is false",
        parts=6,
        judge=_judge,
    ),
    revised="More products: of six, one distance was 0.014 (0.008 – 0.020), not shown to be at most 0.02.",
    measure=_measure,
    figure=_draw,
    sizes={
        "quick": {"factors": (1, 3, 5), "dimension": 200, "products": 30},
        "full": {"factors": (1, 3, 5), "dimension": 600, "products": 30},
        "paper": {"factors": (1, 3, 5), "dimension": 600, "products": 30},
    },
    seconds={"quick": 4, "full": 40, "paper": 40},
)
