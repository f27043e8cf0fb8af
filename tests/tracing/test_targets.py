"""What the two commonest losses take: torch's numbers where the targets fit, and one line where they do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope.tracing import cross_entropy, mean_squared_error, probe_gradients

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(6, 4, generator=GENERATOR)
MAPS = torch.randn(6, 4, 3, 2, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 3, 3, 0])
ONE_HOT = torch.eye(4)[LABELS]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_class_numbers_of_any_integer_type(dtype: torch.dtype) -> None:
    expected = nn.functional.cross_entropy(SCORES, LABELS)
    assert cross_entropy(SCORES, LABELS.to(dtype)) == expected
    maps = torch.ones(6, 3, 2, dtype=dtype)
    assert cross_entropy(MAPS, maps) == nn.functional.cross_entropy(MAPS, maps.long())


def test_probabilities_and_labels_that_are_left_out() -> None:
    assert cross_entropy(SCORES, ONE_HOT) == nn.functional.cross_entropy(SCORES, ONE_HOT)
    some = torch.where(LABELS == 3, -100, LABELS)
    assert cross_entropy(SCORES, some) == nn.functional.cross_entropy(SCORES, some)


@pytest.mark.parametrize("targets", [ONE_HOT, ONE_HOT.double(), ONE_HOT.long(), ONE_HOT.bool()])
def test_squares_of_numbers_of_any_type(targets: Tensor) -> None:
    assert mean_squared_error(SCORES, targets).item() == pytest.approx((SCORES - ONE_HOT).square().mean().item())


REFUSED = [
    (cross_entropy, SCORES, ONE_HOT.long(), r"int64 \(6, 4\), as many as the outputs: one-hot targets are given as fl"),
    (cross_entropy, SCORES, LABELS[:, None], r"int64 \(6, 1\): for outputs \(6, 4\), whose classes are dimension 1"),
    (cross_entropy, SCORES, LABELS[:5], r"takes class numbers of shape \(6,\)$"),
    (cross_entropy, MAPS, LABELS, r"takes class numbers of shape \(6, 3, 2\)$"),
    (cross_entropy, SCORES, LABELS.float(), r"float32 \(6,\): cross-entropy takes class numbers, integers of shape"),
    (cross_entropy, SCORES, ONE_HOT[:, :3], r"or probabilities, floats of the outputs' shape \(6, 4\)$"),
    (cross_entropy, SCORES, LABELS > 1, r"bool \(6,\): cross-entropy takes class numbers"),
    (cross_entropy, SCORES, LABELS + 1, "label 4 is out of range: the model has 4 outputs, for labels 0 to 3"),
    (cross_entropy, SCORES, [0, 1], "takes a tensor of targets, not a list"),
    (cross_entropy, SCORES[:, 0], LABELS, r"takes outputs \(n, classes, ...\), the model gave \(6,\)"),
    (cross_entropy, SCORES[:, :1], LABELS, r"gave \(6, 1\), one class, whose cross-entropy is always 0: .*BCEWith"),
    (mean_squared_error, SCORES, LABELS, r"targets are classes, int64 \(6,\): .* for classes there is cross_entropy$"),
    (mean_squared_error, SCORES[:, :1], LABELS, r"floats of the outputs' shape \(6, 1\); for classes"),
    (mean_squared_error, SCORES[:, :1], SCORES[:, 0], r"float32 \(6,\), outputs float32 \(6, 1\)"),
    (mean_squared_error, SCORES, ONE_HOT[:5], r"takes floats of the outputs' shape \(6, 4\)$"),
    (mean_squared_error, SCORES, None, "takes a tensor of targets, not a NoneType"),
    (mean_squared_error, SCORES, SCORES * 1j, r"complex64 \(6, 4\), outputs .*: the mean squared error is of real"),
    (mean_squared_error, SCORES * 1j, SCORES, r"outputs complex64 \(6, 4\): the mean squared error is of real numbers"),
    (cross_entropy, SCORES * 1j, LABELS, r"outputs complex64 \(6, 4\): cross-entropy is of real numbers; name a loss"),
    (cross_entropy, SCORES, SCORES * 1j, r"targets are complex64 \(6, 4\), outputs .*: cross-entropy is of real numbe"),
]


@pytest.mark.parametrize(("loss", "outputs", "targets", "message"), REFUSED)
def test_what_does_not_fit_is_told_in_one_line(
    loss: Callable[..., Tensor], outputs: Tensor, targets: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        loss(outputs, targets)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", [cross_entropy, mean_squared_error])
@pytest.mark.parametrize("outputs", [{"logits": SCORES}, (SCORES,), None])
def test_outputs_that_are_no_tensor_are_told_in_one_line(loss: Callable[..., Tensor], outputs: Any) -> None:
    told = f"the model returns a {type(outputs).__name__}, no tensor: name the loss\\(outputs, targets\\)$"
    with pytest.raises(TypeError, match=told):
        loss(outputs, ONE_HOT)


@pytest.mark.parametrize(
    ("width", "targets", "message"),
    [
        (4, ONE_HOT.long(), "one-hot targets"),
        (1, SCORES[:, 0], r"outputs float32 \(6, 1\)"),  # torch would compare all with all, and only warn
        (4, SCORES * 1j, "targets are complex64"),
        (1, LABELS, "the model has one output; of two classes that one output tells apart"),
    ],
)
@pytest.mark.parametrize("watch", [ns.trace, probe_gradients])
def test_targets_without_a_loss_are_checked_too(
    width: int, targets: Tensor, message: str, watch: Callable[..., Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=message):
            watch(nn.Linear(4, width), SCORES, targets)
