"""Figures 6 and 7: a network that predicts one class, and gradients that are one column times one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.claims.axes import CONFIDENCE
from normscope.claims.bjorck2018.initialization import INITIALIZATION, SECONDS, SIZES, Initialization
from normscope.claims.bjorck2018.setting import LABELS, MIDDLE, MORE_NETWORKS, PAPER, layer_at
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NORMS: Final = ("none", "batch")


def _measure_classes(observed: Initialization) -> Measurement:
    """The share of the largest class in each network; ∂L/∂logits of the first, for every image and class."""
    columns = ["norm", "network", "largest_share", "positive_share", "cosine", "correlation", "rank_one_energy"]
    networks = observed.networks.loc[observed.networks["norm"].isin(_NORMS), columns]
    return _with_matrices(networks, {norm: observed.middles[norm].outputs for norm in _NORMS}, observed)


def _measure_pairs(observed: Initialization) -> Measurement:
    """How far one column times one row explains the map; the map of the first network."""
    layers = observed.layers[observed.layers["layer"] == layer_at(MIDDLE, observed.depth)]
    networks = layers.loc[layers["norm"].isin(_NORMS), ["norm", "network", "pair_energy"]].merge(
        observed.networks[["norm", "network", "channel_correlation"]], on=["norm", "network"]
    )
    return _with_matrices(networks, {norm: observed.middles[norm].pairs for norm in _NORMS}, observed)


def _with_matrices(
    networks: pd.DataFrame, matrices: Mapping[str, NDArray[np.float64]], observed: Initialization
) -> Measurement:
    """Rows of kind "network", and of kind "entry": row, column and value of a matrix."""
    tables = [networks.assign(kind="network", row=-1, column=-1, value=np.nan)]
    for norm, matrix in matrices.items():
        row, column = np.indices(matrix.shape)
        entries = {"row": row.ravel(), "column": column.ravel(), "value": matrix.ravel()}
        nothing = dict.fromkeys(networks.columns.drop(["norm", "network"]), np.nan)
        tables.append(pd.DataFrame({**entries, "norm": norm, "network": 0, "kind": "entry"}).assign(**nothing))
    return Measurement(pd.concat(tables, ignore_index=True), {}, observed.notes)


def _networks(measurement: Measurement, norm: str) -> pd.DataFrame:
    return measurement.table[(measurement.table["kind"] == "network") & (measurement.table["norm"] == norm)]


def _judge_classes(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits = criterion.limits
    without, normalized = (mean(_networks(measurement, norm)["largest_share"], criterion.confidence) for norm in _NORMS)
    return [
        at_least("share of the largest class without batch norm", without, limits["one"]),
        at_most("share of the largest class with batch norm", normalized, limits["several"]),
    ]


def _judge_pairs(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, confidence = criterion.limits, criterion.confidence
    without, normalized = (_networks(measurement, norm) for norm in _NORMS)
    return [
        at_least("rank-one energy without batch norm", mean(without["pair_energy"], confidence), limits["energy"]),
        at_most("rank-one energy with batch norm", mean(normalized["pair_energy"], confidence), limits["energy"]),
        at_least(
            "correlation of channel mean and gradient, without",
            mean(without["channel_correlation"], confidence),
            limits["correlation"],
        ),
    ]


def _draw_classes(measurement: Measurement, ax: Axes) -> None:
    _draw_matrices(
        measurement,
        ax,
        ("class", "image"),
        "∂L/∂logit times the number of images",
        "largest_share",
        "largest class",
        signed=True,
    )


def _draw_pairs(measurement: Measurement, ax: Axes) -> None:
    _draw_matrices(
        measurement,
        ax,
        ("channel in", "channel out"),
        "|∂L/∂W| / its mean",
        "pair_energy",
        "rank-one energy",
        signed=False,
    )


def _draw_matrices(
    measurement: Measurement, ax: Axes, labels: tuple[str, str], value: str, column: str, name: str, *, signed: bool
) -> None:
    """The matrices of the first network, side by side; of positive ones each in units of its mean.

    Above them what ``column`` of the table, called ``name``, makes of them, and of those of all networks.
    """
    ax.set_axis_off()
    for place, norm in enumerate(_NORMS):
        entries = measurement.table[(measurement.table["kind"] == "entry") & (measurement.table["norm"] == norm)]
        matrix = entries.pivot_table(index="row", columns="column", values="value").to_numpy()
        shown = matrix if signed else matrix / matrix.mean()
        limits = (-1.0, 1.0) if signed else (0.0, 4.0)
        panel = ax.inset_axes((0.5 * place + 0.02, 0.1, 0.4, 0.8))
        picture = panel.imshow(
            shown, aspect="auto", cmap="PuOr_r" if signed else "cividis", vmin=limits[0], vmax=limits[1],
            interpolation="nearest",
        )  # fmt: skip
        values = _networks(measurement, norm).sort_values("network")[column]
        told = f"{LABELS[norm]}: {name} {values.iloc[0]:.2f}\nmean of {len(values)} networks {mean(values, CONFIDENCE)}"
        panel.set_title(told, fontsize="small")
        panel.set(xlabel=labels[0], ylabel="" if place else labels[1])
        if matrix.shape[1] <= 10:
            panel.set_xticks(range(matrix.shape[1]))
        if place:
            bar = ax.figure.colorbar(picture, ax=ax, fraction=0.04, pad=0.02, extend="neither" if signed else "max")
            bar.set_label(value)


CLASSES: Final = Claim(
    id="bjorck2018.one-class",
    paper=PAPER,
    result="Figure 6",
    statement="At initialization a network without batch norm predicts one class whatever the image, and one with "
    "batch norm does not.",
    method="∂L/∂logits of ResNet-110, a batch by 10 classes: of the images whose true class it is not, the share in "
    "which the commonest largest class is the largest; mean over networks.",
    criterion=Criterion(
        text="the lower {confidence:.1%} limit of the mean share is at least {one} without batch norm, and the upper "
        "one at most {several} with it",
        limits={"one": 0.9, "several": 0.5},
        error_rate=0.05,
        error="calling it reproduced though one of the two is false",
        parts=2,
        judge=_judge_classes,
    ),
    revised=MORE_NETWORKS,
    measure=_measure_classes,
    observation=INITIALIZATION,
    figure=_draw_classes,
    figure_size=(7.2, 4.6),
    sizes=SIZES,
    seconds=SECONDS,
)

PAIRS: Final = Claim(
    id="bjorck2018.channel-pairs",
    paper=PAPER,
    result="Figure 7",
    statement="Without batch norm a kernel's gradient, as a map of output by input channels, has rows and columns that "
    "stand out, and its size for an input channel follows that channel's mean; with batch norm the map is "
    "diffuse.",
    method="Kernel gradient of layer 55 of ResNet-110 at initialization, mean over the nine positions, (out, in): the "
    "share σ₁²/Σσ² that one column times one row explains; Spearman's correlation over input channels of their mean "
    "with the mean over output channels of the absolute gradient.",
    criterion=Criterion(
        text="each at {confidence:.1%}, means over networks: the share is at least {energy} without batch norm and at "
        "most that with it; the correlation without is at least {correlation}",
        limits={"energy": 0.5, "correlation": 0.8},
        error_rate=0.05,
        error="calling it reproduced though one of the three is false",
        parts=3,
        judge=_judge_pairs,
    ),
    revised=MORE_NETWORKS,
    measure=_measure_pairs,
    observation=INITIALIZATION,
    figure=_draw_pairs,
    figure_size=(7.2, 3.6),
    sizes=SIZES,
    seconds=SECONDS,
)
