"""Theorem 1: batch norm places every hyperplane where the data's mean squared distance to it is smallest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from torch import nn

from normscope import data
from normscope.claims.axes import number_ticks, round_numbers
from normscope.claims.balestriero2022.hyperplanes import hyperplanes
from normscope.claims.balestriero2022.setting import (
    COLOURS,
    KINDS,
    LABELS,
    LINES,
    MARKERS,
    PAPER,
    children,
    image_network,
    scales,
)
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import exact, mean
from normscope.system import BLACK, CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OFFSETS: Final = ("batch", "recenter", "rescale", "zero", "random")


def _measure(
    *, seed: int, images: int, size: int, widths: Sequence[int], depths: Sequence[int], networks: int
) -> Measurement:
    """All hyperplanes of networks at initialization: of three kinds with batch norm, of the MLP with other offsets too.

    Several networks are told by the mean, median and maximum of their units, layer by layer.
    """
    tables = []
    for network, child in enumerate(children(seed, networks)):
        batch = data.digits(size, count=images, seed=child).inputs
        for kind, width, depth in zip(KINDS, widths, depths, strict=True):
            for offsets in _OFFSETS if kind == "mlp" else ("batch",):
                made = image_network(kind, offsets, size, width, depth, child)
                of_layer = hyperplanes(made, batch).groupby("layer")
                rows = of_layer["excess"].agg(excess_median="median", excess="max")
                rows["from_mean"] = of_layer["from_mean"].max()
                tables.append(rows.reset_index().assign(kind=kind, offsets=offsets, network=network))
    return Measurement(pd.concat(tables, ignore_index=True))


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits = measurement.table, criterion.limits
    ours = table[table["offsets"] == "batch"]
    parts = [
        at_most(
            f"largest excess of a unit, {label}",
            exact(ours.loc[ours["kind"] == kind, "excess"].max()),
            limits["rounding"],
        )
        for kind, label in KINDS.items()
    ]
    off = at_most("largest distance of a mean input from a hyperplane", exact(ours["from_mean"].max()), limits["point"])
    zero = table[table["offsets"] == "zero"].groupby("network")["excess_median"].min()
    away = mean(zero, criterion.confidence)
    return [*parts, off, at_least("excess with zero biases, median unit, smallest of the layers", away, limits["away"])]


def _draw(measurement: Measurement, ax: Axes) -> None:
    rows = measurement.table[measurement.table["kind"] == "mlp"]
    for offsets in _OFFSETS:
        of_layer = rows[rows["offsets"] == offsets].groupby("layer")["excess_median"]
        middle = of_layer.mean()
        bars = [middle - of_layer.min(), of_layer.max() - middle]
        ax.errorbar(
            middle.index, 1 + middle, np.maximum(bars, 0), capsize=2, color=COLOURS[offsets], marker=MARKERS[offsets],
            linestyle=LINES[offsets], label=LABELS[offsets], markersize=9 if offsets == "recenter" else 5,
            markerfacecolor="none" if offsets == "recenter" else None,
        )  # fmt: skip
    ax.set(xlabel="hidden layer of the MLP", yscale="log")
    ax.set_ylabel(
        "mean squared distance of the layer's inputs\nto a hyperplane, over the smallest\n"
        "(median unit; mean and extremes of networks)"
    )
    ax.set_ylim(0.8, None)
    number_ticks(ax, x=rows["layer"], y=round_numbers(*ax.get_ylim()))
    ax.legend(fontsize="small")


LEAST_SQUARES: Final = Claim(
    id="balestriero2022.least-squares",
    paper=PAPER,
    result="Theorem 1 (total least squares) and the central arrangement",
    statement="In every layer batch norm puts the hyperplane of each unit where its mean squared distance to the "
    "layer's inputs is smallest, so that all of them go through the mean of these; zero biases do not.",
    method="MLP, conv net and ResNet at initialization on digits, in train mode, float64: hyperplanes from where "
    "arguments are zero, the best offset from distances to three parallel hyperplanes; of convolutions over samples "
    "and positions.",
    criterion=Criterion(
        # away: in a centered and isotropic batch the excess of a hyperplane through 0 would be of order 1/n
        text="in all networks and layers, the mean squared distance exceeds the smallest by a fraction of at most "
        "{rounding:g}, and the mean of the inputs is within {point:g} root mean squared distances of each hyperplane; "
        "with zero biases (MLP) the median unit exceeds it by at least {away:g} in every layer (whole {confidence:.0%} "
        "interval of the mean over networks)",
        limits={"rounding": 1e-9, "point": 1e-6, "away": 0.1},
        error_rate=0.01,
        error="calling it reproduced though zero biases are as good in some layer",
        parts=5,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    sizes=scales(
        {"images": 64, "size": 8, "widths": (64, 8, 4), "depths": (6, 6, 8), "networks": 5},
        {"images": 128, "size": 16, "widths": (256, 16, 8), "depths": (10, 10, 14), "networks": 5},
    ),
    seconds={"quick": 2, "full": 9, "paper": 9},
)


def _measure_learned(
    *, seed: int, size: int, width: int, depth: int, channels: int, steps: int, learning_rate: float
) -> Measurement:
    """All hyperplanes of trained networks, on images other than those of the training."""
    tables = []
    for kind, units, layers in (("mlp", width, depth), ("convnet", channels, depth)):
        network = image_network(kind, "batch", size, units, layers, seed).train()
        everything = data.digits(size, seed=seed)
        first, last = everything.inputs[:-256], everything.inputs[-256:]
        accuracy = _train(network, first, everything.targets[:-256], steps, learning_rate, seed)
        rows = hyperplanes(network, last)
        tables.append(rows.assign(kind=kind, accuracy=accuracy))
    return Measurement(pd.concat(tables, ignore_index=True))


def _train(
    network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, steps: int, learning_rate: float, seed: int
) -> float:
    """Plain stochastic gradient descent with momentum; the accuracy of the last mini-batches."""
    generator = torch.Generator().manual_seed(seed)
    descent = torch.optim.SGD(network.parameters(), learning_rate, momentum=0.9)
    right = []
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (64,), generator=generator)
        output = network(inputs[chosen])
        descent.zero_grad()
        nn.functional.cross_entropy(output, targets[chosen]).backward()
        descent.step()
        right.append(float((output.argmax(1) == targets[chosen]).float().mean()))
    return float(np.mean(right[-10:]))


def _judge_learned(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """Relative to 1 + (β/γ)²: the mean squared distance over the smallest."""
    table = measurement.table
    square = table["ratio"] ** 2
    gap = (table["excess"] - square).abs() / (1 + square)
    worst = gap.groupby(table["kind"]).max()
    parts = [
        at_most(f"largest deviation of a unit, {KINDS[kind]}", exact(worst[kind]), criterion.limits["most"])
        for kind in ("mlp", "convnet")
    ]
    moved = at_least("largest |β/γ|", exact(table["ratio"].abs().max()), criterion.limits["moved"])
    return [*parts, moved]


def _draw_learned(measurement: Measurement, ax: Axes) -> None:
    """Where the hyperplanes are, against where the formula has them."""
    for colour, marker, (kind, rows) in zip(CYCLE, "o^", measurement.table.groupby("kind"), strict=False):
        label = f"{KINDS[str(kind)]} (accuracy {rows['accuracy'].iloc[0]:.0%})"
        ax.plot(-rows["ratio"], rows["displacement"], marker, color=colour, markersize=4, alpha=0.6, label=label)
    ends = np.array([-measurement.table["ratio"].max(), -measurement.table["ratio"].min()])
    ax.plot(ends, ends, "--", color=BLACK, linewidth=1, label="formula: −β/γ")
    ax.set(
        xlabel="−β/γ of the unit, learned",
        ylabel="signed distance of its hyperplane from the best\none, in root mean squared distances to that",
    )
    ax.legend(fontsize="small")


LEARNED: Final = Claim(
    id="balestriero2022.learned-offsets",
    paper=PAPER,
    result="hyperplanes with learned γ and β",
    statement="With learned γ and β the hyperplane of a unit is σβ/(γ‖w‖) away from the best one, so that its mean "
    "squared distance to the layer's inputs is 1 + (β/γ)² times the smallest.",
    method="An MLP and a conv net with batch norm after some steps of training on digits, in train mode on images that "
    "were not trained on: hyperplanes and best offsets as in balestriero2022.least-squares.",
    criterion=Criterion(
        # eps = 1e-5 of the norm layer, beside variances of order 1
        text="in all units the mean squared distance over the smallest is 1 + (β/γ)² to a fraction of {most:g}; some "
        "|β/γ| is at least {moved:g}, so that there is something to see",
        limits={"most": 1e-4, "moved": 0.05},
        error_rate=0.0,
        parts=3,
        judge=_judge_learned,
    ),
    measure=_measure_learned,
    figure=_draw_learned,
    sizes=scales(
        {"size": 8, "width": 64, "depth": 4, "channels": 8, "steps": 60, "learning_rate": 0.1},
        {"size": 16, "width": 128, "depth": 6, "channels": 16, "steps": 500, "learning_rate": 0.1},
    ),
    seconds={"quick": 2, "full": 13, "paper": 13},
)
