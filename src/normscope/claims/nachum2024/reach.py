"""How far the odd point reaches: other activations, convolutional layers, skip connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd
import torch
from torch import nn

from normscope import data, models
from normscope.claims.axes import CONFIDENCE, beside_strips, legend_above, strips
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import (
    ALMOST_ALL,
    HARDLY_ANY,
    PAPER,
    SCORE,
    children,
    described,
    scales,
    share,
    watch_many,
)
from normscope.claims.parts import Part, at_least, at_most
from normscope.simulate import Parameters
from normscope.system import BLUE
from normscope.tracing import trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST: Final = 0.5
# with this gain recentered features grow, and GELU comes to ReLU; at gain 1 they shrink, and it comes to the identity
_GAIN = 2.0
_HAVE, _HAVE_NOT = ("leaky_relu", "gelu"), ("linear", "tanh")


def _measure_activations(*, seed: int, n: int, width: int, depth: int, networks: int) -> Measurement:
    frames = []
    names = (*_HAVE, *_HAVE_NOT, "abs")
    for name, child in zip(names, children(seed, len(names)), strict=True):
        rows = watch_many(
            "gaussian", n, networks, child, width=width, depth=depth, depths=[depth], activation=name,
            parameters=Parameters(weight_std=_GAIN),
        )  # fmt: skip
        frames.append(rows.assign(kind=name))
    return Measurement(pd.concat(frames, ignore_index=True))


def _judge_activations(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, parts = criterion.limits, []
    for name, rows in measurement.table.groupby("kind", sort=False):
        found, label = share(rows, limits["score"], criterion.confidence), f"{name}: networks with an odd point"
        if name in _HAVE:
            parts.append(at_least(label, found, limits["has"]))
        elif name in _HAVE_NOT:
            parts.append(at_most(label, found, limits["has_not"]))
    return parts


def _draw_kinds(measurement: Measurement, ax: Axes) -> None:
    strips(ax, measurement.table, "kind", "score", lambda _: BLUE)
    ax.axvline(SCORE, color="0.4", linestyle=":", label="has an odd point to the right")
    ax.set(xlabel="odd-point score at the last layer (one dot a network)", xlim=(-0.02, 1.05))
    groups = measurement.table.groupby("kind", sort=False)
    shares = [share(rows, SCORE, CONFIDENCE) for _, rows in groups]
    beside_strips(ax, shares, "networks with an odd point,\n% (95% interval)")
    legend_above(ax)


def _traced(model: nn.Module, inputs: torch.Tensor, layer: str) -> pd.DataFrame:
    """What becomes of ``inputs`` at one layer of a real network."""
    found = trace(model, inputs, layers=layer, measures=("geometry",))
    return described(torch.as_tensor(found.gram(layer))[None])


def _measure_convolution(*, seed: int, n: int, width: int, depth: int, networks: int) -> Measurement:
    frames = []
    for network, child in enumerate(children(seed, networks)):
        model = models.convnet(depth, width, norm="recenter", in_channels=1, seed=child)
        rows = _traced(model, data.digits(count=n, seed=child).inputs, f"blocks.{depth - 1}.activation")
        frames.append(rows.assign(kind="convolutional", network=network))
    return Measurement(pd.concat(frames, ignore_index=True))


def _measure_shortcuts(
    *, seed: int, n: int, width: int, depth: int, channels: int, resnet: int, networks: int
) -> Measurement:
    of_random, *of_resnets = children(seed, networks + 1)
    random = watch_many(
        "digits", n, networks, of_random, width=width, depth=depth, depths=[depth], residual="projected"
    )
    frames = [random.assign(kind="fully connected")]
    for network, child in enumerate(of_resnets):
        model = models.cifar_resnet(resnet, "recenter", width=channels, in_channels=1, init="he", seed=child)
        layer = f"stage3.{(resnet - 2) // 6 - 1}.activation2"
        rows = _traced(model, data.digits(count=n, seed=child).inputs, layer)
        frames.append(rows.assign(kind="ResNet", network=network, depth=resnet))
    return Measurement(pd.concat(frames, ignore_index=True))


def _judge_reach(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits = criterion.limits
    return [
        at_least(
            f"{kind}: networks with an odd point", share(rows, limits["score"], criterion.confidence), limits["share"]
        )
        for kind, rows in measurement.table.groupby("kind", sort=False)
    ]


ACTIVATIONS = Claim(
    id="nachum2024.activations",
    paper=PAPER,
    result="beyond the paper: other non-linearities",
    statement="With recentering, leaky ReLU and GELU make an odd point too; linear layers and tanh do not.",
    method="Gaussian batches through random networks by exact law, weights of standard deviation 2/√fan_in, so that "
    "features grow and GELU meets large numbers; abs is measured too, but not judged, as it turns the odd point over.",
    criterion=Criterion(
        text="the whole {confidence:.2%} interval of the fraction of networks with a score of at least {score} at "
        "the last layer lies above {has} for leaky ReLU and for GELU, and below {has_not} for linear and for tanh",
        limits={"score": SCORE, "has": ALMOST_ALL, "has_not": HARDLY_ANY},
        error_rate=0.01,
        error="calling it reproduced though one of the four fractions is on the other side",
        parts=4,
        judge=_judge_activations,
    ),
    revised=(
        "Cut to width 128 and 120 layers for time, where it was not shown, and put back to width 256 and 150 layers."
    ),
    measure=_measure_activations,
    figure=_draw_kinds,
    sizes=scales(
        {"n": 32, "width": 256, "depth": 150, "networks": 70},
        {"n": 32, "width": 512, "depth": 300, "networks": 100},
    ),
    seconds={"quick": 13, "full": 70, "paper": 70},
)
CONVOLUTION = Claim(
    id="nachum2024.convolution",
    paper=PAPER,
    result="beyond the paper: convolutional layers",
    statement="The odd point appears in deep convolutional networks with recentering and ReLU.",
    method="Digits through real networks of 3×3 convolutions, recentered per channel over samples and positions, He's "
    "weights, traced in train mode; the score of whole images at the last convolution.",
    criterion=Criterion(
        text="the whole {confidence:.1%} interval of the fraction of networks with a score of at least {score} at "
        "the last layer lies above {share}",
        limits={"score": SCORE, "share": MOST},
        error_rate=0.01,
        error="calling it reproduced though half of the networks or fewer have an odd point",
        judge=_judge_reach,
    ),
    measure=_measure_convolution,
    figure=_draw_kinds,
    figure_size=(6.4, 2.6),
    sizes=scales(
        {"n": 32, "width": 16, "depth": 60, "networks": 30},
        {"n": 32, "width": 32, "depth": 200, "networks": 40},
    ),
    seconds={"quick": 4, "full": 60, "paper": 60},
)
_SHORTCUTS = {"n": 32, "channels": 8}
SHORTCUTS = Claim(
    id="nachum2024.shortcuts",
    paper=PAPER,
    result="beyond the paper: skip connections",
    statement="The odd point appears in networks with skip connections, recentering and ReLU.",
    method="Digits through random residual networks by exact law, x + φ(RC(x Wᵀ)) Vᵀ, and through a ResNet for small "
    "images of which the norm layers only recenter, traced in train mode; one batch a network.",
    criterion=Criterion(
        text="for both kinds of networks, the whole {confidence:.2%} interval of the fraction with a score of at least "
        "{score} at the last layer lies above {share}",
        limits={"score": SCORE, "share": MOST},
        error_rate=0.01,
        error="calling it reproduced though half of the networks or fewer have an odd point",
        parts=2,
        judge=_judge_reach,
    ),
    measure=_measure_shortcuts,
    figure=_draw_kinds,
    figure_size=(6.4, 3.2),
    sizes=scales(
        {**_SHORTCUTS, "width": 512, "depth": 200, "resnet": 32, "networks": 24},
        {**_SHORTCUTS, "width": 1024, "depth": 500, "resnet": 110, "networks": 40},
    ),
    seconds={"quick": 6, "full": 60, "paper": 60},
)
