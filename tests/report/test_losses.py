"""A loss by its name: what does not fit is one line that names the option."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from normscope.report import InspectionError
from normscope.report.inspection.losses import LOSSES, find_loss, random_targets

SCORES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 3, 0])


@pytest.mark.parametrize("name", LOSSES)
def test_each_takes_the_random_targets_that_are_drawn_for_it(name: str) -> None:
    value = find_loss(name)(SCORES, random_targets(name, 0)(SCORES))
    assert value.dim() == 0
    assert value.isfinite()


@dataclass
class Output:
    """What a model returns: an attribute, and no node that torch's trees know."""

    scores: Tensor
    loss: Tensor | None = None


@pytest.mark.parametrize("name", LOSSES)
def test_the_only_tensor_of_a_dataclass_is_meant(name: str) -> None:
    targets = random_targets(name, 0)(Output(SCORES))
    assert find_loss(name)(Output(SCORES), targets) == find_loss(name)(SCORES, targets)


@pytest.mark.parametrize("name", LOSSES)
def test_logits_of_a_larger_output_are_meant(name: str) -> None:
    targets = random_targets(name, 0)(SCORES)
    wrapped = SimpleNamespace(logits=SCORES, hidden=SCORES * 2)
    assert find_loss(name)(wrapped, targets) == find_loss(name)(SCORES, targets)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "begins"),
    [
        ("mse", SCORES, LABELS, "--loss mse: targets are classes, int64 (6,): the mean squared error takes floats of"),
        ("mse", SCORES[:, :1], SCORES[:, 0], "--loss mse: targets are float32 (6,), outputs float32 (6, 1)"),
        ("cross_entropy", SCORES, LABELS + 1, "--loss cross_entropy: label 4 is out of range"),
        (
            "cross_entropy",
            SCORES,
            torch.eye(4)[LABELS].int(),
            "--loss cross_entropy: targets are int32 (6, 4), as",
        ),
        (
            "cross_entropy",
            SCORES,
            {"y": LABELS},
            "--loss cross_entropy: cross-entropy takes a tensor of",
        ),
        (
            "mse",
            {"a": SCORES, "b": SCORES},
            SCORES,
            "the model returned a dict with 2 tensors, none of them named logits: name a loss of your own that picks",
        ),
        ("mse", Output(SCORES, SCORES.mean()), SCORES, "the model returned an Output with 2 tensors, none of them"),
        ("cross_entropy", None, LABELS, "the model returned None with 0 tensors, none of them named logits"),
        ("mse", SCORES, SCORES * 1j, "--loss mse: targets are complex64 (6, 4), outputs float32 (6, 4): the mean squ"),
    ],
)
def test_what_does_not_fit_is_told(name: str, outputs: Any, targets: Any, begins: str) -> None:
    with pytest.raises(InspectionError) as caught:
        find_loss(name)(outputs, targets)
    told = str(caught.value)
    assert told.startswith(begins)
    assert "\n" not in told


def test_a_loss_of_the_users_that_raises_is_named() -> None:
    bad: Tensor = LABELS + 1
    with pytest.raises(InspectionError, match=r"the loss torch.nn:CrossEntropyLoss raised .* int64 \(6,\)$"):
        find_loss("torch.nn:CrossEntropyLoss")(SCORES, bad)
