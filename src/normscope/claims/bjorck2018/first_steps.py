"""What claims on steps are measured from: a few mini-batches of training, and steps that are tried and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from normscope.claims.bjorck2018.setting import EXPLODED, children, images, layer_at, network, numbered
from normscope.claims.claim import Observation
from normscope.tracing import LossAlongGradient, gradient_step, loss_along_gradient, replay_update, watched_layers

REPLAYED: Final = (8, 44, 80)
"""The layers at which the paper replays an update."""
_MOMENTUM: Final = 0.9
_DECAY: Final = 1e-4


@dataclass(frozen=True, eq=False)
class FirstSteps:
    """Networks in their first steps.

    Attributes:
        losses: one row a norm, network, mini-batch and step size: ``relative``, the loss after the step over before.
        replay: one row a network, fraction, layer: ``mean_size``, mean over channels of |mean|, and ``var``, mean
            over channels of the variance, in networks without norm.
        updates: one row a network without norm: ``step_size`` of the update, and whether it ``diverges``.
        notes: what the images are, and which networks were lost: their loss was not finite behind some training steps,
            and they have no rows from there on.
    """

    losses: pd.DataFrame
    replay: pd.DataFrame
    updates: pd.DataFrame
    notes: tuple[str, ...]


def _observe(
    *,
    seed: int,
    data: str,
    size: int,
    batch: int,
    depth: int,
    networks: int,
    rates: Sequence[float],
    minibatches: Sequence[int],
    step_sizes: Sequence[float],
    fractions: Sequence[float],
) -> FirstSteps:
    """Train with batch norm (at the first rate) and without (at the second); probe at the mini-batches named.

    At the first of them the smallest step that diverges, of the network without norm, is replayed in fractions. A
    network whose training diverges is probed up to there.
    """
    losses: list[pd.DataFrame] = []
    replays: list[pd.DataFrame] = []
    updates: list[dict[str, Any]] = []
    lost: list[str] = []
    notes: tuple[str, ...] = ()
    for number, child in enumerate(children(seed, networks)):
        shown = images(data, size, batch * max(minibatches), child)
        batches = list(zip(shown.inputs.split(batch), shown.targets.split(batch), strict=True))
        notes = (shown.description,)
        for norm, rate in zip(("batch", "none"), rates, strict=True):
            model = network(depth, norm, child)
            optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=_MOMENTUM, weight_decay=_DECAY)
            done = 0
            for place in minibatches:
                _train(model, optimizer, batches[done : place - 1])
                done = place - 1
                if done and _is_lost(model, *batches[done]):
                    lost.append(f"network {number}, norm {norm}: lost in training before mini-batch {place}")
                    break
                probed = loss_along_gradient(model, *batches[done], step_sizes=step_sizes)
                losses.append(probed.table.assign(norm=norm, network=number, minibatch=place))
                if norm == "none" and place == minibatches[0]:
                    step = _diverging(probed)
                    replays.append(_replay(model, batches[done], step, fractions, depth).assign(network=number))
                    updates.append({"network": number, "step_size": step, "diverges": _diverges(probed, step)})
    return FirstSteps(
        pd.concat(losses, ignore_index=True),
        pd.concat(replays, ignore_index=True),
        pd.DataFrame(updates),
        (*notes, *lost),
    )


def _train(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """One step a mini-batch."""
    for inputs, targets in batches:
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def _is_lost(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> bool:
    with torch.no_grad():
        return not bool(cross_entropy(model(inputs), targets).isfinite())


def _diverging(probed: LossAlongGradient) -> float:
    """The smallest step that diverges; the largest one where none does."""
    wrong = ~(probed.losses <= EXPLODED)  # not finite counts
    return float(probed.step_sizes[np.argmax(wrong)] if wrong.any() else probed.step_sizes[-1])


def _diverges(probed: LossAlongGradient, step: float) -> bool:
    return not probed.losses[probed.step_sizes == step][0] <= EXPLODED


def _replay(
    model: nn.Module,
    batch: tuple[torch.Tensor, torch.Tensor],
    step: float,
    fractions: Sequence[float],
    depth: int,
) -> pd.DataFrame:
    """Moments of channels by fraction of the update and layer, of the 110."""
    kinds = {
        name: module for name, module in watched_layers(model).items() if isinstance(module, nn.Conv2d | nn.Linear)
    }
    names = {place: name for name, place in numbered(list(kinds)).items()}
    chosen = {names[layer_at(layer, depth)]: layer for layer in REPLAYED}
    update = gradient_step(model, *batch, step_size=step)
    channels = replay_update(model, batch[0], update, layers=list(chosen), fractions=fractions)
    channels = channels.assign(layer=channels["layer"].map(chosen), mean_size=channels["mean"].abs())
    return channels.groupby(["fraction", "layer"], as_index=False)[["mean_size", "var"]].mean()


FIRST_STEPS: Final = Observation("bjorck2018.first-steps", _observe)

_SIZES: Final = {
    "data": "digits",
    "rates": (0.1, 1e-4),
    "minibatches": (1, 4, 7),
    "step_sizes": tuple(float(f"{x:.2g}") for x in np.logspace(np.log10(1.5e-5), np.log10(0.2), 10)),
    "fractions": (0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
}
# images keep their size at each scale: without norm, steps on smaller ones do not diverge
SIZES: Final[Any] = {
    "quick": {**_SIZES, "depth": 110, "size": 32, "batch": 8, "networks": 4, "minibatches": (1, 4)},
    "full": {**_SIZES, "depth": 110, "size": 32, "batch": 32, "networks": 20},
    "paper": {**_SIZES, "depth": 110, "data": "cifar10", "size": 32, "batch": 128, "networks": 20},
}
SECONDS: Final[Any] = {"quick": 24, "full": 330, "paper": 1600}
