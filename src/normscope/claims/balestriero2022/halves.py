"""The partition near the data and elsewhere, and which half of batch norm does what: no paper has that question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.claims.axes import number_ticks
from normscope.claims.balestriero2022.setting import COLOURS, LABELS, LINES, MARKERS, PAPER, scales
from normscope.claims.balestriero2022.slices import OBSERVATION, OFFSETS, SETS
from normscope.claims.claim import Claim, Criterion, Scale
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import mean
from normscope.system import BLACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
Values = dict[tuple[str, str], Array]
"""One number a network, by data and offsets."""

_RATIOS: Final = (0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10)  # ticks
_HALVES: Final = ("batch", "recenter", "shifted", "random")  # RC and RS, RC, RS, neither


def _measure(observed: pd.DataFrame) -> Measurement:
    return Measurement(observed)


def _by_network(values: Mapping[Any, float]) -> Values:
    """From values by data, offsets and network, in the order of networks."""
    found: dict[tuple[str, str], list[float]] = {}
    for (kind, offsets, _), value in values.items():
        found.setdefault((kind, offsets), []).append(value)
    return {key: np.array(of_key) for key, of_key in found.items()}


def _concentration(table: pd.DataFrame) -> Values:
    """Logarithm of the number of units that cross a disc at the data over that elsewhere, over all layers."""
    total = table.groupby(["data", "offsets", "network"])[["near", "elsewhere"]].sum()
    ratio = total["near"] / total["elsewhere"]
    return _by_network({key: math.log(value) if value > 0 else math.nan for key, value in ratio.to_dict().items()})


def _turn(table: pd.DataFrame) -> Values:
    """Mean turn of boundaries at earlier folds, radians, mean over the layers from the second."""
    return _by_network(table.groupby(["data", "offsets", "network"])["turn"].mean().to_dict())


def _effects(values: Values, kind: str) -> tuple[Array, Array]:
    """Main effects of recentering and of rescaling, one number a network."""
    both, recenter, rescale, neither = (values[kind, offsets] for offsets in _HALVES)
    return (recenter - neither + both - rescale) / 2, (rescale - neither + both - recenter) / 2


def _judge_density(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, parts = _concentration(measurement.table), []
    for kind in SETS:
        ours = found[kind, "batch"]
        cases = {"batch norm": ours} | {f"batch norm − {LABELS[o]}": ours - found[kind, o] for o in ("zero", "random")}
        parts += [
            at_least(
                f"{kind}: ln(near / elsewhere), {label}", mean(values, criterion.confidence), criterion.limits["more"]
            )
            for label, values in cases.items()
        ]
    return parts


def _judge_draws(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _mostly(_concentration(measurement.table), criterion, "ln(near / elsewhere)", recentering=True)


def _judge_folds(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _mostly(_turn(measurement.table), criterion, "mean turn", recentering=False)


def _mostly(values: Values, criterion: Criterion, name: str, *, recentering: bool) -> list[Part]:
    """One effect is positive, and of the other, either way, it is at least so many times the size."""
    parts = []
    for kind in SETS:
        effects = _effects(values, kind)
        own, other = effects if recentering else effects[::-1]
        names = ("recentering", "rescaling") if recentering else ("rescaling", "recentering")
        share = criterion.limits["share"]
        cases = {
            f"effect of {names[0]}": own,
            f"{share:g} of it − effect of {names[1]}": share * own - other,
            f"{share:g} of it + effect of {names[1]}": share * own + other,
        }
        parts += [
            at_least(f"{kind}: {name}, {label}", mean(case, criterion.confidence), criterion.limits["none"])
            for label, case in cases.items()
        ]
    return parts


def _draw_density(measurement: Measurement, ax: Axes) -> None:
    """By layer: units that cross a disc at the data over those elsewhere."""
    spec, figure = ax.get_subplotspec(), ax.get_figure()
    assert spec is not None
    assert figure is not None
    ax.set_axis_off()
    axes = spec.subgridspec(1, len(SETS)).subplots(sharey=True, squeeze=False)[0]
    table = measurement.table
    for axis, (kind, title) in zip(axes, SETS.items(), strict=True):
        for offsets in OFFSETS:
            rows = table[(table["data"] == kind) & (table["offsets"] == offsets)]
            of_layer = rows.groupby("layer")[["near", "elsewhere"]].mean()
            axis.plot(
                of_layer.index, of_layer["near"] / of_layer["elsewhere"], marker=MARKERS[offsets],
                color=COLOURS[offsets], linestyle=LINES[offsets], label=LABELS[offsets],
            )  # fmt: skip
        axis.axhline(1, color="0.5", linewidth=0.8)
        axis.set(xlabel="layer", yscale="log")
        axis.set_xticks(sorted(measurement.table["layer"].unique()))
        axis.set_title(title, fontsize="medium")
    _ratio_ticks(axes[0])
    axes[0].set_ylabel("boundaries that cross a disc at the data,\nover those elsewhere in the window")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")


def _ratio_ticks(axis: Axes) -> None:
    low, high = axis.get_ylim()
    number_ticks(axis, y=[ratio for ratio in _RATIOS if low <= ratio <= high])


def _draw_answer(measurement: Measurement, ax: Axes) -> None:
    """Each network a dot, each kind of network a cross of means: drawn to the data upwards, folded to the right."""
    spec, figure = ax.get_subplotspec(), ax.get_figure()
    assert spec is not None
    assert figure is not None
    ax.set_axis_off()
    axes = spec.subgridspec(1, len(SETS)).subplots(squeeze=False)[0]
    concentration, turn = _concentration(measurement.table), _turn(measurement.table)
    for axis, (kind, title) in zip(axes, SETS.items(), strict=True):
        for offsets in _HALVES:
            x, y = np.degrees(turn[kind, offsets]), concentration[kind, offsets]
            style = {"color": COLOURS[offsets], "marker": MARKERS[offsets], "linestyle": "none"}
            axis.plot(x, np.exp(y), markersize=3, alpha=0.4, **style)
            label = {"random": "neither (random biases)", "shifted": "rescaling only"}.get(offsets, LABELS[offsets])
            ends = np.exp(y.mean() + np.array([0, -2, 2]) * y.std(ddof=1) / len(y) ** 0.5)
            axis.errorbar(
                x.mean(), ends[0], xerr=2 * x.std(ddof=1) / len(x) ** 0.5, yerr=np.abs(ends[1:, None] - ends[0]),
                markersize=9, capsize=3, markeredgecolor=BLACK, label=label, **style,
            )  # fmt: skip
        axis.set(xlabel="mean turn of a boundary at an earlier fold\n(degrees)", yscale="log")
        _ratio_ticks(axis)
        axis.set_title(title, fontsize="medium")
    axes[0].set_ylabel("boundaries at the data over elsewhere")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")


_SIZES: Final = scales(
    {"samples": 100, "width": 16, "depth": 4, "networks": 40, "radii": (0.03, 0.1), "discs": 100},
    {"samples": 100, "width": 24, "depth": 5, "networks": 40, "radii": (0.03, 0.1), "discs": 150},
)
_SECONDS: Final[dict[Scale, float]] = {"quick": 30, "full": 75, "paper": 75}
_REVISED: Final = (
    "After a first run at quick scale: discs in slices through digits of 5% of the window's side instead of 1.5%, and "
    "40 networks instead of 10, as three small discs a network tell little. Of the first run: no claim reproduced; for "
    "two moons all of density was shown and all but one part of which-half-draws, for digits nothing. Full scale: "
    "smaller networks, for time, before any run there had ended."
)
_METHOD: Final = (
    "Perceptrons of He's weights at initialization, exact partition of the plane of two moons and of planes through "
    "three digits"
)

DENSITY: Final = Claim(
    id="balestriero2022.density",
    paper=PAPER,
    result="batch norm concentrates the partition around the data",
    statement="With batch norm boundaries are denser at the data than elsewhere, and more so than with zero or random "
    "biases.",
    method=f"{_METHOD}: units that cross a disc (radius 1.5% of the window's side; 5% for digits) at a sample over "
    "those that cross one elsewhere in the window; one number a network, its logarithm.",
    criterion=Criterion(
        text="for both data sets the whole {confidence:.2%} interval of the mean over networks lies above {more:g}: of "
        "ln(near / elsewhere) with batch norm, and of its differences from zero and from random biases, same weights",
        limits={"more": 0.0},
        error_rate=0.01,
        error="calling it reproduced though one of the six means is not positive",
        parts=6,
        judge=_judge_density,
    ),
    revised=_REVISED,
    measure=_measure,
    observation=OBSERVATION,
    figure=_draw_density,
    figure_size=(7.2, 4.2),
    sizes=_SIZES,
    seconds=_SECONDS,
)

DRAWS: Final = Claim(
    id="balestriero2022.which-half-draws",
    paper=PAPER,
    result="beyond the paper: batch norm by halves",
    statement="It is recentering that draws the partition to the data, and not rescaling.",
    method=f"{_METHOD}: ln(near / elsewhere) as in balestriero2022.density, main effects of the two halves over "
    "networks of the same weights and random biases.",
    criterion=Criterion(
        text="for both data sets, each at {confidence:.2%}: the effect of recentering is above {none:g}, and that of "
        "rescaling is within {share} of it, either way",
        limits={"none": 0.0, "share": 0.5},
        error_rate=0.01,
        error="calling it reproduced though one of the six means is on the other side",
        parts=6,
        judge=_judge_draws,
    ),
    revised=_REVISED,
    measure=_measure,
    observation=OBSERVATION,
    figure=_draw_answer,
    figure_size=(7.6, 4.2),
    sizes=_SIZES,
    seconds=_SECONDS,
)

FOLDS: Final = Claim(
    id="balestriero2022.which-half-folds",
    paper=PAPER,
    result="beyond the paper: batch norm by halves; 'σ folds' as a statement on how much",
    statement="It is rescaling that folds the partition, so that boundaries turn by more where they cross an earlier "
    "one, and not recentering.",
    method=f"{_METHOD}: the angle by which the boundary of a unit turns where it crosses one of an earlier layer, from "
    "the edges, mean over crossings and layers; main effects as in balestriero2022.which-half-draws.",
    criterion=Criterion(
        text="for both data sets, each at {confidence:.2%}: the effect of rescaling is above {none:g}, and that of "
        "recentering is within {share} of it, either way",
        limits={"none": 0.0, "share": 0.5},
        error_rate=0.01,
        error="calling it reproduced though one of the six means is on the other side",
        parts=6,
        judge=_judge_folds,
    ),
    revised=_REVISED,
    measure=_measure,
    observation=OBSERVATION,
    figure=_draw_answer,
    figure_size=(7.6, 4.2),
    sizes=_SIZES,
    seconds=_SECONDS,
)
