"""Figure 2: the gradients of one layer, narrow and bell-shaped with batch norm, wide and heavy-tailed without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from normscope.claims.axes import LINES, legend_above
from normscope.claims.bjorck2018.initialization import INITIALIZATION, SECONDS, SIZES, Initialization
from normscope.claims.bjorck2018.setting import LABELS, MIDDLE, MORE_NETWORKS, PAPER, geometric_mean, layer_at
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import mean
from normscope.system import BLACK, CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NORMS: Final = ("batch", "none")
_REACH: Final = 12.0


def _measure(observed: Initialization) -> Measurement:
    """Scale and tails of each network's gradient at the middle layer, and the histogram of the first two networks."""
    layers = observed.layers[observed.layers["layer"] == layer_at(MIDDLE, observed.depth)]
    columns = ["norm", "network", "grad_scale", "octile_kurtosis", "quantile_ratio", "extreme_ratio", "tail_index"]
    networks = layers.loc[layers["norm"].isin(_NORMS), columns].assign(kind="network", value=0.0, density=0.0)
    tables = [networks]
    for norm in _NORMS:
        counts = observed.middles[norm].counts
        edges = np.linspace(-_REACH, _REACH, len(counts) + 1)
        density = counts / (counts.sum() + observed.middles[norm].beyond) / (edges[1] - edges[0])
        rows = pd.DataFrame({"value": (edges[1:] + edges[:-1]) / 2, "density": density})
        tables.append(rows.assign(kind="bin", norm=norm, network=0, **dict.fromkeys(columns[2:], np.nan)))
    return Measurement(pd.concat(tables, ignore_index=True), {}, observed.notes)


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, confidence = criterion.limits, criterion.confidence
    rows = measurement.table[measurement.table["kind"] == "network"].set_index(["norm", "network"])
    scales = rows["grad_scale"]["none"] / rows["grad_scale"]["batch"]
    bell, heavy = (mean(rows["octile_kurtosis"][norm], confidence) for norm in _NORMS)
    return [
        within("scale without over with batch norm", geometric_mean(scales, confidence), limits["low"], limits["high"]),
        at_most("octile kurtosis with batch norm", bell, limits["kurtosis"]),
        at_least("octile kurtosis without", heavy, limits["kurtosis"]),
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    scales = measurement.table.query("kind == 'network' and network == 0").set_index("norm")["grad_scale"]
    bins = measurement.table.query("kind == 'bin'").groupby("norm").size()
    for norm, colour, line in zip(_NORMS, CYCLE, LINES, strict=False):
        rows = measurement.table.query("kind == 'bin' and norm == @norm and density > 0")
        beyond = 1 - (rows["density"] * (2 * _REACH / bins[norm])).sum()
        label = f"{LABELS[norm]}, scale {scales[norm]:.2g}, {abs(beyond):.0%} further out"
        ax.plot(rows["value"], rows["density"], line, drawstyle="steps-mid", color=colour, label=label)
    x = np.linspace(-4, 4, 200)
    ax.plot(x, np.exp(-(x**2) / 2) / (2 * np.pi) ** 0.5, ":", color=BLACK, linewidth=1, label="normal")
    ax.set(xlabel="gradient of an entry over its scale (interquartile range / 1.349)", ylabel="density", yscale="log")
    legend_above(ax, title="one network, the first")


HISTOGRAM: Final = Claim(
    id="bjorck2018.gradient-histogram",
    paper=PAPER,
    result="Figure 2",
    statement="Without batch norm the gradients of layer 55 are two orders of magnitude wider and heavy-tailed; with "
    "it they are bell-shaped.",
    method="Entries of the gradient of the kernel of layer 55 of ResNet-110 at initialization: their scale is the "
    "interquartile range over 1.349, their tails the octile kurtosis (Moors 1988): 1.233 of a normal law, 2.027 of the "
    "product of two, as of a gradient that is one column times one row.",
    criterion=Criterion(
        text="each at {confidence:.1%}: the scale without is {low:g} to {high:g} times that with batch norm, and the "
        "octile kurtosis lies below {kurtosis} with it and above without (the limit is half-way from a normal law to a "
        "product of two)",
        limits={"low": 10, "high": 1000, "kurtosis": 1.63},
        error_rate=0.05,
        error="calling it reproduced though one of the three is false",
        parts=3,
        judge=_judge,
    ),
    revised=MORE_NETWORKS,
    measure=_measure,
    observation=INITIALIZATION,
    figure=_draw,
    sizes=SIZES,
    seconds=SECONDS,
)
