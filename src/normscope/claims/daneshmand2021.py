"""Claims of "Batch Normalization Orthogonalizes Representations in Deep Random Networks" (arXiv 2106.03970).

Linear layers with Gaussian weights and rescaling without recentering; V is the orthogonality gap of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normscope import simulate, theory
from normscope.claims.axes import CONFIDENCE, MARKERS, mean_and_bars, number_ticks, round_numbers
from normscope.claims.claim import Claim, Criterion, Paper
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import difference, mean, slope
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER: Final = Paper(
    "Batch Normalization Orthogonalizes Representations in Deep Random Networks",
    "2106.03970",
    "Daneshmand et al. 2021",
)

_START = 0.5  # cosine of any two points of the first batch: λ is 1/(2n) but for one, so that the bound says something


def _measure_decay(
    *, seed: int, points: int, widths: Sequence[int], window: Sequence[int], depth: int, networks: int
) -> Measurement:
    """V against depth at every width; the bound and the factor per layer at the largest one."""
    tables, gram = [], _equal_cosines(points)
    for width in widths:
        found = _linear(gram, width, depth, networks, seed, rescale=True, record=("gram", "orthogonality_gap"))
        gaps = found.measures["orthogonality_gap"].numpy()
        tables.append(_long(gaps, "gap").assign(width=width))
    # gram has trace n: its eigenvalues are n times those of the batch of norm 1
    alpha = float(torch.linalg.eigvalsh(found.gram).min()) / points
    scalars = {"alpha": alpha, "first": window[0], "last": window[1], "points": points}
    note = "α is the smallest eigenvalue that was met; the theorem asks for one that holds with probability one"
    return Measurement(pd.concat(tables), scalars, (note,))


def _judge_decay(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    alpha, n = float(measurement.scalars["alpha"]), int(measurement.scalars["points"])
    first, last = int(measurement.scalars["first"]), int(measurement.scalars["last"])
    width = int(measurement.table["width"].max())
    gaps = _wide(measurement.table, "gap")
    factor = (gaps[last] / gaps[first]) ** (1 / (last - first))
    bound = theory.orthogonality_gap_bound(np.arange(gaps.shape[1]), n, width, alpha)
    largest = (gaps / bound).max(axis=1)
    return [
        at_most("factor of V per layer", mean(factor, criterion.confidence), 1 - 2 * alpha / 3),
        at_most("V over its bound", mean(largest, criterion.confidence), criterion.limits["most"]),
    ]


def _draw_decay(measurement: Measurement, ax: Axes) -> None:
    n, alpha = int(measurement.scalars["points"]), float(measurement.scalars["alpha"])
    widths = [int(width) for width in sorted(measurement.table["width"].unique())]
    for colour, marker, width in zip(CYCLE, MARKERS, widths, strict=False):
        path = measurement.table[measurement.table["width"] == width].groupby("depth")["gap"].mean()
        ax.semilogy(path.index, path, color=colour, marker=marker, markersize=3, label=f"width {width}")
        ax.axhline(theory.orthogonality_plateau(n, width).mean, color=colour, linestyle="--", linewidth=1)
    bound = theory.orthogonality_gap_bound(path.index, n, width, alpha)
    ax.semilogy(
        path.index,
        np.minimum(bound, np.sqrt(1 - 1 / n)),
        "k:",
        label=f"published bound, width {width}",
    )
    ax.plot([], [], "k--", linewidth=1, label="plateau, theory")
    ax.set(xlabel="layer", ylabel=f"orthogonality gap V (mean, n = {n})")
    ax.set_ylim(bottom=5e-4)  # room for the legend
    ax.legend(fontsize="small", loc="lower left", ncols=2)


DECAY: Final = Claim(
    id="daneshmand2021.decay",
    paper=PAPER,
    result="Theorem 1, figure of V against depth",
    statement="Rescaling alone makes the points of a batch orthogonal, exponentially fast in depth and within a bound.",
    method="V of deep linear networks by exact law from points of cosine 1/2; at the largest width the geometric mean "
    "factor per layer over a window of layers, and the largest V over 2(1 − 2α/3)^l + 3n/(α√d) of each network.",
    criterion=Criterion(
        text="the upper {confidence:.1%} limit of the mean factor is at most 1 − 2α/3, and that of the mean over "
        "networks of the largest V / bound at most {most}",
        limits={"most": 1.0},
        error_rate=0.01,
        error="calling it reproduced though V decays more slowly or leaves the bound",
        parts=2,
        judge=_judge_decay,
    ),
    measure=_measure_decay,
    figure=_draw_decay,
    sizes={
        "quick": {"points": 4, "widths": (32, 512, 65536), "window": (2, 8), "depth": 30, "networks": 10},
        "full": {"points": 4, "widths": (32, 512, 65536), "window": (2, 8), "depth": 60, "networks": 100},
        "paper": {"points": 4, "widths": (32, 512, 65536), "window": (2, 8), "depth": 60, "networks": 100},
    },
    seconds={"quick": 1, "full": 10, "paper": 10},
)


def _measure_plateau(*, seed: int, points: int, widths: Sequence[int], depth: int, networks: int) -> Measurement:
    """V at the last layer, one number a network."""
    gram, tables = _equal_cosines(points), []
    for width in widths:
        found = _linear(gram, width, depth, networks, seed, rescale=True, record="orthogonality_gap", depths=(depth,))
        gaps = found.measures["orthogonality_gap"][:, 0].numpy()
        tables.append(pd.DataFrame({"width": width, "network": np.arange(networks), "gap": gaps}))
    return Measurement(pd.concat(tables), {"points": points})


def _judge_plateau(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits, n = measurement.table, criterion.limits, int(measurement.scalars["points"])
    fitted = slope(np.log(table["width"]), np.log(table["gap"]), criterion.confidence)
    widest = int(table["width"].max())
    expected = theory.orthogonality_plateau(n, widest).mean
    level = mean(table.loc[table["width"] == widest, "gap"] / expected, criterion.confidence)
    return [
        within("slope of log V on log d", fitted, limits["slope"] - limits["apart"], limits["slope"] + limits["apart"]),
        within("V at the largest width over theory", level, 1 - limits["level"], 1 + limits["level"]),
    ]


def _draw_plateau(measurement: Measurement, ax: Axes) -> None:
    table, n = measurement.table, int(measurement.scalars["points"])
    groups = table.groupby("width")["gap"]
    level, widths = groups.mean(), np.array(sorted(table["width"].unique()))
    half = mean_and_bars(groups)[1]
    ax.errorbar(widths, level, half, fmt="o", color=CYCLE[0], capsize=4, label="networks (mean, 95% interval)")
    fitted = slope(np.log(table["width"]), np.log(table["gap"]), CONFIDENCE)
    # the fit is of logarithms of V: its slope, at the level of the means that are drawn
    centre = np.exp(np.log(level).mean() - np.log(widths).mean() * fitted.value)
    ax.plot(widths, centre * widths**fitted.value, color=CYCLE[0], label=f"fit of log V on log d: slope {fitted}")
    plateau = [theory.orthogonality_plateau(n, int(width)).mean for width in widths]
    ax.plot(widths, plateau, "--", color=CYCLE[1], label="theory to leading order, slope −0.5")
    ax.set(xscale="log", yscale="log", xlabel="width d", ylabel=f"orthogonality gap V in deep layers (n = {n})")
    number_ticks(ax, x=widths, y=round_numbers(level.min() / 1.2, 1.2 * level.max()))
    ax.legend(fontsize="small")


_WIDTHS: Final = (16, 32, 64, 128, 256, 512)

PLATEAU: Final = Claim(
    id="daneshmand2021.plateau",
    paper=PAPER,
    result="Theorem 1, figure of the plateau against width (fitted slope −0.46)",
    statement="In deep layers the orthogonality gap stays on a plateau that falls with the width d like 1/√d.",
    method="V at the last layer of deep linear networks by exact law, n = 4, one number a network; least-squares line "
    "of log V on log d.",
    criterion=Criterion(
        text="the whole {confidence:.1%} interval of the slope lies within {apart} of {slope}, and that of the mean V "
        "at the largest width within {level:.0%} of theory to leading order in 1/d",
        # 0.05: the paper's own fit is 0.04 off; 10 %: what theory leaves out is a few times n²/d, 3 % at d = 512
        limits={"slope": -0.5, "apart": 0.05, "level": 0.1},
        error_rate=0.01,
        error="calling it reproduced though slope or level is further off",
        parts=2,
        judge=_judge_plateau,
    ),
    measure=_measure_plateau,
    figure=_draw_plateau,
    sizes={
        "quick": {"points": 4, "widths": _WIDTHS, "depth": 30, "networks": 300},
        "full": {"points": 4, "widths": _WIDTHS, "depth": 60, "networks": 2000},
        "paper": {"points": 4, "widths": _WIDTHS, "depth": 60, "networks": 2000},
    },
    seconds={"quick": 1, "full": 5, "paper": 5},
)


def _measure_two_points(*, seed: int, width: int, depth: int, networks: int) -> Measurement:
    """|cos| of two points that start 45° apart, with and without rescaling."""
    gram, tables = _equal_cosines(2, np.sqrt(0.5)), []
    for rescale in (False, True):
        found = _linear(gram, width, depth, networks, seed, rescale=rescale, record="mean_cosine")
        cosines = found.measures["mean_cosine"].abs().numpy()
        tables.append(_long(cosines, "cosine").assign(rescale=rescale))
    return Measurement(pd.concat(tables), {"width": width})


def _judge_two_points(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    last = measurement.table.query("depth == depth.max()")
    with_it, without = (last.loc[last["rescale"] == on, "cosine"] for on in (True, False))
    random = np.sqrt(2 / (np.pi * int(measurement.scalars["width"])))
    most = float(criterion.limits["multiple"] * random)
    return [
        at_least(
            "|cos| without less |cos| with rescaling",
            difference(without, with_it, criterion.confidence),
            criterion.limits["apart"],
        ),
        at_most("|cos| with rescaling", mean(with_it, criterion.confidence), most),
    ]


def _draw_two_points(measurement: Measurement, ax: Axes) -> None:
    for rescale, label, colour, style in (
        (False, "without rescaling", CYCLE[1], "--"),
        (True, "with rescaling", CYCLE[0], "-"),
    ):
        paths = measurement.table
        paths = paths[paths["rescale"] == rescale].pivot_table(index="depth", columns="network", values="cosine")
        ax.plot(paths.iloc[:, :20], color=colour, alpha=0.25, linewidth=0.7)
        ax.plot(paths.mean(axis=1), style, color=colour, linewidth=2, label=f"{label} (mean; thin: single networks)")
    width = int(measurement.scalars["width"])
    ax.axhline(np.sqrt(2 / (np.pi * width)), color="k", linestyle=":", label=f"two random directions, d = {width}")
    ax.set(xlabel="layer", ylabel="|cosine| of two points", ylim=(0, 1.02))
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16))


TWO_POINTS: Final = Claim(
    id="daneshmand2021.two-points",
    paper=PAPER,
    result="figure of |cos| against depth (d = 32, 50 layers, 20 runs)",
    statement="In deep linear networks two points become orthogonal with rescaling, and parallel without it.",
    method="|cos| at the last layer of two points that start 45° apart, halfway between the two; one number a network.",
    criterion=Criterion(
        text="the lower {confidence:.1%} limit of the difference of means without and with rescaling is at least "
        "{apart} of a range of 1, and the upper limit of the mean with it at most {multiple} times that of two "
        "random directions, √(2/(πd))",
        limits={"apart": 0.5, "multiple": 2.0},
        error_rate=0.01,
        error="calling it reproduced though one of the two is false",
        parts=2,
        judge=_judge_two_points,
    ),
    measure=_measure_two_points,
    figure=_draw_two_points,
    sizes={
        "quick": {"width": 32, "depth": 50, "networks": 100},
        "full": {"width": 32, "depth": 50, "networks": 1000},
        "paper": {"width": 32, "depth": 50, "networks": 20},
    },
    seconds={"quick": 1, "full": 2, "paper": 1},
)

CLAIMS: Final = (DECAY, PLATEAU, TWO_POINTS)


def _linear(
    gram: torch.Tensor,
    width: int,
    depth: int,
    networks: int,
    seed: int,
    *,
    rescale: bool,
    record: str | Sequence[str],
    depths: Sequence[int] | None = None,
) -> simulate.RandomNetworks:
    # a seed of its own for every width: widths that share draws would not be independent samples
    return simulate.random_network(
        gram, width, depth, recenter=False, rescale=rescale, activation="linear", networks=networks,
        seed=seed + 2 * width + rescale, is_gram=True, record=record, depths=depths,
    )  # fmt: skip


def _equal_cosines(n: int, cosine: float = _START) -> torch.Tensor:
    return torch.full((n, n), cosine, dtype=torch.float64).fill_diagonal_(1.0)


def _long(values: NDArray[np.float64], name: str) -> pd.DataFrame:
    """One row a network and depth, of values (networks, depths)."""
    network, depth = np.divmod(np.arange(values.size), values.shape[1])
    return pd.DataFrame({"network": network, "depth": depth, name: values.ravel()})


def _wide(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """(networks, depths), at the largest width."""
    rows = table[table["width"] == table["width"].max()]
    gaps: pd.DataFrame = rows.pivot_table(index="network", columns="depth", values=name)
    return gaps
