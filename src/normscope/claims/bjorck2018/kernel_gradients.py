"""Table 1: whether the terms of a kernel's gradient agree in sign, so that it hardly depends on the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from normscope.claims.axes import LINES, legend_above, mean_and_bars
from normscope.claims.bjorck2018.initialization import INITIALIZATION, SECONDS, SIZES, Initialization
from normscope.claims.bjorck2018.setting import (
    LABELS,
    MORE_NETWORKS,
    PAPER,
    PRINTED_RATIO,
    TABLE_LAYERS,
    TABLE_TERMS,
    geometric_mean,
    layer_at,
)
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, within
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS: Final = ["norm", "network", "layer", "terms", "a", "b", "kernel_gradient_ratio"]


def _measure(observed: Initialization) -> Measurement:
    """a, b and a/b of every convolution, with batch norm and without; the paper's a/b beside them."""
    layers = observed.layers
    table = layers[layers["norm"].isin(["batch", "none"]) & (layers["layer"] < layers["layer"].max())]
    scalars: dict[str, float | int] = {"depth": observed.depth}
    for norm, printed in PRINTED_RATIO.items():
        scalars |= {f"paper, {norm}, layer {layer}": x for layer, x in zip(TABLE_LAYERS, printed, strict=True)}
    return Measurement(table[_COLUMNS], scalars, observed.notes)


def _judge_normalized(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, factor, parts = measurement.table.query("norm == 'batch'"), criterion.limits["factor"], []
    for layer, printed, terms in zip(TABLE_LAYERS, PRINTED_RATIO["batch"], TABLE_TERMS, strict=True):
        rows = table[table["layer"] == layer_at(layer, int(measurement.scalars["depth"]))]
        own = rows["kernel_gradient_ratio"] / np.sqrt(rows["terms"])
        found = geometric_mean(own / (printed / terms**0.5), criterion.confidence)
        parts.append(within(f"a/b over √T over the paper's, layer {layer}", found, 1 / factor, factor))
    return parts


def _judge_unnormalized(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, factor, parts = measurement.table.query("norm == 'none'"), criterion.limits["factor"], []
    for layer, printed in zip(TABLE_LAYERS, PRINTED_RATIO["none"], strict=True):
        rows = table[table["layer"] == layer_at(layer, int(measurement.scalars["depth"]))]
        found = geometric_mean(rows["kernel_gradient_ratio"] / printed, criterion.confidence)
        parts.append(within(f"a/b over the paper's, layer {layer}", found, 1 / factor, factor))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    depth = int(measurement.scalars["depth"])
    places = [layer_at(layer, depth) for layer in TABLE_LAYERS]
    terms = measurement.table.groupby("layer")["terms"].first()
    # with batch norm a/b goes with √T; without it hardly depends on T
    ours = np.sqrt(terms[places].to_numpy() / np.array(TABLE_TERMS))
    for norm, colour, line, marker in zip(("batch", "none"), CYCLE, LINES, "Ds", strict=False):
        rows = measurement.table[measurement.table["norm"] == norm]
        logs = np.log(rows["kernel_gradient_ratio"]).groupby(rows["layer"])
        middle, half = mean_and_bars(logs)
        ends = np.exp(middle - half), np.exp(middle + half)
        ax.plot(np.exp(middle), line, color=colour, label=LABELS[norm])
        ax.fill_between(middle.index, *ends, color=colour, alpha=0.25, linewidth=0)
        label = f"{LABELS[norm]}, the paper" + (" (brought to our T)" if norm == "batch" else "")
        printed = np.array(PRINTED_RATIO[norm]) * (ours if norm == "batch" else 1.0)
        ax.plot(places, printed, marker, color=colour, markeredgecolor="k", label=label)
    ax.plot(np.sqrt(terms), ":", color="k", linewidth=1, label="√T: terms of independent signs")
    ax.set(xlabel="layer", ylabel="a/b (geometric mean over networks, 95% interval)", yscale="log")
    legend_above(ax, columns=2)


_METHOD = (
    "One backward pass of cross-entropy through ResNet-110: of each kernel entry the mean over its T terms (images × "
    "positions) of |d| and |mean of d|; a and b are their means over entries."
)

NORMALIZED: Final = Claim(
    id="bjorck2018.kernel-gradients",
    paper=PAPER,
    result="Table 1",
    statement="A kernel's gradient is a sum over images and positions. With batch norm its terms nearly cancel: a/b, "
    "the mean of their sizes over the size of their mean, is 252, 113 and 41 at layers 18, 54 and 90.",
    method=_METHOD + " In units of √T, which is what independent terms would give: so images of another size and other "
    "batches compare.",
    criterion=Criterion(
        text="at each of the three layers the whole {confidence:.1%} interval of the geometric mean of (a/b)/√T over "
        "networks lies within a factor {factor:g} of the paper's",
        limits={"factor": 2},
        error_rate=0.05,
        error="calling it reproduced though one is further away",
        parts=3,
        judge=_judge_normalized,
    ),
    revised=MORE_NETWORKS,
    measure=_measure,
    observation=INITIALIZATION,
    figure=_draw,
    sizes=SIZES,
    seconds=SECONDS,
)

UNNORMALIZED: Final = Claim(
    id="bjorck2018.kernel-gradients-without",
    paper=PAPER,
    result="Table 1",
    statement="Without batch norm the terms of a kernel's gradient agree in sign, so that it hardly depends on the "
    "input: a/b, the mean of their sizes over the size of their mean, is 1.7, 2.6 and 2.1.",
    method=_METHOD,
    criterion=Criterion(
        text="at each of the three layers the whole {confidence:.1%} interval of the geometric mean of a/b over "
        "networks lies within a factor {factor:g} of the paper's",
        limits={"factor": 3},
        error_rate=0.05,
        error="calling it reproduced though one is further away",
        parts=3,
        judge=_judge_unnormalized,
    ),
    revised=MORE_NETWORKS,
    measure=_measure,
    observation=INITIALIZATION,
    figure=_draw,
    sizes=SIZES,
    seconds=SECONDS,
)
