"""What the claims of this paper share: networks by their offsets, and where they come from.

"zero" and "random" are networks without a norm, whose hidden layers have biases 0 or standard normal ones, which is the
size of the arguments of their units; "batch", "recenter" and "rescale" have batch norm or one half of it, frozen at the
statistics of the batch, layer by layer; "shifted" is "rescale" with the biases of "random" before it (recentering would
take them out). All have the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from normscope import models
from normscope.claims.claim import Paper, Scale
from normscope.system import BLACK, BLUE, GREEN, ORANGE, VERMILLION

PAPER: Final = Paper("Batch Normalization Explained", "2209.14778", "Balestriero & Baraniuk 2022")

LABELS: Final = {
    "batch": "batch norm",
    "recenter": "recentering only",
    "rescale": "rescaling only",
    "shifted": "rescaling only, random biases",
    "zero": "no norm, zero biases",
    "random": "no norm, random biases",
}
KINDS: Final = {"mlp": "MLP", "convnet": "conv net", "resnet": "ResNet"}
COLOURS: Final = {
    "batch": BLUE,
    "recenter": GREEN,
    "rescale": ORANGE,
    "shifted": ORANGE,
    "zero": BLACK,
    "random": VERMILLION,
}
MARKERS: Final = {"batch": "o", "recenter": "s", "rescale": "D", "shifted": "D", "zero": "^", "random": "v"}
LINES: Final = {
    "batch": "-",
    "recenter": "--",
    "rescale": "-.",
    "shifted": "-.",
    "zero": ":",
    "random": (0, (6, 1, 1, 1, 1, 1)),
}

_NORMS: Final = {"zero": "none", "random": "none", "shifted": "rescale"}
_BIASES: Final = ("random", "shifted")


def perceptron(offsets: str, features: int, width: int, depth: int, seed: int, activation: str = "relu") -> nn.Module:
    """A perceptron of He's weights; ``offsets`` is a key of `LABELS`."""
    made = models.mlp(
        features, width, depth, norm=_NORMS.get(offsets, offsets), activation=activation,
        bias=offsets in _BIASES, seed=seed,
    )  # fmt: skip
    return with_offsets(made, offsets, seed)


def image_network(kind: str, offsets: str, size: int, width: int, depth: int, seed: int) -> nn.Module:
    """A network for images of one channel: "mlp", "convnet" or "resnet" (of He's weights; depth 6n + 2)."""
    norm = _NORMS.get(offsets, offsets)
    if kind == "mlp":
        return perceptron(offsets, size**2, width, depth, seed)
    made: nn.Module
    if kind == "convnet":
        made = models.convnet(depth, width, norm=norm, in_channels=1, bias=offsets in _BIASES, seed=seed)
    else:
        made = models.cifar_resnet(depth, norm, in_channels=1, width=width, init="he", seed=seed)
    return with_offsets(made, offsets, seed)


def with_offsets(network: nn.Module, offsets: str, seed: int) -> nn.Module:
    """The same network; where there are random biases, with standard normal biases in all layers but the head."""
    if offsets not in _BIASES:
        return network
    generator = torch.Generator().manual_seed(seed)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and name != "head":
            if layer.bias is None:
                layer.bias = nn.Parameter(torch.empty(len(layer.weight)))
            nn.init.normal_(layer.bias, generator=generator)
    return network


def children(seed: int, count: int) -> list[int]:
    """Seeds of ``count`` independent networks."""
    return [int(child) for child in np.random.SeedSequence(seed).generate_state(count)]


def scales(quick: Mapping[str, Any], full: Mapping[str, Any]) -> dict[Scale, Mapping[str, Any]]:
    """Sizes of the three scales: the paper's own are not known to us, and its scale is our full one."""
    return {"quick": quick, "full": full, "paper": full}
