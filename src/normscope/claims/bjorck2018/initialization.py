"""One pass over each network at initialization: what claims on gradients, channels and outputs are measured from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.claims.bjorck2018.setting import MIDDLE, children, images, layer_at, network, numbered
from normscope.claims.claim import Observation
from normscope.tracing import GradientProbe, probe_gradients

Array = NDArray[np.float64]

_BINS: Final = 81
_REACH: Final = 12.0  # of a histogram, in units of the scale of its values


@dataclass(frozen=True, eq=False)
class Middle:
    """What one network's gradients look like at the middle layer and at the outputs.

    Attributes:
        counts: histogram of the entries of the kernel's gradient, from −12 to 12 in units of their scale.
        beyond: entries further out.
        pairs: mean absolute gradient of each pair of channels, (out, in).
        outputs: ∂L/∂logits, (images, classes), times the number of images.
    """

    counts: Array
    beyond: int
    pairs: Array
    outputs: Array


@dataclass(frozen=True, eq=False)
class Initialization:
    """Networks at initialization.

    Attributes:
        layers: one row a norm, network and numbered layer: the columns of `normscope.tracing.GradientProbe`.
        networks: one row a norm and network: the metrics of ∂L/∂logits, ``channel_correlation``, and ``loss``.
        middles: of the first network of each norm.
        depth: of the networks.
        notes: what the images are.
    """

    layers: pd.DataFrame
    networks: pd.DataFrame
    middles: dict[str, Middle]
    depth: int
    notes: tuple[str, ...]


def _observe(
    *, seed: int, data: str, size: int, batch: int, depth: int, norms: Sequence[str], networks: int
) -> Initialization:
    """Forward and backward through every network, all in train mode; a network's norms share weights and images."""
    layers: list[pd.DataFrame] = []
    outputs: list[dict[str, Any]] = []
    middles: dict[str, Middle] = {}
    notes: tuple[str, ...] = ()
    for number, child in enumerate(children(seed, networks)):
        shown = images(data, size, batch, child)
        notes = (shown.description,)
        for norm in norms:
            probe = probe_gradients(network(depth, norm, child), shown.inputs, shown.targets)
            names = numbered(probe.table["layer"].tolist())
            table = probe.table[probe.table["layer"].isin(names)]
            layers.append(table.assign(layer=table["layer"].map(names), norm=norm, network=number))
            middle = next(name for name, place in names.items() if place == layer_at(MIDDLE, depth))
            outputs.append({"norm": norm, "network": number, **_of_network(probe, middle)})
            if not number:
                middles[norm] = _middle(probe, middle)
    kept = pd.concat(layers, ignore_index=True).drop(columns=["kind", "call"])
    return Initialization(kept, pd.DataFrame(outputs), middles, depth, notes)


def _of_network(probe: GradientProbe, middle: str) -> dict[str, Any]:
    """Numbers of a whole network; the correlation is Spearman's over the input channels of the middle layer."""
    from scipy.stats import spearmanr

    of_outputs = {name: value.item() for name, value in probe.output_metrics()._asdict().items()}
    sizes = probe.channel_pairs(middle, absolute=True).mean(0)  # shape: (channels in,)
    followed = float(spearmanr(probe.input_means(middle), sizes).statistic)
    return {**of_outputs, "channel_correlation": followed, "loss": probe.loss}


def _middle(probe: GradientProbe, middle: str) -> Middle:
    scale = float(probe.table.set_index("layer").loc[middle, "grad_scale"])  # type: ignore[arg-type]  # a number
    counted = probe.histogram(middle, bins=_BINS, limit=_REACH * scale)
    gradient = probe.output_gradient
    assert gradient is not None
    pairs = probe.channel_pairs(middle, absolute=True)
    return Middle(counted.counts.double().numpy(), counted.outside, pairs, gradient * len(gradient))


INITIALIZATION: Final = Observation("bjorck2018.initialization", _observe)

NORMS: Final = ("batch", "recenter", "rescale", "last", "layer", "none")
_SIZES: Final = {"data": "digits", "depth": 110, "norms": NORMS}
SIZES: Final[Any] = {
    "quick": {**_SIZES, "size": 16, "batch": 64, "networks": 6},
    "full": {**_SIZES, "size": 32, "batch": 128, "networks": 20},
    "paper": {**_SIZES, "data": "cifar10", "size": 32, "batch": 128, "networks": 20},
}
SECONDS: Final[Any] = {"quick": 38, "full": 330, "paper": 330}
