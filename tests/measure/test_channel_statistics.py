from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.measure import channel_moments, constant_channels, dead_channels, dead_fraction
from reference import measure as reference

FUNCTIONS: list[Callable[..., object]] = [channel_moments, dead_channels, constant_channels, dead_fraction]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def stack(*channels: list[float]) -> Tensor:
    """(n, C): every argument is a channel."""
    return torch.tensor(channels, dtype=torch.float64).T


# Channel values over the batch, mean, variance, dead, constant.
CHANNELS = {
    "dead": ([0.0, 0.0, 0.0, 0.0], 0.0, 0.0, True, True),
    "dead with signed zeros": ([0.0, -0.0, 0.0, -0.0], 0.0, 0.0, True, True),
    "constant": ([3.0, 3.0, 3.0, 3.0], 3.0, 0.0, False, True),
    "two values": ([1.0, -1.0, 1.0, -1.0], 0.0, 1.0, False, False),
    "one spark": ([0.0, 0.0, 0.0, 4.0], 1.0, 3.0, False, False),
    "negative": ([-2.0, 0.0, 0.0, -2.0], -1.0, 1.0, False, False),
    "NaN": ([0.0, math.nan, 0.0, 0.0], math.nan, math.nan, False, False),
    "infinite": ([0.0, math.inf, 0.0, 0.0], math.inf, math.nan, False, False),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("values", "mean", "var", "dead", "constant"), CHANNELS.values(), ids=CHANNELS.keys())
def test_table(values: list[float], mean: float, var: float, dead: bool, constant: bool, dtype: torch.dtype) -> None:
    x = stack([1.0, 2.0, 3.0, 4.0], values).to(dtype)
    moments = channel_moments(x)
    assert moments.mean.dtype == moments.var.dtype == torch.float64
    expected = torch.tensor([[2.5, mean], [1.25, var]], dtype=torch.float64)
    assert torch.equal(torch.stack(moments).nan_to_num(nan=-7), expected.nan_to_num(nan=-7))
    assert dead_channels(x).tolist() == [False, dead]
    assert constant_channels(x).tolist() == [False, constant]
    fraction = dead_fraction(x)
    assert fraction.dtype == torch.float64
    assert fraction.shape == ()
    assert fraction.isnan() if math.isnan(mean) else fraction == dead / 2


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    channel_dim=st.integers(-5, 4),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_the_twin_at_any_shape(shape: list[int], channel_dim: int, seed: int) -> None:
    channel_dim %= len(shape)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    x = torch.where(torch.rand(shape, generator=generator) < 0.6, 0.0, x)  # some dead channels
    means, variances = reference.channel_moments(x.double().numpy(), channel_dim)
    moments = channel_moments(x, channel_dim)
    np.testing.assert_allclose(moments.mean, means, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(moments.var, variances, rtol=1e-13, atol=1e-15)
    channels = [x.select(channel_dim, c) for c in range(shape[channel_dim])]
    dead = [not bool(channel.any()) for channel in channels]
    assert dead_channels(x, channel_dim).tolist() == dead
    assert constant_channels(x, channel_dim).tolist() == [len(channel.unique()) == 1 for channel in channels]
    assert dead_fraction(x, channel_dim).item() == pytest.approx(sum(dead) / len(dead))
    for function in FUNCTIONS:
        negative = function(x, channel_dim - len(shape))
        torch.testing.assert_close(negative, function(x, channel_dim), rtol=0, atol=0)


@pytest.mark.parametrize("offset", [1e3, 1e6, -3e7])
def test_variance_beside_a_large_mean(offset: float) -> None:
    """Exact float32 values: offset ± 4, where a float32 variance is off by its whole value."""
    x = torch.tensor([-4.0, 4.0]).repeat(500)[:, None] + offset
    moments = channel_moments(x)
    assert moments.mean.item() == offset
    assert moments.var.item() == 16
    # E[x²] − E[x]² fails here in float64 too.
    finer = channel_moments(torch.tensor([-0.25, 0.25], dtype=torch.float64)[:, None] + 2.0**40)
    assert (finer.mean.item(), finer.var.item()) == (2.0**40, 0.0625)


def test_sums_that_float32_and_float16_cannot_hold() -> None:
    assert channel_moments(torch.full((3, 1), 3e38)).mean.item() == pytest.approx(3e38, rel=1e-7)
    spread = channel_moments(torch.tensor([[6e4], [-6e4]], dtype=torch.float16))
    assert spread.var.item() == torch.tensor(6e4, dtype=torch.float16).double().item() ** 2


def test_groups_of_channels_join_and_layout_does_not_matter(rng: torch.Generator) -> None:
    x = torch.randn(9, 70, 25, 25, generator=rng)  # more than 2^18 values: two groups of channels
    var, mean = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    for same in (x, x.to(memory_format=torch.channels_last)):
        moments = channel_moments(same)
        torch.testing.assert_close(moments.mean, mean, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(moments.var, var, rtol=1e-12, atol=0)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("x", "channel_dim", "error", "message"),
    [
        (torch.ones(2, 3, dtype=torch.int64), 1, TypeError, "x: expected a real floating.*int64"),
        (torch.ones(2, 3, dtype=torch.complex128), 1, TypeError, "complex128"),
        (torch.ones(3), 0, ValueError, r"\(3,\) has no batch and channels"),
        (torch.tensor(1.0), 0, ValueError, "has no batch and channels"),
        (torch.ones(0, 3), 1, ValueError, r"\(0, 3\) holds no values"),
        (torch.ones(2, 0), 1, ValueError, "holds no values"),
        (torch.ones(2, 3, 0), 1, ValueError, "holds no values"),
        (torch.ones(2, 3), 2, IndexError, r"channel_dim: 2 is not a dimension of x.*\(2, 3\)"),
        (torch.ones(2, 3), -3, IndexError, "channel_dim: -3"),
    ],
)
def test_refuses(function: Callable[..., object], x: Tensor, channel_dim: int, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        function(x, channel_dim)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_vmap_and_input_left_alone(function: Callable[..., object], rng: torch.Generator) -> None:
    x = torch.randn(3, 6, 4, 5, generator=rng, dtype=torch.float64).relu()
    x[1, :, 2] = 0
    before = x.clone()
    mapped = torch.func.vmap(function)(x)
    assert torch.equal(x, before)
    for i in range(3):
        single = function(x[i])
        if isinstance(single, Tensor):
            assert torch.equal(mapped[i], single)
        else:
            torch.testing.assert_close(torch.stack([m[i] for m in mapped]), torch.stack(list(single)))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_stays_on_its_device(function: Callable[..., object]) -> None:
    result = function(torch.ones(3, 4, device="meta"))
    assert all(part.device.type == "meta" for part in (result if isinstance(result, tuple) else [result]))


def test_moments_are_differentiable(rng: torch.Generator) -> None:
    x = torch.randn(4, 3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(channel_moments, (x,))
    assert not dead_fraction(x).requires_grad
