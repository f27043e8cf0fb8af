"""The paper's set-up: its networks, images, and the numbers that it prints or plots at initialization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from normscope import data, models
from normscope.claims.claim import NeedsMore, Paper
from normscope.claims.estimate import Estimate
from normscope.claims.statistics import mean
from normscope.loading import LoadingError

PAPER: Final = Paper("Understanding Batch Normalization", "1806.02375", "Bjorck et al. 2018")

DEPTH: Final = 110
MIDDLE: Final = 55
"""The layer of the paper's histograms and maps: 3×3 convolutions are 1 … 109, the linear layer is 110."""
TABLE_LAYERS: Final = (18, 54, 90)
TABLE_TERMS: Final = (128 * 32**2, 128 * 16**2, 128 * 8**2)
"""Of which each kernel gradient is the sum there: images × positions."""
PRINTED_RATIO: Final = {"batch": (251.8, 112.8, 40.7), "none": (1.7, 2.6, 2.1)}
"""Table 1: a/b at `TABLE_LAYERS`."""
PLOT_LAYERS: Final = (6, 18, 30, 42, 54, 66, 78, 90, 102, 110)
PLOTTED_LOG_STD: Final = {
    "batch": (0.09, 0.60, 0.89, 0.04, 0.64, 0.97, 0.00, 0.56, 0.89, -0.89),
    "none": (-1.26, -1.15, -0.27, -0.22, 0.12, 0.87, 1.39, 2.19, 3.00, 1.98),
}
"""ln of the standard deviation of channels at `PLOT_LAYERS`, read off its figure."""
MORE_NETWORKS: Final = (
    "At full scale 20 networks in place of 6, as intervals of several claims on them held the limits. At seed 0 the "
    "first 6 are those that showed it: a verdict at another seed says more."
)
"""What was revised in all claims on ResNet-110."""
EXPLODED: Final = 1e3
"""A mini-batch loss above it counts as diverged."""

LABELS: Final = {
    "batch": "batch norm",
    "recenter": "recentering only",
    "rescale": "rescaling only",
    "last": "batch norm at the last layer only",
    "layer": "layer norm",
    "none": "no norm",
}
"""Networks by the name of their norm in `normscope.models`."""


def children(seed: int, count: int) -> list[int]:
    """Seeds of ``count`` independent networks, each with images of its own."""
    return [int(child) for child in np.random.SeedSequence(seed).generate_state(count)]


def images(kind: str, size: int, count: int, seed: int) -> data.Dataset:
    """Three-channel images: "digits" brought to ``size``, or "cifar10" from the disk.

    Raises:
        NeedsMore: CIFAR-10 is not there.
    """
    if kind == "digits":
        return data.digits(size, 3, count=count, seed=seed)
    try:
        return data.cifar10(split="train", count=count, seed=seed)
    except LoadingError as error:
        raise NeedsMore(str(error)) from error


def network(depth: int, norm: str, seed: int) -> models.CifarResNet:
    """As the paper has it: Xavier-uniform weights, projection shortcuts; equal weights for every norm."""
    return models.cifar_resnet(depth, norm, shortcut="B", init="xavier", seed=seed)


def numbered(names: Sequence[str]) -> dict[str, int]:
    """The paper's number of each layer: 3×3 convolutions in order, then the linear layer; projections have none."""
    counted = [name for name in names if "shortcut" not in name]
    return {name: number for number, name in enumerate(counted, 1)}


def layer_at(number: int, depth: int) -> int:
    """Layer ``number`` of the 110, or the one at the same place in a network of another depth."""
    return max(1, round(number * depth / DEPTH))


def geometric_mean(values: ArrayLike, confidence: float) -> Estimate:
    """The exponential of the mean logarithm, with Student's interval for that mean."""
    found = mean(np.log(np.asarray(values, dtype=np.float64)), confidence)
    low, value, high = (float(np.exp(end)) for end in (found.low, found.value, found.high))
    return Estimate(value, low, high, confidence)
