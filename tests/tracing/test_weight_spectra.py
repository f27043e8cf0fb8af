"""Spectra of weights: against plain decompositions, products of known size, and the law of their initialization."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import normscope as ns
from normscope.tracing import product_spectrum, weight_spectra


def deep_linear(depth: int, size: int, scale: float = 1.0, seed: int = 0) -> nn.Module:
    """Layers in Gaussian initialization, whose product has the law of GaussianProduct."""
    torch.manual_seed(seed)
    model = nn.Sequential(*(nn.Linear(size, size, bias=False) for _ in range(depth)))
    for layer in model:
        nn.init.normal_(layer.weight, std=scale / size**0.5)
    return model.double()


def test_layers_against_plain_decompositions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Linear(9, 5)).double()
    frame = weight_spectra(model).set_index("layer")
    for name, shape in (("0", (6, 18)), ("2", (5, 9))):
        matrix = model.get_submodule(name).weight.detach().reshape(shape).numpy()
        values = np.linalg.svd(matrix, compute_uv=False)
        row = frame.loc[name]
        assert (row["rows"], row["columns"]) == shape
        assert row["log_largest"] == pytest.approx(math.log(values[0]))
        assert row["log_smallest"] == pytest.approx(math.log(values[-1]))
        assert row["log_condition"] == pytest.approx(math.log(values[0] / values[-1]))
        assert row["entry_rms"] == pytest.approx(np.sqrt((matrix**2).mean()))


@pytest.mark.parametrize("init", ["xavier", "he"])
def test_initialized_layers_lie_at_the_edges_that_theory_expects(init: str) -> None:
    frame = weight_spectra(ns.models.mlp(100, 400, 2, 100, init=init)).query("rows != columns")
    assert len(frame) == 2
    # ln σ departs from its edge by s · (a Tracy–Widom variable of mean −1.21, deviation 1.27), outwards at the top and
    # the bottom, s = (1/√n ± 1/√m)^(1/3) / (√m ± √n) / 2:
    # Johnstone (2001), Feldheim and Sodin (2010); mean and 4 deviations
    n, m = 10.0, 20.0  # √100, √400
    for sign, edge in ((1, "largest"), (-1, "smallest")):
        scale = (1 / n + sign / m) ** (1 / 3) / (m + sign * n) / 2
        departure = sign * (frame[f"log_{edge}"] - frame[f"expected_log_{edge}"])
        assert ((departure / scale + 1.21).abs() < 4 * 1.27).all()


def test_a_square_layer_has_no_lower_edge() -> None:
    row = weight_spectra(deep_linear(1, 50)).iloc[0]
    assert row["expected_log_smallest"] == -math.inf
    assert row["expected_log_largest"] == pytest.approx(math.log(2), abs=0.05)  # rms is that of the sample


def test_a_product_against_the_product_itself() -> None:
    model = deep_linear(3, 12, scale=1.7)
    result = product_spectrum(model, "*")
    product = model[2].weight @ model[1].weight @ model[0].weight
    np.testing.assert_allclose(
        np.exp(result.log_singular_values), np.linalg.svd(product.detach().numpy(), compute_uv=False), rtol=1e-9
    )
    assert result.layers == ("0", "1", "2")
    scale = sum(math.log(layer.weight.detach().square().mean().sqrt() * 12**0.5) for layer in model)
    assert result.log_scale == pytest.approx(scale)
    assert result.log_condition == pytest.approx(np.ptp(result.log_singular_values))
    assert result.distance == pytest.approx(stats.ks_1samp(result.standardized, result.law.cdf).statistic)


def test_a_hundred_layers_whose_product_float64_cannot_hold() -> None:
    result = product_spectrum(deep_linear(100, 8, scale=1e-5), "*")
    assert np.isfinite(result.log_singular_values).all()
    assert result.log_condition > 100
    assert result.log_singular_values[0] < -1000
    assert abs(result.standardized[0]) < 50  # whatever the scale of the layers


@pytest.mark.parametrize("depth", [1, 5])
def test_a_network_at_initialization_has_the_law_and_one_that_is_not_has_not(depth: int) -> None:
    fresh = product_spectrum(deep_linear(depth, 60), "*")
    # one of 19 + 1 exchangeable distances is the largest: a rate of 1/20 at a seed that is fixed
    assert fresh.distance <= fresh.gaussian_distances(19).max()
    assert np.abs(fresh.expected - fresh.standardized)[:40].max() < 0.5
    orthogonal = deep_linear(depth, 60)
    for layer in orthogonal:
        nn.init.orthogonal_(layer.weight)
    other = product_spectrum(orthogonal, "*")
    assert other.distance > 2 * fresh.gaussian_distances(19).max()
    # all are 1: below it the law is ahead of them by more than it is behind above
    assert other.distance == pytest.approx(float(other.law.cdf(0.0)))
    assert other.log_condition == pytest.approx(0, abs=1e-9)


def test_a_convolution_of_one_position_is_linear() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Linear(6, 6))
    assert product_spectrum(model, "*").law.factors == 2


def test_a_transposed_convolution_is_the_transpose_of_its_weight() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5), nn.ConvTranspose1d(5, 5, 1, bias=False)).double()
    matrix = model[1](model[0].weight[None])[0]  # columns are positions
    expected = np.log(np.linalg.svd(matrix.detach().numpy(), compute_uv=False))
    np.testing.assert_allclose(product_spectrum(model, "*").log_singular_values, expected, rtol=1e-9)
    row = weight_spectra(nn.ConvTranspose2d(4, 6, 3, groups=2)).iloc[0]
    assert (row["rows"], row["columns"]) == (4, 27)


def broken(value: float) -> nn.Module:
    model = deep_linear(2, 4)
    with torch.no_grad():
        model[1].weight.fill_(value)
    return model


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: weight_spectra(torch.relu), TypeError, "model must be a torch.nn.Module"),
        (lambda: weight_spectra(deep_linear(2, 4), "2"), ValueError, "no layer matches '2'"),
        (lambda: weight_spectra(deep_linear(2, 4), []), ValueError, "no layers were named"),
        (lambda: weight_spectra(nn.LazyLinear(3)), ValueError, "layer 'LazyLinear' has no weight yet: run the model"),
        (
            lambda: product_spectrum(nn.Conv2d(1, 9, 3), "*"),  # (9, 9), and no square matrix
            ValueError,
            "layer 'Conv2d' has a kernel of 9 positions",
        ),
        (lambda: weight_spectra(broken(math.nan)), ValueError, "layer '1' has a weight with NaN or infinity"),
        (
            lambda: product_spectrum(ns.models.mlp(6, 8, 2, 4), "*"),
            ValueError,
            r"weight of shape \(8, 6\), a product takes square ones",
        ),
        (
            lambda: product_spectrum(nn.Sequential(nn.Linear(4, 4), nn.Linear(3, 3)), "*"),
            ValueError,
            r"layer '1'.*takes \(4, 4\) ones",
        ),
        (lambda: product_spectrum(broken(0.0), "*"), ValueError, "layer '1' has a weight of zeros"),
        (lambda: product_spectrum(broken(1.0), "*"), ValueError, "singular"),
    ],
)
def test_refuses(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
