"""The noise of sampled gradients: its law is checked by drawing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normscope.measure import gradient_noise, step_noise
from reference import gradient_probes as reference


@given(n=st.integers(1, 9), entries=st.integers(1, 7), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 2**31))
def test_agrees_with_the_twin(n: int, entries: int, shift: float, seed: int) -> None:
    g = torch.randn(n, entries, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    expected = reference.gradient_noise(g.numpy())
    assert gradient_noise(g).item() == pytest.approx(expected, rel=1e-8, abs=1e-20)
    if n > 1:
        assert gradient_noise(g, population=False).item() == pytest.approx(expected * n / (n - 1), rel=1e-8, abs=1e-20)


def test_the_law_of_a_step_by_drawing(rng: torch.Generator) -> None:
    g = torch.randn(50, 6, generator=rng, dtype=torch.float64) + 1
    rate, size, draws = 0.3, 8, 20_000
    rows = torch.randint(50, (draws, size), generator=rng)
    errors = (rate * (g.mean(0) - g[rows].mean(1))).square().sum(1)
    # the mean of the drawn errors within five of its standard errors: an error rate below 1e-6
    assert abs(errors.mean() - step_noise(gradient_noise(g), rate, size)) < 5 * errors.std() / math.sqrt(draws)


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_scales_whose_squares_are_at_the_edge(scale: float, rng: torch.Generator) -> None:
    g = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    assert gradient_noise(g * scale).item() == pytest.approx(gradient_noise(g).item() * scale**2, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradient_noise(torch.ones(3, dtype=torch.int64)), TypeError, "gradients: expected a real floating"),
        (lambda: gradient_noise(torch.ones(0, 3)), ValueError, r"\(0, 3\) holds none"),
        (lambda: gradient_noise(torch.tensor(1.0)), ValueError, "holds none"),
        (lambda: gradient_noise(torch.ones(1, 3), population=False), ValueError, "one sample tells nothing"),
        (lambda: step_noise(torch.tensor(1.0), 0.1, 0), ValueError, "batch_size is at least 1, got 0"),
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
