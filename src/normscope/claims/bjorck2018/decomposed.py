"""Which half of batch norm does it? Recentering or rescaling alone, held against both, none and other norms.

In no paper: the three effects that "Understanding Batch Normalization" finds at initialization, taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from normscope.claims.bjorck2018.channels import at_plotted, slopes
from normscope.claims.bjorck2018.decomposed_figures import (
    ONE,
    SEVERAL,
    TIMES,
    by_norm,
    draw_cancellation,
    draw_classes,
    draw_paths,
    draw_table,
)
from normscope.claims.bjorck2018.initialization import INITIALIZATION, SECONDS, SIZES, Initialization
from normscope.claims.bjorck2018.setting import LABELS, MORE_NETWORKS, PAPER, TABLE_LAYERS, geometric_mean, layer_at
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import mean


def _measure(observed: Initialization) -> Measurement:
    """One row a norm and network: cancellation, growth, and the share of the largest class."""
    return Measurement(_by_network(observed), {"terms": _terms(observed)}, observed.notes)


def _measure_paths(observed: Initialization) -> Measurement:
    """The same, and ln of the standard deviation of channels at every layer (rows of kind "layer")."""
    networks = _by_network(observed).assign(kind="network", layer=-1, log_std=np.nan)
    layers = observed.layers[["norm", "network", "layer"]].assign(log_std=np.log(observed.layers["channel_std"]))
    nothing = dict.fromkeys(("cancellation", "growth", "largest_share", "pair_energy"), np.nan)
    return Measurement(
        pd.concat([networks, layers.assign(kind="layer", **nothing)], ignore_index=True), {}, observed.notes
    )


def _by_network(observed: Initialization) -> pd.DataFrame:
    places = [layer_at(layer, observed.depth) for layer in TABLE_LAYERS]
    of_table = observed.layers[observed.layers["layer"].isin(places)]
    ratios = np.log(of_table["kernel_gradient_ratio"]).groupby([of_table["norm"], of_table["network"]]).mean()
    rows = observed.layers[["norm", "network", "layer"]].assign(log_std=np.log(observed.layers["channel_std"]))
    growth = pd.concat({norm: slopes(at_plotted(of, observed.depth)) for norm, of in rows.groupby("norm")})
    middle = observed.layers[observed.layers["layer"] == layer_at(55, observed.depth)]
    found = observed.networks[["norm", "network", "largest_share"]].set_index(["norm", "network"])
    found = found.assign(
        cancellation=np.exp(ratios),
        growth=growth.rename_axis(["norm", "network"]),
        pair_energy=middle.set_index(["norm", "network"])["pair_energy"],
    )
    return found.reset_index()


def _terms(observed: Initialization) -> float:
    """Geometric mean of √T over the layers of the table."""
    places = [layer_at(layer, observed.depth) for layer in TABLE_LAYERS]
    terms = observed.layers[observed.layers["layer"].isin(places)]["terms"]
    return float(np.exp(np.log(terms).mean() / 2))


def _judge_gradients(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, limits = by_norm(measurement, "cancellation"), criterion.limits
    recentered, rescaled = (
        geometric_mean(found[half] / found["batch"], criterion.confidence) for half in ("recenter", "rescale")
    )
    return [
        at_least("a/b over that of batch norm, recentering only", recentered, limits["most_of"]),
        at_most("a/b over that of batch norm, rescaling only", rescaled, limits["little_of"]),
    ]


def _judge_either(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, limit = by_norm(measurement, "cancellation"), criterion.limits["times"]
    return [
        at_least(
            f"a/b over that without norm, {LABELS[norm]}",
            geometric_mean(found[norm] / found["none"], criterion.confidence),
            limit,
        )
        for norm in ("recenter", "rescale", "last")
    ]


def _judge_channels(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, limits = by_norm(measurement, "growth"), criterion.limits
    rescaled, recentered = (mean(found[half] / found["none"], criterion.confidence) for half in ("rescale", "recenter"))
    level = limits["level"]
    return [
        within("growth over that without norm, rescaling only", rescaled, -level, level),
        at_least("growth over that without norm, recentering only", recentered, limits["growing"]),
    ]


def _judge_classes(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    found, limits = by_norm(measurement, "largest_share"), criterion.limits
    inside = [
        at_least(f"share of the largest class, {LABELS[norm]}", mean(found[norm], criterion.confidence), limits["one"])
        for norm in ("batch", "recenter", "rescale")
    ]
    last = mean(found["last"], criterion.confidence)
    return [*inside, at_most(f"share of the largest class, {LABELS['last']}", last, limits["several"])]


GRADIENTS: Final = Claim(
    id="bjorck2018.decomposed-gradients",
    paper=PAPER,
    result="beyond the paper: Table 1 by halves",
    statement="It is recentering that makes kernel gradients depend on the input, and not rescaling.",
    method="a/b (geometric mean of layers 18, 54 and 90) of ResNet-110 at initialization with one half of batch norm, "
    "over that with both: same weights, same images. The figure has all norms and measures.",
    criterion=Criterion(
        text="each at {confidence:.1%}, geometric means over networks: recentering alone has at least {most_of} of the "
        "a/b of batch norm, rescaling alone at most {little_of}",
        limits={"most_of": 0.5, "little_of": 0.25},
        error_rate=0.05,
        error="calling it reproduced though one of the two is false",
        parts=2,
        judge=_judge_gradients,
    ),
    revised=MORE_NETWORKS,
    measure=_measure,
    observation=INITIALIZATION,
    figure=draw_table,
    figure_size=(7.6, 4.2),
    sizes=SIZES,
    seconds=SECONDS,
)

EITHER: Final = Claim(
    id="bjorck2018.decomposed-either",
    paper=PAPER,
    result="beyond the paper: Table 1 by halves",
    statement="Either half of batch norm alone makes kernel gradients depend on the input, and so does batch norm at "
    "the last layer only.",
    method="a/b (geometric mean of layers 18, 54 and 90) of ResNet-110 at initialization, over that without norm: same "
    "weights, same images.",
    criterion=Criterion(
        text="each at {confidence:.1%}, geometric means over networks: recentering alone, rescaling alone, and batch "
        "norm at the last layer only have at least {times:g} times the a/b of no norm",
        limits={"times": TIMES},
        error_rate=0.05,
        error="calling it reproduced though one of the three is false",
        parts=3,
        judge=_judge_either,
    ),
    revised="Formed after decomposed-gradients, which had expected rescaling to do nothing, came out as not reproduced "
    f"at seed 0; its limit was set before a run at seed 1. {MORE_NETWORKS}",
    measure=_measure,
    observation=INITIALIZATION,
    figure=draw_cancellation,
    figure_size=(7.2, 4.0),
    sizes=SIZES,
    seconds=SECONDS,
)

CHANNELS: Final = Claim(
    id="bjorck2018.decomposed-channels",
    paper=PAPER,
    result="beyond the paper: Figure 5 by halves",
    statement="It is rescaling that keeps the standard deviation of channels level through depth, and not recentering.",
    method="Slope of ln std of channels on the layer (convolutions 6, 18, …, 102) of ResNet-110 at initialization with "
    "one half of batch norm, over that without any norm: same weights, same images.",
    criterion=Criterion(
        text="each at {confidence:.1%}, means over networks: with rescaling alone the quotient lies within {level} of "
        "0, with recentering alone it is at least {growing}",
        limits={"level": 0.25, "growing": 0.5},
        error_rate=0.05,
        error="calling it reproduced though one of the two is false",
        parts=2,
        judge=_judge_channels,
    ),
    revised=MORE_NETWORKS,
    measure=_measure_paths,
    observation=INITIALIZATION,
    figure=draw_paths,
    sizes=SIZES,
    seconds=SECONDS,
)

CLASSES: Final = Claim(
    id="bjorck2018.decomposed-classes",
    paper=PAPER,
    result="beyond the paper: Figure 6 by halves",
    statement="Neither half of batch norm, nor both, in their usual places keep a network from predicting one class; "
    "batch norm on the output of the last layer alone does.",
    method="∂L/∂logits of ResNet-110 at initialization: of the images whose true class it is not, the share in which "
    "the commonest largest class is the largest.",
    criterion=Criterion(
        text="each at {confidence:.2%}, means over networks: at least {one} with batch norm and with either half, at "
        "most {several} with batch norm at the last layer only",
        limits={"one": ONE, "several": SEVERAL},
        error_rate=0.05,
        error="calling it reproduced though one of the four is false",
        parts=4,
        judge=_judge_classes,
    ),
    revised=MORE_NETWORKS,
    measure=_measure,
    observation=INITIALIZATION,
    figure=draw_classes,
    figure_size=(7.2, 4.0),
    sizes=SIZES,
    seconds=SECONDS,
)
