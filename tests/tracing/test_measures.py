"""What is measured of each output: options, the user's own functions, and the reductions against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import normscope as ns
from normscope.tracing.reductions import channel_statistics, gradient_statistics, sketch

BATCH = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1, 2, 3, 0])


def kurtosis(output: Tensor) -> Tensor:
    centred = output - output.mean()
    return centred.pow(4).mean() / centred.square().mean().square()


def test_a_measure_of_ones_own_is_one_function() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    table = ns.trace(model, BATCH, measures=("moments", kurtosis)).table
    assert table["kurtosis"][0] == pytest.approx(float(kurtosis(model[0](BATCH).detach())), rel=1e-6)
    assert table["cos_mean"].isna().all()


def test_moments_alone_and_geometry_alone() -> None:
    model = ns.models.mlp(6, 8, 2)
    moments, geometry = (ns.trace(model, BATCH, measures=(word,)) for word in ("moments", "geometry"))
    both = ns.trace(model, BATCH)
    assert moments.table["std"].equals(both.table["std"])
    assert moments.table["cos_mean"].isna().all()
    assert geometry.table["cos_mean"].equals(both.table["cos_mean"])
    assert geometry.table["std"].isna().all()
    with pytest.raises(KeyError, match="not measured"):
        moments.gram("head")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_where_numbers_stop_being_finite(value: float) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.ReLU())
    with torch.no_grad():
        model[1].bias[0] = value
    result = ns.trace(model, BATCH)
    assert result.table["finite"].tolist() == [True, False, False]
    assert result.first_nonfinite == ("1", 0)


def test_shared_gradient_by_hand() -> None:
    """A loss that pulls every sample alike shares all; one that pulls them apart in pairs shares nothing."""
    model = nn.Sequential(nn.Identity())
    batch = torch.ones(4, 3)
    alike = ns.trace(model, batch, loss=lambda out, _: out.sum()).table
    assert alike["grad_shared"][0] == pytest.approx(1)
    assert alike["grad_coherence"][0] == pytest.approx(1)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
    apart = ns.trace(model, batch, loss=lambda out, _: (out * signs).sum()).table
    assert apart["grad_shared"][0] == pytest.approx(0)
    assert apart["grad_coherence"][0] == pytest.approx(0)
    half = ns.trace(model, batch, loss=lambda out, _: out[:2].sum()).table
    assert half["grad_shared"][0] == pytest.approx(0.5)


def test_recentering_leaves_no_shared_gradient_below_it() -> None:
    """The mean that recentering subtracts has a gradient too: below, gradients sum to zero over the batch."""
    model = ns.models.mlp(6, 16, 3, 4, norm="recenter")
    table = ns.trace(model.double(), BATCH.double(), TARGETS).table.set_index("layer")
    assert (table.loc[[f"blocks.{i}.linear" for i in range(3)], "grad_shared"] < 1e-20).all()
    assert table.loc["head", "grad_shared"] > 1e-4


SHAPES = [(3, 4), (1, 5), (7, 1), (4, 3, 5), (2, 3, 4, 5), (300, 40, 30)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_channel_statistics_agree_with_the_measures(shape: tuple[int, ...], dtype: torch.dtype, scale: float) -> None:
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 3).mul(scale).to(dtype)
    x.movedim(1, 0)[0] = 0
    for dim in {1, x.dim() - 1, -1}:
        quick, slow = channel_statistics(x, dim), ns.measure.channel_moments(x, dim)
        torch.testing.assert_close(quick.mean, slow.mean, rtol=1e-10, atol=0)
        torch.testing.assert_close(quick.var, slow.var, rtol=1e-8, atol=1e-12 * scale**2)
        assert torch.equal(quick.dead, ns.measure.dead_channels(x, dim))


@given(st.integers(0, 2**31), st.sampled_from([1e-30, 1.0, 1e30]), st.sampled_from([(4, 3), (6, 2, 5), (3000, 100)]))
def test_gradient_statistics_agree_with_the_measures(seed: int, scale: float, shape: tuple[int, ...]) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale
    norm, coherence, shared = gradient_statistics(g)
    wide = g.double()
    assert norm == pytest.approx(float(wide.norm()), rel=1e-12)
    assert coherence == pytest.approx(float(ns.measure.gradient_coherence(g)), rel=1e-9)
    expected = shape[0] * wide.mean(0).square().sum() / wide.square().sum()
    assert shared == pytest.approx(float(expected), rel=1e-9, abs=1e-14)


def test_a_gradient_of_zeros_has_no_direction() -> None:
    norm, coherence, shared = gradient_statistics(torch.zeros(4, 3))
    assert norm == 0
    assert torch.isnan(coherence)
    assert torch.isnan(shared)


def test_sketch_keeps_inner_products_within_the_stated_error() -> None:
    """Over 400 seeds: mean within 5 standard errors (error rate 6e-7 an entry), spread at most the stated bound.

    The sample variance of 400 draws exceeds its bound by 30 % with probability below 1e-4 if the bound is met exactly.
    """
    x = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = ns.measure.gram(x)
    k, draws = 50, 400
    estimates = torch.stack([ns.measure.gram(sketch(x, k, seed)) for seed in range(draws)])
    bound = (2 / k) ** 0.5 * torch.sqrt(torch.outer(exact.diagonal(), exact.diagonal()))
    assert ((estimates.mean(0) - exact).abs() < 5 * bound / draws**0.5).all()
    assert (estimates.var(0) < 1.3 * bound**2).all()


def test_projection_states_its_error_and_leaves_small_layers_exact() -> None:
    model = nn.Sequential(nn.Linear(6, 400), nn.Linear(400, 8))
    exact, projected = ns.trace(model, BATCH), ns.trace(model, BATCH, projection=100)
    assert projected.notes == ("Gram entries from 100 random sums: error (std) at most 14.1% of the norms",)
    assert np.array_equal(exact.gram("1"), projected.gram("1"))
    assert not np.array_equal(exact.gram("0"), projected.gram("0"))
    norms = np.sqrt(np.diagonal(exact.gram("0")))
    error = (projected.gram("0") - exact.gram("0")) / np.outer(norms, norms)
    assert np.abs(error).max() < 5 * (2 / 100) ** 0.5
    assert np.array_equal(projected.gram("0"), ns.trace(model, BATCH, projection=100).gram("0"))


def test_the_spread_survives_a_mean_of_a_hundred_million() -> None:
    model = nn.Sequential(nn.Identity())
    batch = BATCH.double() + 1e8
    batch[:, 1] += 2
    assert ns.trace(model, batch).table["std"][0] == pytest.approx(float(batch.std(correction=0)), rel=1e-3)


def test_infinities_of_both_signs_are_told_without_a_warning() -> None:
    batch = BATCH.clone()
    batch[0, 0], batch[0, 1] = float("inf"), -float("inf")
    result = ns.trace(nn.Sequential(nn.Identity()), batch)
    assert result.first_nonfinite == ("0", 0)
    assert np.isnan(result.table["std"][0])


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("offset", [0.0, 2.0, 5.0, 1e4])
@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1.0, 1e13, 1e30])
def test_moments_of_images_keep_their_digits(scale: float, offset: float, dead: bool) -> None:
    """Float32 sums are given up where means are large against deviations, or squares leave the range of float32."""
    x = (torch.randn(6, 3, 9, 7, generator=torch.Generator().manual_seed(0)) + offset) * scale
    if dead:
        x[:, 2] = 0
    found, wide = channel_statistics(x, 1), x.double().movedim(1, 0).flatten(1)
    assert found.dead.tolist() == [False, False, dead]
    torch.testing.assert_close(found.mean, wide.mean(1), rtol=1e-5, atol=1e-6 * scale)
    torch.testing.assert_close(found.var, wide.var(1, correction=0), rtol=1e-5, atol=0)
