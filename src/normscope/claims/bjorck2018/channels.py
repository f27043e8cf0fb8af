"""Figure 5: the standard deviation of channels against depth, level with batch norm and growing without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from normscope.claims.axes import LINES, band
from normscope.claims.bjorck2018.initialization import INITIALIZATION, SECONDS, SIZES, Initialization
from normscope.claims.bjorck2018.setting import LABELS, MORE_NETWORKS, PAPER, PLOT_LAYERS, PLOTTED_LOG_STD, layer_at
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_most, within
from normscope.claims.statistics import mean
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONVOLUTIONS: Final = PLOT_LAYERS[:-1]
"""The plotted layers but for the linear one: its deviation is one of averages over an image, and so of what differs
from image to image."""


def _measure(observed: Initialization) -> Measurement:
    """Logarithm of the mean over channels of their standard deviation, and of the size of their means, by layer."""
    layers = observed.layers[observed.layers["norm"].isin(PLOTTED_LOG_STD)]
    table = layers[["norm", "network", "layer"]].assign(
        log_std=np.log(layers["channel_std"]), log_mean_size=np.log(layers["channel_mean_size"])
    )
    return Measurement(table, {"depth": observed.depth}, observed.notes)


def at_plotted(table: pd.DataFrame, depth: int) -> pd.DataFrame:
    """Values of ln std at the paper's convolutions: one row a network, one column a layer of the paper's."""
    by_layer = table.pivot_table(index="network", columns="layer", values="log_std")
    return pd.DataFrame({layer: by_layer[layer_at(layer, depth)] for layer in CONVOLUTIONS})


def on_the_sum(table: pd.DataFrame) -> pd.DataFrame:
    """The even layers, as the paper has them: the first of a block, which reads the sum of branch and shortcut."""
    rows: pd.DataFrame = table[table["layer"] % 2 == 0]
    return rows


def slopes(logs: pd.DataFrame) -> pd.Series[float]:
    """Of the least-squares line through the logarithms of each network, per layer."""
    slope = np.polyfit(CONVOLUTIONS, logs.to_numpy().T, 1)[0]
    return pd.Series(slope, index=logs.index)


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits, confidence = measurement.table, criterion.limits, criterion.confidence
    logs = {norm: at_plotted(rows, int(measurement.scalars["depth"])) for norm, rows in table.groupby("norm")}
    printed = np.array(PLOTTED_LOG_STD["batch"][:-1])
    furthest = (logs["batch"] - printed).abs().max(axis=1)
    plotted = float(np.polyfit(CONVOLUTIONS, PLOTTED_LOG_STD["none"][:-1], 1)[0])
    growth, level = (mean(slopes(logs[norm]) / plotted, confidence) for norm in ("none", "batch"))
    return [
        at_most("furthest ln std from the paper's, batch norm", mean(furthest, confidence), limits["distance"]),
        at_most("growth of ln std over the paper's without, batch norm", level, limits["level"]),
        within("growth of ln std over the paper's, without", growth, 1 / limits["factor"], limits["factor"]),
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    depth = int(measurement.scalars["depth"])
    places = [layer_at(layer, depth) for layer in PLOT_LAYERS]
    for norm, colour, line, marker in zip(("batch", "none"), CYCLE, LINES, "Ds", strict=False):
        rows = on_the_sum(measurement.table[measurement.table["norm"] == norm])
        logs = rows.groupby("layer")["log_std"]
        middle = logs.mean()
        ax.plot(middle, line, color=colour, label=LABELS[norm])
        band(ax, logs, colour)
        label = f"{LABELS[norm]}, the paper"
        ax.plot(places, PLOTTED_LOG_STD[norm], marker, color=colour, markeredgecolor="k", label=label)
    ax.set(
        xlabel="layer (even ones: they read the sum of branch and shortcut)",
        ylabel="ln of the standard deviation of channels\n(mean over networks, 95% interval)",
    )
    ax.legend(fontsize="small")


CHANNELS: Final = Claim(
    id="bjorck2018.channels",
    paper=PAPER,
    result="Figure 5",
    statement="With batch norm the standard deviation of channels stays level through the stages; without it, it grows "
    "nearly exponentially with depth.",
    method="ln of the mean over channels of the standard deviation over images and positions, of outputs of "
    "convolutions 6, 18, …, 102 of ResNet-110 at initialization; least-squares line on the layer. The linear layer is "
    "in the figure only: its deviation is of what differs between images, and digits are not CIFAR-10.",
    criterion=Criterion(
        text="each at {confidence:.1%}, means over networks: with batch norm the furthest of the nine from the paper's "
        "is at most {distance} away, and the line rises at most {level} of the paper's without; without, the line "
        "rises within a factor {factor:g} of the paper's, 0.044 a layer",
        limits={"distance": 0.5, "level": 0.25, "factor": 2},
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
