"""What has no partition, or cannot be read, is told in one line that names the layer and what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from program_cases import Clipped, Written
from torch import Tensor, nn
from torch.ao.quantization.observer import MinMaxObserver

from fingerprint import fingerprint
from normscope import models
from normscope.loading import LoadingError
from normscope.nn import DecomposedBatchNorm1d
from normscope.spline.reading.program import read
from normscope.spline.reading.refusal import NotPiecewiseAffineError


class TwoInputs(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Named(nn.Module):
    def forward(self, **inputs: Tensor) -> Tensor:
        return inputs["x"]


class NamedToo(nn.Module):
    def forward(self, x: Tensor, *, mask: Tensor) -> Tensor:
        return x * mask


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 2, 3)
        return self.attention(x, x, x)[0]


class Looking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x.long())


class Swallowing(nn.Module):
    """Control flow whose refusal the model's own code catches."""

    def forward(self, x: Tensor) -> Tensor:
        try:
            return x if x.sum() > 0 else -x
        except Exception:
            return x


class Drifting(nn.Module):
    """Adds a buffer that grows with every call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.offset
        self.offset += 1
        return x.relu()


class Holding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        return x


def written(function: Callable[[Any, Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Written(function)


def second(module: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, 6), module())


NOT_AFFINE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "gelu": (second(nn.GELU), r"layer '1' \(GELU\) applies gelu, which is not piecewise affine"),
    "functional": (written(lambda m, x: F.gelu(m.linear(x))), r"the model itself \(Written\) applies gelu"),
    "silu": (second(nn.SiLU), r"layer '1' \(SiLU\) applies silu"),
    "tanh": (second(nn.Tanh), r"layer '1' \(Tanh\) applies tanh"),
    "softmax": (second(lambda: nn.Softmax(1)), r"layer '1' \(Softmax\) applies softmax"),
    "layer norm": (lambda: models.mlp(6, 4, 2, norm="layer"), r"'blocks\.0\.norm' \(LayerNorm\) applies layer_norm"),
    "group norm": (second(lambda: nn.GroupNorm(2, 6)), r"\(GroupNorm\) applies group_norm"),
    "instance norm": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2)),
        r"layer '1' \(InstanceNorm1d\) normalizes every sample by its own .*track_running_stats=True",
    ),
    "batch norm without statistics": (
        second(lambda: nn.BatchNorm1d(6, track_running_stats=False)),
        r"layer '1' \(BatchNorm1d\) has no running statistics, .* give a batch to take them from \(batch=\)",
    ),
    "decomposed batch norm without statistics": (
        second(lambda: DecomposedBatchNorm1d(6, recenter=False, track_running_stats=False)),
        r"layer '1' \(DecomposedBatchNorm1d\) has no running statistics",
    ),
    "batch norm by hand": (
        written(lambda m, x: F.batch_norm(x, None, None, training=True)),
        r"by the statistics of the batch .*use an nn.BatchNorm module, or training=False",
    ),
    "rms norm": (second(lambda: nn.RMSNorm(6)), r"layer '1' \(RMSNorm\) applies rms_norm, which is not piecewise"),
    "attention module": (
        lambda: Attending(),
        r"layer 'attention' \(MultiheadAttention\) multiplies two values that depend on the input",
    ),
    "product": (written(lambda m, x: x * m.linear(x)), r"multiplies two values that depend on the input \(mul\)"),
    "attention": (written(lambda m, x: x @ m.linear(x).T), r"multiplies two values that depend on the input \(mm\)"),
    "square": (written(lambda m, x: x.square()), "applies pow"),
    "quotient": (written(lambda m, x: m.linear.bias / x), "with a divisor that depends on the input"),
    "rounded": (written(lambda m, x: torch.div(x, 2, rounding_mode="floor")), "rounds a quotient"),
    "integers": (written(lambda m, x: x.long() * 1.0), "turns values that depend on the input into int64"),
    "comparison": (written(lambda m, x: torch.where(x > 0, x, -x)), r"compares .*\(gt\): say it with relu"),
    "jump": (second(lambda: nn.Threshold(0.0, 1.0)), r"layer '1' \(Threshold\) jumps at 0 to 1"),
    "places": (written(lambda m, x: x.max(1)[1] * 1.0), "uses the places of maxima"),
    "sorted": (written(lambda m, x: x.sort(1)[0]), "applies sort, whose folds are not followed: say it with abs"),
    "norm of order 1": (written(lambda m, x: x.norm(p=1, dim=1)), "applies linalg_vector_norm, whose folds are not"),
    "largest of a norm": (written(lambda m, x: x.norm(p=float("inf"), dim=1)), "whose folds are not followed"),
    "norm": (written(lambda m, x: x.norm(dim=1)), "applies linalg_vector_norm, which is not piecewise affine"),
    "to whole numbers": (written(lambda m, x: x.round()), "applies round, which jumps"),
    "shrinking": (second(nn.Hardshrink), r"layer '1' \(Hardshrink\) applies hardshrink, which jumps"),
    "complex": (written(lambda m, x: torch.fft.fft(x).real), r"computes with complex numbers \(fft_r2c\): say it with"),
    "sparse": (
        written(lambda m, x: torch.sparse.mm(torch.eye(6).to_sparse(), x.T).T),
        "computes with sparse or quantized numbers .*dense, real",
    ),
    "table": (lambda: Looking(), r"layer 'table' \(Embedding\) looks its input up in a table"),
    "whole numbers that fail": (
        written(lambda m, x: m.linear.weight[x.long() + 100]),
        "turns values that depend on the input into int64",
    ),
    "quantized": (
        second(MinMaxObserver),
        r"layer '1' \(MinMaxObserver\) is quantized, or on the way to it.*from before",
    ),
    "noise like it": (written(lambda m, x: x + torch.randn_like(x)), r"draws random numbers in .*\(randn_like\)"),
    "noise of numpy": (written(lambda m, x: x * np.random.rand()), "does something else for another batch"),  # noqa: NPY002
    "a layer at random": (
        written(lambda m, x: m.linear(x) if torch.rand(()).item() < 0.5 else x),
        "draws random numbers in eval mode too, and reads one",
    ),
    "branch": (written(lambda m, x: x if x.sum() > 0 else -x), r"reads a number that depends on the input.*flow"),
    "branch, caught": (Swallowing, r"\(Swallowing\) reads a number that depends on the input"),
    "through numpy": (written(lambda m, x: x * float(x.numpy().sum())), "does something else for another batch"),
    "constant from numpy": (
        written(lambda m, x: x + torch.tensor(x.numpy().sum(0))),
        "uses numbers that are others in every pass",
    ),
    "noise": (written(lambda m, x: x + torch.randn(6)), r"draws random numbers in eval mode too \(randn\)"),
    "noise of the samples": (written(lambda m, x: x + torch.randn(x.shape)), "draws random numbers"),
    "randomized slopes": (
        written(lambda m, x: F.rrelu(x, training=True)),
        r"draws random numbers in eval mode too \(rrelu_with_noise",
    ),
    "dropout": (written(lambda m, x: F.dropout(x, training=True)), "draws random numbers|applies dropout"),
    "a loop over samples": (
        written(lambda m, x: torch.stack([m.linear(row) for row in x])),
        "does something else for another batch",
    ),
    "a state that changes": (Drifting, r"\(Drifting\) uses numbers that are others in every pass: .* change"),
    "recurrent": (lambda: nn.LSTM(6, 4), r"\(LSTM\) applies lstm, which is not piecewise affine"),
    "recurrent ReLU": (lambda: nn.RNN(6, 4, nonlinearity="relu"), r"applies rnn_relu, which writes in place \(add\)"),
    "mixed samples": (written(lambda m, x: F.relu(x.mean(0)) + x), "mixes the samples of a batch"),
}

CANNOT: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "mean of the batch": (
        written(lambda m, x: F.relu(x - x.mean(0))),
        "layer 'relu' is given for one sample depends on the others of its batch",
    ),
    "mean of the batch, last": (written(lambda m, x: x - x.mean(0)), "output of one sample depends on the others"),
    "number of samples": (written(lambda m, x: x * x.shape[0]), "output of one sample depends on the others"),
    "two inputs": (TwoInputs, r"needs 2 inputs \(left, right\): wrap it"),
    "an input by name": (Named, r"takes no input by position: wrap it"),
    "another input by name": (NamedToo, r"needs 2 inputs \(x, mask\): wrap it"),
    "several outputs": (written(lambda m, x: (x, m.linear(x))), "a tuple of 2 .* wrap it in a module that returns one"),
    "no output": (written(lambda m, x: None), "the model returns None"),
    "one number": (written(lambda m, x: x.sum()), r"an output of shape \(\) of 3 samples"),
    "constant": (written(lambda m, x: m.linear.weight), r"an output of shape \(6, 6\) of 3 samples"),
    "shape": (lambda: nn.Linear(5, 5), r"on a batch of shape \(2, 6\) \(sample is one input.*cannot be multiplied"),
    "error": (written(lambda m, x: m.missing), "cannot be run in float64.*no attribute 'missing'"),
    "lazy": (lambda: nn.LazyLinear(4), "weight has no shape yet: run the model on a batch once"),
    "not finite": (written(lambda m, x: F.relu(x * float("nan"))), "given numbers that are not finite"),
    "infinite output": (written(lambda m, x: x * float("inf")), "puts out numbers that are not finite"),
    "lock": (Holding, "the model cannot be copied in float64: TypeError"),
    "in place and autograd": (
        written(lambda m, x: Clipped.apply(m.linear(x)).relu_()),
        "torch.autograd.Function of its own, and operations in place",
    ),
}


def refused(build: Callable[[], nn.Module], message: str, kind: type[Exception]) -> None:
    model = build()
    before = fingerprint(model)
    with pytest.raises(kind, match=message) as caught:
        read(model, (6,))
    assert "\n" not in str(caught.value)
    assert fingerprint(model) == before


@pytest.mark.parametrize("name", NOT_AFFINE)
def test_what_is_not_piecewise_affine_names_layer_and_operation(name: str) -> None:
    refused(*NOT_AFFINE[name], NotPiecewiseAffineError)


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_read(name: str) -> None:
    refused(*CANNOT[name], LoadingError)


def test_a_model_without_values() -> None:
    with pytest.raises(LoadingError, match="weight is on the meta device and has no values"):
        read(nn.Linear(6, 6, device="meta"), (6,))


@pytest.mark.parametrize(
    ("model", "sample", "message"),
    [
        (nn.Linear(3, 3), torch.zeros(3, dtype=torch.long), r"sample is of torch.int64: .* give floats"),
        (nn.Linear(3, 3), 3, "sample must be one input, a tensor, or its shape, a tuple of sizes, not an int"),
        (nn.Linear(3, 3), (0,), "sample must be one input"),
        (nn.Linear, (3,), "model must be a torch.nn.Module, not the class Linear"),
    ],
)
def test_wrong_arguments(model: Any, sample: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        read(model, sample)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.randn(3, 5), r"batch must be a tensor of shape \(n, 6\), not a tensor of shape \(3, 5\)"),
        (torch.randn(1, 6), r"layer 'blocks\.0\.norm' \(BatchNorm1d\) has one value per channel in this batch"),
        ([1.0], r"batch must be a tensor of shape \(n, 6\), not a list of 1"),
    ],
)
def test_wrong_batches(batch: Any, message: str) -> None:
    with pytest.raises(LoadingError, match=message):
        read(models.mlp(6, 5, 2), (6,), batch=batch)


def test_an_output_that_torch_did_not_compute() -> None:
    model = written(lambda m, x: torch.from_numpy(2 * x.detach().numpy()))()
    with pytest.raises(ValueError, match="was not computed from its input by operations of torch"):
        read(model, (2,))
