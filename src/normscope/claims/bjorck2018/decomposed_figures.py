"""Figures of `normscope.claims.bjorck2018.decomposed`: norm against norm, with intervals over networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from normscope.claims.axes import (
    CONFIDENCE,
    LINES,
    band,
    exponential_bars,
    legend_above,
    mean_and_bars,
    number_ticks,
    round_numbers,
    strips,
)
from normscope.claims.bjorck2018.channels import on_the_sum
from normscope.claims.bjorck2018.initialization import NORMS
from normscope.claims.bjorck2018.setting import LABELS, geometric_mean
from normscope.claims.measurement import Measurement
from normscope.claims.statistics import mean
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = dict(zip(NORMS, CYCLE, strict=False))
_LINES: Final = dict(zip(NORMS, (*LINES, LINES[0]), strict=False))
_MEASURES: Final = {
    "cancellation": ("a/b, layers 18, 54, 90\n(large: the gradient\ndepends on the input)", "{:.1f}"),
    "growth": ("growth of ln std\nof channels, a layer", "{:+.3f}"),
    "largest_share": ("share of the\nlargest class", "{:.2f}"),
    "pair_energy": ("rank-one energy\nof channel pairs", "{:.2f}"),
}
TIMES: Final = 3
"""Limit of a claim: a/b over that without norm."""
ONE: Final = 0.9
SEVERAL: Final = 0.5
"""Limits of a claim: shares of the largest class where one class is predicted, and where several are."""


def by_norm(measurement: Measurement, column: str) -> pd.DataFrame:
    """One row a network, one column a norm: the same weights and images in a row."""
    rows = measurement.table
    if "kind" in rows:
        rows = rows[rows["kind"] == "network"]
    return rows.pivot_table(index="network", columns="norm", values=column)


def draw_table(measurement: Measurement, ax: Axes) -> None:
    """Norm × measure at a glance: the darker a cell, the more of the ill that batch norm is said to cure."""
    terms = float(measurement.scalars["terms"])
    found = {column: by_norm(measurement, column)[list(NORMS)] for column in _MEASURES}
    middle = {column: values.mean() for column, values in found.items()}
    middle["cancellation"] = np.exp(np.log(found["cancellation"]).mean())
    ill = np.column_stack(
        [
            1 - np.log(middle["cancellation"]) / np.log(terms),
            middle["growth"] / middle["growth"].max(),
            middle["largest_share"],
            middle["pair_energy"],
        ]
    ).clip(0, 1)
    ax.imshow(ill, cmap="cividis_r", vmin=0, vmax=1, aspect="auto")
    for place, (column, (_, form)) in enumerate(_MEASURES.items()):
        interval = geometric_mean if column == "cancellation" else mean
        for row, norm in enumerate(NORMS):
            one = interval(found[column][norm], CONFIDENCE)
            colour = "w" if ill[row, place] > 0.45 else "k"
            ax.text(place, row - 0.14, form.format(one.value), ha="center", va="center", color=colour)
            ends = f"{form.format(one.low)} – {form.format(one.high)}"
            ax.text(place, row + 0.22, ends, ha="center", va="center", color=colour, fontsize="small")
    ax.set_xticks(range(len(_MEASURES)), [name for name, _ in _MEASURES.values()], fontsize="small")
    ax.set_yticks(range(len(NORMS)), [LABELS[norm] for norm in NORMS])
    ax.tick_params(length=0)
    ax.set_xlabel("means over networks, 95% intervals; the darker, the more as without norm", fontsize="small")
    ax.set_xticks(np.arange(0.5, len(_MEASURES) - 1), minor=True)
    ax.set_yticks(np.arange(0.5, len(NORMS) - 1), minor=True)
    ax.grid(which="minor", color="w", linewidth=2)
    ax.tick_params(which="minor", length=0)


def draw_cancellation(measurement: Measurement, ax: Axes) -> None:
    """How far the gradients of kernels depend on the input."""
    table = measurement.table.assign(label=measurement.table["norm"].map(LABELS))
    of_label = {LABELS[norm]: _COLOURS[norm] for norm in NORMS}
    strips(ax, table, "label", "cancellation", of_label.__getitem__)
    logs = np.log(table["cancellation"]).groupby(table["label"], sort=False)
    middle, half = mean_and_bars(logs)
    ax.errorbar(
        np.exp(middle), range(len(middle)), xerr=exponential_bars(middle, half), fmt="k|", markersize=12, capsize=4,
        label="geometric mean, 95% interval",
    )  # fmt: skip
    ax.axvline(
        TIMES * float(np.exp(middle[LABELS["none"]])),
        color="0.4",
        linestyle=":",
        label=f"{TIMES} times that of no norm",
    )
    ax.set(xlabel="a/b, geometric mean of layers 18, 54 and 90 (one dot a network)", xscale="log")
    low, high = ax.get_xlim()
    number_ticks(ax, x=round_numbers(low, high))
    legend_above(ax, columns=2)


def draw_paths(measurement: Measurement, ax: Axes) -> None:
    """The standard deviation of channels through depth."""
    rows = measurement.table[measurement.table["kind"] == "layer"]
    rows = on_the_sum(rows[rows["layer"] < rows["layer"].max()])
    for norm in reversed(NORMS):
        of_layer = rows[rows["norm"] == norm].groupby("layer")["log_std"]
        width = 4.0 if norm == "none" else 1.5  # batch norm at the last layer only lies on it
        if norm != "last":
            band(ax, of_layer, _COLOURS[norm])
        ax.plot(of_layer.mean(), linestyle=_LINES[norm], color=_COLOURS[norm], linewidth=width, label=LABELS[norm])
    ax.set(
        xlabel="layer (even ones)",
        ylabel="ln of the standard deviation of channels\n(mean over networks, 95% interval)",
    )
    ax.legend(fontsize="small")


def draw_classes(measurement: Measurement, ax: Axes) -> None:
    """How many images share the commonest largest class."""
    table = measurement.table.assign(label=measurement.table["norm"].map(LABELS))
    of_label = {LABELS[norm]: _COLOURS[norm] for norm in NORMS}
    strips(ax, table, "label", "largest_share", of_label.__getitem__)
    middle, half = mean_and_bars(table.groupby("label", sort=False)["largest_share"])
    ax.errorbar(middle, range(len(middle)), xerr=half, fmt="k|", markersize=12, capsize=4, label="mean, 95% interval")
    ax.axvline(0.1, color="0.4", linestyle=":", linewidth=1, label="every class as often")
    ax.axvline(ONE, color="0.4", linestyle="--", linewidth=1, label="limits of the criterion")
    ax.axvline(SEVERAL, color="0.4", linestyle="--", linewidth=1)
    ax.set(xlabel="share of the largest class (one dot a network)", xlim=(0, 1.1))
    number_ticks(ax, x=np.linspace(0, 1, 6).round(1))
    legend_above(ax, columns=3)
