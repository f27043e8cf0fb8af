"""Kernel gradients as their terms: against every term, one by one; hypothesis over shapes; what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.measure import (
    KernelGradient,
    channel_pair_gradients,
    conv_kernel_gradient,
    gradient_coherence,
    linear_kernel_gradient,
)
from reference import gradient_probes as reference

CONVOLUTIONS: dict[str, tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]]] = {
    "1d": ((2, 3, 9), 4, (3,), {}),
    "1d, strided, dilated, padded": ((2, 3, 9), 4, (3,), {"stride": 2, "padding": 1, "dilation": 2}),
    "2d, padded": ((3, 2, 5, 6), 3, (3, 3), {"padding": 1}),
    "1 x 1, strided: the last row unused": ((2, 3, 6, 6), 2, (1, 1), {"stride": 2}),
    "grouped": ((2, 4, 5, 5), 6, (3, 3), {"groups": 2}),
    "depthwise, dilated": ((2, 3, 7, 7), 3, (2, 3), {"groups": 3, "dilation": (2, 1), "padding": (1, 0)}),
    "strides that differ": ((2, 2, 7, 8), 3, (3, 2), {"stride": (2, 3), "padding": (0, 1)}),
    "3d": ((2, 2, 4, 3, 4), 2, (2, 2, 3), {"padding": (1, 0, 1), "stride": (2, 1, 1)}),
}


def a_convolution(
    case: str, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, tuple[int, ...], dict[str, Any]]:
    shape, out, kernel, options = CONVOLUTIONS[case]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5
    weight = torch.randn(out, shape[1] // options.get("groups", 1), *kernel, generator=generator, dtype=torch.float64)
    output = [torch.conv1d, torch.conv2d, torch.conv3d][len(kernel) - 1](x, weight, **options)
    return x.to(dtype), torch.randn(output.shape, generator=generator, dtype=torch.float64).to(dtype), kernel, options


def assert_is(result: KernelGradient, terms: np.ndarray[Any, Any], tolerance: float = 1e-12) -> None:
    size = np.abs(terms).mean()
    assert result.terms == len(terms)
    np.testing.assert_allclose(result.signed.numpy(), terms.mean(0), atol=tolerance * size, rtol=tolerance)
    np.testing.assert_allclose(result.unsigned.numpy(), np.abs(terms).mean(0), rtol=tolerance)
    a, b = np.abs(terms).mean(), np.abs(terms.mean(0)).mean()
    assert result.a.item() == pytest.approx(a, rel=tolerance)
    assert result.b.item() == pytest.approx(b, rel=tolerance, abs=tolerance * a)
    assert result.signed.dtype == result.unsigned.dtype == torch.float64


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_against_every_term(case: str) -> None:
    x, g, kernel, options = a_convolution(case)
    each = {key: (value,) * len(kernel) if isinstance(value, int) else value for key, value in options.items()}
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
    terms = reference.conv_terms(
        x.numpy(),
        g.numpy(),
        kernel,
        each.get("stride", ones),
        each.get("padding", zeros),
        each.get("dilation", ones),
        options.get("groups", 1),
    )
    result = conv_kernel_gradient(x, g, kernel, **options)
    assert_is(result, terms)
    assert result.ratio.item() == pytest.approx(result.a.item() / result.b.item())
    # two measures of the library, one definition: b / a is the coherence of the terms
    assert 1 / result.ratio.item() == pytest.approx(gradient_coherence(torch.from_numpy(terms)).item(), rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3), (2, 3, 4, 3)], ids=str)
def test_linear_layers_against_every_term(shape: tuple[int, ...], rng: torch.Generator) -> None:
    x = torch.randn(shape, generator=rng, dtype=torch.float64)
    g = torch.randn(*shape[:-1], 4, generator=rng, dtype=torch.float64)
    assert_is(linear_kernel_gradient(x, g), reference.linear_terms(x.numpy(), g.numpy()))


def test_a_linear_layer_is_a_convolution_of_one_position(rng: torch.Generator) -> None:
    x, g = torch.randn(6, 3, generator=rng), torch.randn(6, 2, generator=rng)
    linear = linear_kernel_gradient(x, g)
    convolution = conv_kernel_gradient(x[:, :, None, None], g[:, :, None, None], (1, 1))
    torch.testing.assert_close(linear.signed, convolution.signed[:, :, 0, 0])
    torch.testing.assert_close(linear.unsigned, convolution.unsigned[:, :, 0, 0])


@given(
    n=st.integers(1, 4), size=st.integers(3, 6), kernel=st.integers(1, 3), stride=st.integers(1, 3),
    padding=st.integers(0, 2), groups=st.sampled_from([1, 2]), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_it_is_autograds_gradient_of_any_convolution(
    n: int, size: int, kernel: int, stride: int, padding: int, groups: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, size, size, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, 4 // groups, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    output = torch.conv2d(x, weight, stride=stride, padding=padding, groups=groups)
    g = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    (expected,) = torch.autograd.grad(output, weight, g)
    result = conv_kernel_gradient(x, g, (kernel, kernel), stride=stride, padding=padding, groups=groups)
    torch.testing.assert_close(result.gradient, expected, rtol=1e-10, atol=1e-12)
    assert (result.unsigned >= result.signed.abs() * (1 - 1e-12)).all()
    assert result.ratio >= 1


@pytest.mark.parametrize("x_scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("g_scale", [1e-35, 1e25])
def test_scales_that_float32_products_cannot_hold(x_scale: float, g_scale: float) -> None:
    x, g, kernel, options = a_convolution("2d, padded", torch.float32)
    plain = conv_kernel_gradient(x.double(), g.double(), kernel, **options)
    scaled = conv_kernel_gradient(x * x_scale, g * g_scale, kernel, **options)
    assert scaled.a.item() == pytest.approx(plain.a.item() * x_scale * g_scale, rel=1e-5)
    assert scaled.ratio.item() == pytest.approx(plain.ratio.item(), rel=1e-4)


def test_float32_is_as_exact_as_it_says(rng: torch.Generator) -> None:
    x, g = torch.randn(64, 4, 16, 16, generator=rng), torch.randn(64, 4, 16, 16, generator=rng)
    exact = conv_kernel_gradient(x.double(), g.double(), (3, 3), padding=1)
    single = conv_kernel_gradient(x, g, (3, 3), padding=1)
    assert single.a.item() == pytest.approx(exact.a.item(), rel=1e-6)
    assert abs(single.b.item() - exact.b.item()) < 1e-6 * exact.a.item()


def test_independent_gaussian_terms_lie_on_the_reference_line(rng: torch.Generator) -> None:
    n = 400
    x, g = torch.randn(n, 60, generator=rng), torch.randn(n, 60, generator=rng)
    # of 3600 entries |mean| has a relative deviation of 0.76 each; entries share x and g: count 60 as independent
    assert linear_kernel_gradient(x, g).ratio.item() == pytest.approx(
        math.sqrt(2 * n / math.pi), rel=4 * 0.76 / 60**0.5
    )
    ones = torch.ones(n, 1)
    assert linear_kernel_gradient(ones, torch.randn(n, 3600, generator=rng)).ratio.item() == pytest.approx(
        math.sqrt(n), rel=4 * 0.76 / 60
    )


def test_terms_that_agree_that_cancel_and_that_are_zero() -> None:
    ones = torch.ones(4, 1)
    signs = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert linear_kernel_gradient(ones, -ones).ratio == 1
    assert linear_kernel_gradient(ones, signs).ratio == math.inf
    assert linear_kernel_gradient(ones, 0 * ones).ratio.isnan()
    assert linear_kernel_gradient(ones, ones * math.nan).ratio.isnan()
    assert linear_kernel_gradient(ones, torch.tensor([[3.0], [-1.0], [0.0], [0.0]])).entry_ratio.item() == 2


def test_half_precision_is_widened(rng: torch.Generator) -> None:
    x, g = torch.rand(5000, 2, generator=rng).bfloat16(), torch.rand(5000, 2, generator=rng)
    exact = linear_kernel_gradient(x.double(), g.double())
    assert linear_kernel_gradient(x, g).a.item() == pytest.approx(exact.a.item(), rel=1e-6)


def test_channel_pairs_are_means_over_a_kernel(rng: torch.Generator) -> None:
    kernel = torch.randn(3, 2, 3, 3, generator=rng)
    pairs = channel_pair_gradients(kernel)
    assert pairs.dtype == torch.float64
    assert pairs[2, 1].item() == pytest.approx(float(np.mean(kernel[2, 1].double().numpy())))
    assert torch.equal(channel_pair_gradients(kernel[:, :, 0, 0]), kernel[:, :, 0, 0].double())


X, G = torch.ones(2, 4, 5, 5), torch.ones(2, 6, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: conv_kernel_gradient(X.int(), G, (3, 3)), TypeError, "inputs: expected a real floating.*int32"),
        (lambda: conv_kernel_gradient(X, G.int(), (3, 3)), TypeError, "output_gradients: expected a real floating"),
        (lambda: conv_kernel_gradient(X, G, (3,)), ValueError, r"kernel of size \(3,\).*do not belong together"),
        (lambda: conv_kernel_gradient(X, G, (3, 3), padding=1), ValueError, r"expected \(2, channels, 5, 5\)"),
        (lambda: conv_kernel_gradient(X, G[:1], (3, 3)), ValueError, r"\(1, 6, 3, 3\) are not those"),
        (lambda: conv_kernel_gradient(X, G, (3, 3), groups=3), ValueError, "groups = 3 does not divide the 4 channels"),
        (lambda: conv_kernel_gradient(X[:0], G[:0], (3, 3)), ValueError, r"\(0, 4, 5, 5\) holds no values"),
        (lambda: linear_kernel_gradient(X, G), ValueError, "differ before their last dimension"),
        (lambda: linear_kernel_gradient(torch.ones(3), torch.ones(3)), ValueError, "differ before|expected"),
        (lambda: channel_pair_gradients(torch.ones(3)), ValueError, r"\(3,\) has no pairs of channels"),
        (lambda: channel_pair_gradients(torch.ones(3, 2, dtype=torch.int64)), TypeError, "kernel: expected a real"),
    ],
)
def test_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
