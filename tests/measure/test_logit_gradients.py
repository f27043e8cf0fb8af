"""Whether a network predicts one class: against loops over rows and pairs, and cases known by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.measure import output_gradients, rank_one_energy
from reference import gradient_probes as reference


def of_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """∂ mean cross-entropy / ∂ logits, by autograd."""
    logits = logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), logits)
    return gradient


@given(classes=st.integers(3, 8), extra=st.integers(0, 6), scale=st.floats(0.1, 4), seed=st.integers(0, 2**31))
def test_agrees_with_the_twin(classes: int, extra: int, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n = classes + extra
    labels = torch.randint(classes, (n,), generator=generator)
    g = of_logits(scale * torch.randn(n, classes, generator=generator), labels)
    result = output_gradients(g, labels)._asdict()
    expected = reference.output_metrics(g.numpy(), labels.tolist())
    assert {name: value.item() for name, value in result.items()} == pytest.approx(expected, rel=1e-7, nan_ok=True)


def test_a_network_that_predicts_one_class_whatever_the_image() -> None:
    labels = torch.arange(40) % 10
    logits = torch.zeros(40, 10)
    logits[:, 3] = 6
    result = output_gradients(of_logits(logits, labels), labels)
    assert result.largest_class == 3
    assert result.largest_share == 1
    assert result.positive_share > 0.95
    assert result.correlation.item() == pytest.approx(1)
    assert result.rank_one_energy > 0.5


def test_a_network_that_has_no_preference() -> None:
    labels = torch.arange(40) % 10
    result = output_gradients(of_logits(torch.zeros(40, 10), labels), labels)
    assert result.positive_share.item() == pytest.approx(0.1)
    assert result.cosine.item() == pytest.approx(1)
    assert result.correlation.isnan()  # rows that do not vary have none
    assert result.rank_one_energy.item() == pytest.approx(1 / 9)


def test_predictions_that_depend_on_the_image_alone(rng: torch.Generator) -> None:
    n, classes = 400, 10
    labels = torch.arange(n) % classes
    result = output_gradients(of_logits(torch.randn(n, classes, generator=rng), labels), labels)
    # the largest of 10 counts, each binomial (360, 1/9): 5 deviations, an error rate below 1e-5
    p = 1 / (classes - 1)
    assert result.largest_share < p + 5 * math.sqrt(p * (1 - p) / 360)
    # the mean of all pairwise correlations of n vectors: deviation √2 / (n √(K − 3)) about 0, five of them
    assert abs(result.correlation.item()) < 5 * math.sqrt(2) / (n * math.sqrt(classes - 3)) + 1 / n


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e300])
def test_scale_changes_nothing(scale: float, rng: torch.Generator) -> None:
    labels = torch.arange(12) % 6
    g = of_logits(torch.randn(12, 6, generator=rng), labels)
    expected = [value.item() for value in output_gradients(g, labels)]
    assert [value.item() for value in output_gradients(g * scale, labels)] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_of_any_integer_type(dtype: torch.dtype, rng: torch.Generator) -> None:
    labels = torch.arange(12) % 6
    g = of_logits(torch.randn(12, 6, generator=rng), labels)
    assert output_gradients(g, labels.to(dtype)) == output_gradients(g, labels)


def test_nan_is_told_not_hidden(rng: torch.Generator) -> None:
    labels = torch.arange(12) % 6
    g = of_logits(torch.randn(12, 6, generator=rng), labels)
    g[0, 0] = math.nan
    result = output_gradients(g, labels)
    assert result.largest_share.isnan()
    assert result.positive_share.isnan()
    assert result.rank_one_energy.isnan()


def test_rank_one_energy_of_a_product_a_sum_and_nothing(rng: torch.Generator) -> None:
    u, v = torch.randn(5, 1, generator=rng).double(), torch.randn(1, 7, generator=rng).double()
    assert rank_one_energy(u @ v).item() == pytest.approx(1, abs=1e-14)
    assert rank_one_energy(torch.eye(4)).item() == pytest.approx(0.25)
    assert rank_one_energy(torch.eye(4).double() * 1e-200).item() == pytest.approx(0.25)
    assert rank_one_energy(torch.zeros(2, 3)).isnan()
    assert rank_one_energy(torch.tensor([[math.inf, 1.0]])).isnan()
    stack = torch.randn(2, 3, 4, generator=rng)
    expected = [np.linalg.svd(m, compute_uv=False)[0] ** 2 / np.linalg.norm(m) ** 2 for m in stack.double().numpy()]
    np.testing.assert_allclose(rank_one_energy(stack).numpy(), expected)


G, Y = torch.ones(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize(
    ("g", "labels", "error", "message"),
    [
        (G.int(), Y, TypeError, "gradients: expected a real floating"),
        (G, Y.float(), TypeError, "labels: expected the integers.*float32"),
        (G, Y[:3], ValueError, "do not belong together"),
        (G[0], Y, ValueError, "do not belong together"),
        (G[:3], Y[:3], ValueError, "4 classes need a batch of at least 4 images, got 3"),
        (G[:, :2], Y % 2, ValueError, "at least 3 are needed"),
        (G, Y + 1, ValueError, "labels: 4 is no class; the outputs are those of 0 to 3"),
        (G, Y - 1, ValueError, "labels: -1 is no class"),
    ],
)
def test_refuses(g: Tensor, labels: Tensor, error: type[Exception], message: Any) -> None:
    with pytest.raises(error, match=message):
        output_gradients(g, labels)


@pytest.mark.parametrize(
    ("matrix", "error"), [(torch.ones(3), ValueError), (torch.ones(0, 3), ValueError), (G.int(), TypeError)]
)
def test_rank_one_energy_refuses(matrix: Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^matrix: "):
        rank_one_energy(matrix)
