"""Figures of `normscope.claims.balestriero2022.halves`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from normscope.claims.axes import CONFIDENCE, exponential_bars, mean_and_bars, number_ticks, panels, round_numbers
from normscope.claims.balestriero2022.halves_values import HALVES, concentration, turn
from normscope.claims.balestriero2022.setting import COLOURS, LABELS, LINES, MARKERS
from normscope.claims.balestriero2022.slices import OFFSETS, SETS
from normscope.claims.measurement import Measurement
from normscope.claims.statistics import mean
from normscope.system import BLACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_density(measurement: Measurement, ax: Axes) -> None:
    """Units that cross a disc at the data over those elsewhere: by layer, and of all layers, which is judged."""
    table, whole = measurement.table, concentration(measurement.table)
    layers = sorted(table["layer"].unique())
    axes = panels(ax, 1, len(SETS))[0]
    shifts = dict(zip(OFFSETS, 0.12 * (np.arange(len(OFFSETS)) - (len(OFFSETS) - 1) / 2), strict=True))
    for axis, (kind, title) in zip(axes, SETS.items(), strict=True):
        for offsets in OFFSETS:
            rows = table[(table["data"] == kind) & (table["offsets"] == offsets)]
            logs, half = _log_ratio(rows)
            style: dict[str, Any] = {
                "marker": MARKERS[offsets],
                "color": COLOURS[offsets],
                "markersize": 5,
                "capsize": 2,
            }
            axis.errorbar(
                logs.index + shifts[offsets], np.exp(logs), exponential_bars(logs, half), linestyle=LINES[offsets],
                label=LABELS[offsets], **style,
            )  # fmt: skip
            of_all = mean(whole[kind, offsets], CONFIDENCE)
            bars = exponential_bars([of_all.value], [of_all.high - of_all.value])
            axis.errorbar([layers[-1] + 1.3 + shifts[offsets]], [np.exp(of_all.value)], bars, linestyle="", **style)
        axis.axhline(1, color="0.5", linewidth=0.8)
        axis.axvline(layers[-1] + 0.65, color="0.7", linewidth=0.8)
        axis.set(xlabel="layer", yscale="log")
        axis.set_xticks([*layers, layers[-1] + 1.3], [*(f"{layer}" for layer in layers), "all"])
        axis.set_title(title, fontsize="medium")
    number_ticks(axes[0], y=round_numbers(*axes[0].get_ylim()))
    axes[0].set_ylabel("boundaries that cross a disc at the data, over\nthose elsewhere (over networks, 95% intervals)")
    _legend_below(axes[0], columns=3)


def _log_ratio(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Of every layer ln(mean near / mean elsewhere) over networks, and half its interval by linearization.

    A single network may have no boundary in its few discs, so that its own logarithm is infinite.
    """
    of_layer = rows.groupby("layer")
    near, elsewhere = of_layer["near"].transform("mean"), of_layer["elsewhere"].transform("mean")
    relative = rows["near"] / near - rows["elsewhere"] / elsewhere
    logs = (of_layer["near"].mean() / of_layer["elsewhere"].mean()).map(np.log)
    return logs, mean_and_bars(relative.groupby(rows["layer"]))[1]


def _legend_below(axis: Axes, columns: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    axis.figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize="small")


def draw_answer(measurement: Measurement, ax: Axes) -> None:
    """Each network a dot, each kind of network a cross of means: drawn to the data upwards, folded to the right."""
    axes = panels(ax, 1, len(SETS), sharex=False, sharey=False)[0]
    drawn_to, turned = concentration(measurement.table), turn(measurement.table)
    for axis, (kind, title) in zip(axes, SETS.items(), strict=True):
        for offsets in HALVES:
            x, y = np.degrees(turned[kind, offsets]), drawn_to[kind, offsets]
            style: dict[str, Any] = {"color": COLOURS[offsets], "marker": MARKERS[offsets], "linestyle": "none"}
            axis.plot(x, np.exp(y), markersize=3, alpha=0.4, **style)
            label = {"random": "neither (random biases)", "shifted": "rescaling only"}.get(offsets, LABELS[offsets])
            folded, drawn = mean(x, CONFIDENCE), mean(y, CONFIDENCE)
            axis.errorbar(
                [folded.value], [np.exp(drawn.value)], exponential_bars([drawn.value], [drawn.high - drawn.value]),
                [folded.high - folded.value], markersize=7, capsize=3, markeredgecolor=BLACK, label=label, **style,
            )  # fmt: skip
        axis.set(xlabel="mean turn of a boundary at an earlier fold\n(degrees)", yscale="log")
        number_ticks(axis, y=round_numbers(*axis.get_ylim()))
        axis.set_title(title, fontsize="medium")
    axes[0].set_ylabel("boundaries at the data over elsewhere\n(dots: networks; means, 95% intervals)")
    _legend_below(axes[0], columns=4)
