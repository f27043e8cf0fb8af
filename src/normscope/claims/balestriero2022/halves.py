"""The partition near the data and elsewhere, and which half of batch norm does what: no paper has that question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from normscope.claims.balestriero2022.halves_figures import draw_answer, draw_density
from normscope.claims.balestriero2022.halves_values import HALVES, Array, Values, concentration, turn
from normscope.claims.balestriero2022.setting import LABELS, PAPER, scales
from normscope.claims.balestriero2022.slices import OBSERVATION, SETS
from normscope.claims.claim import Claim, Criterion, Scale
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import mean


def _measure(observed: pd.DataFrame) -> Measurement:
    return Measurement(observed)


def _effects(values: Values, kind: str) -> tuple[Array, Array]:
    """Main effects of recentering and of rescaling, one number a network."""
    both, recenter, rescale, neither = (values[kind, offsets] for offsets in HALVES)
    return (recenter - neither + both - rescale) / 2, (rescale - neither + both - recenter) / 2


def _judge_density(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, parts = concentration(measurement.table), []
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
    return _mostly(concentration(measurement.table), criterion, "ln(near / elsewhere)", recentering=True)


def _judge_folds(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _mostly(turn(measurement.table), criterion, "mean turn", recentering=False)


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
    figure=draw_density,
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
    figure=draw_answer,
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
    figure=draw_answer,
    figure_size=(7.6, 4.2),
    sizes=_SIZES,
    seconds=_SECONDS,
)
