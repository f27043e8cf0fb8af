"""Noise of mini-batch gradients: against the exact one, where there is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope.measure import gradient_noise
from normscope.tracing import minibatch_noise

DATA = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(40) % 3


def exact_noise(model: nn.Module) -> float:
    """C of the data by one backward pass a sample."""
    rows = []
    for x, y in zip(DATA, LABELS, strict=True):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]))
    return gradient_noise(torch.stack(rows)).item()


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_without_batch_statistics_it_is_the_noise_of_samples_over_the_batch_size(norm: str) -> None:
    model = ns.models.mlp(5, 6, 2, 3, norm=norm)
    model(DATA)
    model.eval()
    frame = minibatch_noise(model, DATA, LABELS, batch_sizes=[2, 40], pairs=60)
    expected = exact_noise(model) / frame["batch_size"]
    # also 40 of 40 samples are noisy, as they are drawn with replacement
    # within four standard errors of its own: 60 pairs, so near a normal law; error rate below 1e-3 each
    assert ((frame["noise"] - expected).abs() < 4 * frame["standard_error"]).all()
    assert (frame["standard_error"] < 0.3 * frame["noise"]).all()
    assert frame["noise_per_sample"].tolist() == (frame["noise"] * frame["batch_size"]).tolist()


def test_the_noise_of_dropout_counts() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))
    same = DATA[:1].expand(40, 5).contiguous(), LABELS[:1].expand(40).contiguous()
    assert minibatch_noise(model, *same, batch_sizes=[4], pairs=4)["noise"].item() > 0
    assert minibatch_noise(model.eval(), *same, batch_sizes=[4], pairs=4)["noise"].item() == pytest.approx(0, abs=1e-12)


def test_mappings_and_the_tensors_that_are_no_samples() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 3)

        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return self.linear(x) * scale

    torch.manual_seed(0)
    model = Scaled()
    by_name = minibatch_noise(model, {"x": DATA, "scale": torch.ones(3)}, LABELS, batch_sizes=[4], pairs=3)
    plain = minibatch_noise(model.linear, DATA, LABELS, batch_sizes=[4], pairs=3)
    assert by_name["noise"].item() == pytest.approx(plain["noise"].item(), rel=1e-6)


def probe(**options: object) -> object:
    return minibatch_noise(nn.Linear(5, 3), DATA, LABELS, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probe(batch_sizes=[]), "batch_sizes must be whole numbers, at least 2 each"),
        (lambda: probe(batch_sizes=[4, 1]), r"batch_sizes must be whole numbers, at least 2 each, got \[4, 1\]"),
        (lambda: probe(pairs=1), "pairs must be a whole number of at least 2, for a standard error, got 1"),
        (lambda: probe(batch_sizes=4), "batch_sizes must be whole numbers, at least 2 each, got 4"),
        (lambda: probe(batch_sizes=[2.5]), "batch_sizes must be whole numbers"),
        (lambda: probe(pairs=2.5), "pairs must be a whole number"),
        (lambda: probe(seed=-1), "seed must not be negative, got -1"),
        (lambda: minibatch_noise(nn.Linear(5, 3), DATA, LABELS[:4]), r"targets of shape \(4,\) are not one a sample"),
        (lambda: minibatch_noise(nn.Linear(5, 3), DATA), "gradients need a loss"),
        (lambda: minibatch_noise(nn.Linear(5, 3), DATA, LABELS + 3, pairs=2), "out of range"),
        (
            lambda: minibatch_noise(nn.Linear(5, 3), DATA * float("inf"), LABELS, pairs=2),
            "the loss is nan at the start",
        ),
    ],
)
def test_refuses(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
