"""Tails by quantiles, and histograms: against numpy, distributions known by hand, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from normscope.measure import histogram, tails
from normscope.measure.distribution import NORMAL_OCTILE_KURTOSIS, NORMAL_QUANTILE_RATIO
from reference import gradient_probes as reference


@given(n=st.integers(8, 200), tail=st.floats(0.01, 0.9), seed=st.integers(0, 2**31))
def test_tails_agree_with_the_twin(n: int, tail: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_t(2, n)
    result = {name: value.item() for name, value in tails(torch.from_numpy(x), tail=tail)._asdict().items()}
    assert result == pytest.approx(reference.tails(x, tail), rel=1e-10)


def test_constants_are_those_of_the_normal_distribution() -> None:
    z = stats.norm.ppf
    assert pytest.approx(2 * (z(7 / 8) - z(5 / 8)) / (2 * z(6 / 8)), abs=5e-5) == NORMAL_OCTILE_KURTOSIS
    assert pytest.approx(z(0.975) / z(0.75), abs=5e-5) == NORMAL_QUANTILE_RATIO


def test_quantiles_of_a_normal_distribution_give_its_numbers() -> None:
    """The exact quantiles stand for a sample without chance."""
    x = torch.from_numpy(3 * stats.norm.ppf((np.arange(200_001) + 0.5) / 200_001))
    result = tails(x)
    assert result.scale.item() == pytest.approx(3, rel=1e-4)
    assert result.octile_kurtosis.item() == pytest.approx(NORMAL_OCTILE_KURTOSIS, rel=1e-4)
    assert result.quantile_ratio.item() == pytest.approx(NORMAL_QUANTILE_RATIO, rel=1e-4)
    assert 5.5 < result.tail_index.item() < 6.5


@pytest.mark.parametrize("alpha", [0.5, 1.5, 3.0])
def test_a_power_law_has_its_index(alpha: float) -> None:
    n = 40_000
    x = np.random.default_rng(0).pareto(alpha, n) + 1
    # of k = n / 20 tail values the estimate has a relative deviation of 1 / √k: four of them
    assert tails(torch.from_numpy(x)).tail_index.item() == pytest.approx(alpha, rel=4 / math.sqrt(n / 20))


def test_one_outlier_moves_only_what_asks_for_the_largest(rng: torch.Generator) -> None:
    x = torch.randn(10_000, generator=rng, dtype=torch.float64)
    plain, spoiled = tails(x), tails(torch.cat([x, torch.tensor([1e12], dtype=torch.float64)]))
    assert spoiled.octile_kurtosis.item() == pytest.approx(plain.octile_kurtosis.item(), rel=1e-3)
    assert spoiled.quantile_ratio.item() == pytest.approx(plain.quantile_ratio.item(), rel=1e-3)
    assert spoiled.extreme_ratio > 1e11


def test_values_without_spread_and_without_meaning() -> None:
    assert tails(torch.ones(10)).octile_kurtosis.isnan()
    assert all(value.isnan() for value in tails(torch.tensor([1.0] * 9 + [math.nan])))
    assert all(value.isnan() for value in tails(torch.tensor([1.0] * 9 + [math.inf])))


@given(n=st.integers(1, 300), bins=st.integers(1, 30), seed=st.integers(0, 2**31), cut=st.booleans())
def test_histograms_agree_with_numpy(n: int, bins: int, seed: int, cut: bool) -> None:
    x = np.random.default_rng(seed).standard_normal(n)
    limit = 0.7 if cut else np.abs(x).max()
    result = histogram(torch.from_numpy(x), bins, limit=0.7 if cut else None)
    counts, edges = np.histogram(x, bins=result.edges.numpy())
    np.testing.assert_allclose(edges, np.linspace(-limit, limit, bins + 1), atol=1e-14)
    assert result.counts.tolist() == counts.tolist()
    assert result.counts.sum() + result.outside == n


def test_values_on_an_edge_belong_to_the_bin_above_and_the_last_to_the_last() -> None:
    x = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    assert histogram(x, 4).counts.tolist() == np.histogram(x, 4)[0].tolist() == [1, 1, 1, 2]


def test_values_that_are_all_zero_lie_in_the_middle() -> None:
    result = histogram(torch.zeros(5), 3)
    assert result.counts.tolist() == [0, 5, 0]
    assert result.outside == 0


X = torch.arange(10.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tails(X.int()), TypeError, "x: expected a real floating"),
        (lambda: tails(X[:7]), ValueError, "7 values have no octiles"),
        (lambda: tails(X, tail=0), ValueError, "tail must be a share between 0 and 1, got 0"),
        (lambda: histogram(X.int()), TypeError, "x: expected a real floating"),
        (lambda: histogram(X[:0]), ValueError, "holds no values"),
        (lambda: histogram(X / 0), ValueError, "holds NaN or infinity"),
        (lambda: histogram(X, 0), ValueError, "bins must be at least 1, got 0"),
        (lambda: histogram(X, limit=-1.0), ValueError, "limit must be positive, got -1"),
        (lambda: histogram(X, limit=math.nan), ValueError, "limit must be positive, got nan"),
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_tails_of_values_that_are_mostly_zero_have_no_scale_and_no_index() -> None:
    sparse = torch.zeros(1000)
    sparse[:20] = torch.randn(20, generator=torch.Generator().manual_seed(0))
    found = tails(sparse)
    assert found.scale.isnan()
    assert found.extreme_ratio.isnan()
    assert found.tail_index.isnan()
