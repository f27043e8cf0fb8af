"""How fast the isometry gap falls behind layer normalization and a non-linearity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch

from normscope import theory
from normscope.claims.axes import MARKERS, legend_above
from normscope.claims.claim import Claim, Criterion, Scale
from normscope.claims.joudaki2023.layers import (
    ACTIVATIONS,
    PAPER,
    STEEP,
    drawn_layers,
    equal_cosines,
    gaps_of,
    wide_layers,
)
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_most
from normscope.claims.statistics import exact, mean
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FLOOR: Final = 0.05  # nats; gaps of networks are not below what finite width leaves


def _measure_bound(*, seed: int, points: int, cosine: float, width: int, depth: int, networks: int) -> Measurement:
    """The isometry gap against depth and its bound, at infinite width (network −1) and in networks."""
    start = equal_cosines(points, cosine)
    smallest = float(torch.linalg.eigvalsh(start)[0])
    tables = []
    for place, phi in enumerate(ACTIVATIONS):
        beta = theory.nonlinearity_strength(phi).value
        bound = theory.isometry_gap_bound(np.arange(depth + 1), beta, smallest)
        limit = torch.stack(list(wide_layers(points, cosine, phi, depth)))[None]
        drawn = torch.stack(list(drawn_layers(start, phi, width, depth, networks, seed + place)), 1)
        for first, gaps in ((-1, gaps_of(limit)), (0, gaps_of(drawn))):
            rows = {"gap": gaps.ravel(), "bound": np.tile(bound, len(gaps))}
            network, level = np.divmod(np.arange(gaps.size), depth + 1)
            tables.append(pd.DataFrame({"network": first + network, "depth": level, **rows}).assign(phi=phi, beta=beta))
    return Measurement(pd.concat(tables), {"slowest": _slowest_factor()}, (_NOTE,))


_NOTE: Final = (
    "the gap itself does not shrink by a factor from nearly parallel points: `slowest` is what one wide ReLU layer "
    "leaves of the gap of two points of cosine 1 − 1e-6, against 1/β₀ = 0.79"
)


def _slowest_factor() -> float:
    before, after = gaps_of(torch.stack(list(wide_layers(2, 1 - 1e-6, "relu", 1))))
    return float(after / before)


def _judge_bound(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table.assign(ratio=measurement.table["gap"] / measurement.table["bound"])
    limit, drawn = table[table["network"] < 0], table[table["network"] >= 0]
    limit = limit[limit["bound"] >= criterion.limits["rounding"]]
    drawn = drawn[drawn["bound"] >= criterion.limits["floor"]]
    largest = drawn.groupby("network")["ratio"].max()
    return [
        at_most("gap over bound in networks", mean(largest, criterion.confidence), criterion.limits["most"]),
        at_most("gap over bound, infinite width", exact(limit["ratio"].max()), criterion.limits["most"]),
    ]


def _judge_decay(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """The gap over what β₀^(−l) leaves of the first one."""
    table = _over_decay(measurement.table)
    table = table[table["decay"] >= criterion.limits["floor"]]
    limit, drawn = table[table["network"] < 0], table[table["network"] >= 0]
    largest = drawn.groupby("network")["ratio"].max()
    return [
        at_most(
            "gap over first gap · β₀^(−l) in networks", mean(largest, criterion.confidence), criterion.limits["most"]
        ),
        at_most("the same at infinite width", exact(limit["ratio"].max()), criterion.limits["most"]),
    ]


def _over_decay(table: pd.DataFrame) -> pd.DataFrame:
    """With columns ``decay``, the first gap · β₀^(−l), and ``ratio``, the gap over it."""
    first = table[table["depth"] == 0].set_index(["phi", "network"])["gap"]
    of_row = first.loc[pd.MultiIndex.from_frame(table[["phi", "network"]])].to_numpy()
    decay = of_row * table["beta"] ** -table["depth"].astype(float)
    return table.assign(decay=decay, ratio=table["gap"] / decay)


def _draw_decay(measurement: Measurement, ax: Axes) -> None:
    table = _over_decay(measurement.table)
    for colour, marker, phi in zip(CYCLE, MARKERS, ACTIVATIONS, strict=False):
        rows = table[(table["phi"] == phi) & (table["decay"] >= _FLOOR)]
        drawn = rows[rows["network"] >= 0].groupby("depth")["ratio"].mean()
        limit = rows[rows["network"] < 0].set_index("depth")["ratio"]
        label = f"{phi}, β₀ = {rows['beta'].iloc[0]:.3f}"
        ax.plot(drawn.index, drawn, color=colour, marker=marker, markersize=3, label=label)
        ax.plot(limit.index, limit, "--", color=colour, linewidth=1)
    ax.axhline(1, color="k", linestyle=":", label="the statement: at most 1")
    ax.plot([], [], "k--", linewidth=1, label="infinite width")
    ax.set(
        xlabel="layer l", ylabel=f"isometry gap over first gap · β₀^(−l)\n(mean; while the latter is ≥ {_FLOOR} nats)"
    )
    legend_above(ax, columns=3)


def _draw_bound(measurement: Measurement, ax: Axes) -> None:
    for colour, marker, phi in zip(CYCLE, MARKERS, ACTIVATIONS, strict=False):
        rows = measurement.table[measurement.table["phi"] == phi]
        drawn = rows[rows["network"] >= 0].groupby("depth")["gap"].mean()
        limit = rows[rows["network"] < 0].set_index("depth")
        label = f"{phi}, β₀ = {rows['beta'].iloc[0]:.3f}"
        ax.semilogy(drawn.index, drawn, color=colour, marker=marker, markersize=3, markevery=3, label=label)
        ax.semilogy(limit.index, limit["gap"].where(limit["gap"] > STEEP), "--", color=colour, linewidth=1)
        ax.semilogy(limit.index, limit["bound"], ":", color=colour, linewidth=1)
    for style, label in (("--", "infinite width"), (":", "ln(1 + (1/μ₀ − 1) β₀^(−l)), the bound")):
        ax.plot([], [], style, color="k", linewidth=1, label=label)
    ax.axhline(_FLOOR, color="0.6", linewidth=0.8, label="networks are judged above")
    ax.set(xlabel="layer l", ylabel="isometry gap (nats; mean)", ylim=(1e-4, None))
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)


_FULL: Final = {"points": 8, "cosine": 0.9, "width": 8192, "depth": 60, "networks": 20}
_SIZES: Final[dict[Scale, dict[str, float]]] = {
    "quick": {"points": 8, "cosine": 0.9, "width": 2048, "depth": 30, "networks": 10},
    "full": _FULL,
    "paper": _FULL,
}

BOUND: Final = Claim(
    id="joudaki2023.isometry",
    paper=PAPER,
    result="Theorem on layer normalization with a non-linearity, in the form derived in docs/lineage.md",
    statement="With layer normalization and a non-linearity of strength β₀ the isometry gap after l layers is at most "
    "ln(1 + (1/μ₀ − 1) β₀^(−l)), μ₀ the smallest eigenvalue of the first cosines.",
    method="Isometry gap behind every layer, of networks (each layer drawn by its exact law) and at infinite width, "
    "over ln(1 + (1/μ₀ − 1) β₀^(−l)); its maximum over layers and five activations.",
    criterion=Criterion(
        text="the maximum is at most {most} at infinite width, where the bound is at least {rounding} nats, and so is "
        "the upper {confidence:.1%} limit of its mean over networks, where the bound is at least {floor} nats, above "
        "what finite width leaves",
        limits={"most": 1.0, "floor": _FLOOR, "rounding": STEEP},
        error_rate=0.01,
        error="calling it reproduced though networks leave the bound",
        parts=2,
        judge=_judge_bound,
    ),
    revised=(
        "A floor below which bound and gap are rounding: without it the claim failed at full scale where the "
        "bound is 1e-17 nats."
    ),
    measure=_measure_bound,
    figure=_draw_bound,
    sizes=_SIZES,
    seconds={"quick": 2, "full": 12, "paper": 12},
)

DECAY: Final = Claim(
    id="joudaki2023.decay",
    paper=PAPER,
    result="Theorem on layer normalization with a non-linearity, as it is commonly told",
    statement="With layer normalization and a non-linearity of strength β₀ the isometry gap itself decays at least "
    "like β₀^(−l), l the layer.",
    method="The measurement of joudaki2023.isometry, which has the form that does hold: isometry gap behind layer l "
    "over the first gap times β₀^(−l); its maximum over layers and five activations.",
    criterion=Criterion(
        text="the maximum is at most {most} at infinite width, and so is the upper {confidence:.1%} limit of its mean "
        "over networks, in layers where the first gap · β₀^(−l) is at least {floor} nats, above what finite width "
        "leaves",
        limits={"most": 1.0, "floor": _FLOOR},
        error_rate=0.01,
        error="calling it reproduced though the gap decays more slowly",
        parts=2,
        judge=_judge_decay,
    ),
    measure=_measure_bound,
    figure=_draw_decay,
    sizes=_SIZES,
    seconds={"quick": 2, "full": 12, "paper": 12},
)
