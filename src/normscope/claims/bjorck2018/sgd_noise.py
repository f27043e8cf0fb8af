"""Section 2: the noise of SGD is α²C/|B|, where a sample has a gradient of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normscope import measure
from normscope.claims.axes import MARKERS, legend_above, mean_and_bars, number_ticks
from normscope.claims.bjorck2018.setting import LABELS, PAPER, children, geometric_mean, images, network
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, within
from normscope.claims.statistics import mean
from normscope.system import CYCLE
from normscope.tracing import minibatch_noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure(
    *, seed: int, data: str, size: int, depth: int, pool: int, batch_sizes: Sequence[int], pairs: int, networks: int
) -> Measurement:
    """V_B of every network and batch size, with batch norm and without; C of those without, sample by sample."""
    tables: list[pd.DataFrame] = []
    notes: tuple[str, ...] = ()
    for number, child in enumerate(children(seed, networks)):
        shown = images(data, size, pool, child)
        notes = (shown.description,)
        for norm in ("batch", "none"):
            model = network(depth, norm, child)
            found = minibatch_noise(
                model, shown.inputs, shown.targets, batch_sizes=batch_sizes, pairs=pairs, seed=child
            )
            noise = _sample_noise(model, shown.inputs, shown.targets) if norm == "none" else np.nan
            tables.append(found.assign(norm=norm, network=number, sample_noise=noise))
    return Measurement(pd.concat(tables, ignore_index=True), {}, notes)


def _sample_noise(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """C over the pool, which mini-batches are drawn from: the model has no norm, so one image runs alone."""
    parameters = list(model.parameters())
    rows = []
    for image, target in zip(inputs.split(1), targets.split(1), strict=True):
        gradients = torch.autograd.grad(cross_entropy(model(image), target), parameters)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return measure.gradient_noise(torch.stack(rows)).item()


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    rows = measurement.table[measurement.table["norm"] == "none"]
    by_size = rows.pivot_table(index="network", columns="batch_size", values="noise")
    slopes = np.polyfit(np.log(by_size.columns.to_numpy(float)), np.log(by_size.to_numpy()).T, 1)[0]
    over = (rows["noise_per_sample"] / rows["sample_noise"]).groupby(rows["network"]).mean()
    margin, factor = criterion.limits["margin"], criterion.limits["factor"]
    return [
        within("|B| V / C", geometric_mean(over, criterion.confidence), 1 / factor, factor),
        within("slope of ln V on ln |B|", mean(slopes, criterion.confidence), -1 - margin, -1 + margin),
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    for norm, colour, marker in zip(("batch", "none"), CYCLE, MARKERS, strict=False):
        rows = measurement.table[measurement.table["norm"] == norm]
        own = rows.groupby("network")["noise_per_sample"].transform("mean")
        noise = rows["noise_per_sample"] / (rows["sample_noise"] if norm == "none" else own)
        logs = noise.map(np.log).groupby(rows["batch_size"])
        middle, half = mean_and_bars(logs)
        beside = 0.97 if norm == "batch" else 1.03
        label = LABELS[norm] + (" (over C)" if norm == "none" else " (over its mean: there is no C)")
        ax.errorbar(beside * middle.index, middle, half, color=colour, marker=marker, capsize=3, label=label)
    ax.axhline(0, color="k", linestyle="--", linewidth=1, label="theory: V = C/|B|")
    ax.set(
        xlabel="batch size |B|",
        ylabel="ln of |B| V over C, or over its mean\n(mean over networks, 95% interval)",
        xscale="log",
    )
    number_ticks(ax, x=measurement.table["batch_size"].unique())
    legend_above(ax, columns=2)


_SIZES: Final = {"data": "digits", "batch_sizes": (4, 8, 16, 32), "pool": 64}
_FULL: Final = {**_SIZES, "size": 16, "depth": 32, "pairs": 16, "networks": 8}
NOISE: Final = Claim(
    id="bjorck2018.sgd-noise",
    paper=PAPER,
    result="Section 2 and its appendix",
    statement="A step of SGD of mini-batches drawn with replacement has noise α²C/|B|, C the variance of one sample's "
    "gradient.",
    method="Networks without norm at initialization: V_B, the total variance of the gradient of mini-batches of |B|, "
    "from independent pairs of them; C from every image by itself. The step's noise is α² V_B. With batch norm in "
    "train mode a sample has no gradient of its own, and so no C: the figure shows how |B| V_B goes there.",
    criterion=Criterion(
        text="each at {confidence:.1%}, means over networks: |B| V_B / C lies within a factor {factor} of 1, and the "
        "slope of ln V_B on ln |B| within {margin} of −1",
        limits={"factor": 1.2, "margin": 0.15},
        error_rate=0.05,
        error="calling it reproduced though one of the two is further away",
        parts=2,
        judge=_judge,
    ),
    revised="Sizes alone, to fit the time: depth 14 in place of 20 at quick scale, 32 in place of 110 at full scale.",
    measure=_measure,
    figure=_draw,
    sizes={
        "quick": {**_SIZES, "size": 8, "depth": 14, "pairs": 16, "networks": 6},
        "full": _FULL,
        "paper": {**_FULL, "data": "cifar10", "size": 32},
    },
    seconds={"quick": 20, "full": 60, "paper": 240},
)
