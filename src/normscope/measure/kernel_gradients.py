"""Whether the terms of which a layer's weight gradient is the sum agree: one term a sample and image position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import grad as weight_gradients

from normscope.measure.numerics import check_floating, power_of_two

_OF_DIMENSIONS = {
    1: weight_gradients.conv1d_weight,
    2: weight_gradients.conv2d_weight,
    3: weight_gradients.conv3d_weight,
}


class KernelGradient(NamedTuple):
    """∂L/∂W_e = Σ_t d_te as its terms: for an entry e = (o, i, k) of a kernel, d_te = δ_o(t) · I_i(t + k).

    A term t is a sample and an output position: T = n · positions (n for a linear layer of (n, features)). Positions
    whose input is padding count, with d = 0.

    Attributes:
        signed: mean_t d_te, shape of the weight, float64: the gradient over T.
        unsigned: mean_t |d_te|, same shape.
        terms: T.
    """

    signed: Tensor
    unsigned: Tensor
    terms: int

    @property
    def gradient(self) -> Tensor:
        """∂L/∂W, shape of the weight, float64."""
        return self.signed * self.terms

    @property
    def a(self) -> Tensor:
        """Mean over entries of mean_t |d|, 0-d, in units of δ · I."""
        return self.unsigned.mean()

    @property
    def b(self) -> Tensor:
        """Mean over entries of |mean_t d|, 0-d, in units of δ · I."""
        return self.signed.abs().mean()

    @property
    def ratio(self) -> Tensor:
        """Ratio a / b >= 1, 0-d: 1 when all terms of every entry agree in sign, so that the gradient hardly depends
        on the input.

        The reference line is √T: for independent terms of mean 0 it is √T · E|d| / (σ_d √(2/π)), which is √T for
        Gaussian terms and √(2T/π) for products of two independent Gaussians. Neighbouring positions are not
        independent, so fewer terms count. Inf where the terms cancel exactly, NaN where all are zero.
        """
        # two roundings apart, a may come out below b
        return (self.a / self.b).clamp(min=1)

    @property
    def entry_ratio(self) -> Tensor:
        """mean_t |d_te| / |mean_t d_te| of every entry, shape of the weight."""
        return (self.unsigned / self.signed.abs()).clamp(min=1)


def linear_kernel_gradient(inputs: Tensor, output_gradients: Tensor) -> KernelGradient:
    """`KernelGradient` of y = x Wᵀ: Σ_t δ_to x_ti and Σ_t |δ_to| |x_ti|, two matrix products.

    Args:
        inputs: x, (n, *positions, features in), real floating.
        output_gradients: δ = ∂L/∂y, (n, *positions, features out).

    Returns:
        Tensors of (features out, features in), float64. Sums are made in the wider of the two types (float32 at
        least), after both are scaled by powers of two: nothing overflows, and b is exact to about 1e-6 a (float32).

    Raises:
        TypeError: a tensor is not real floating point.
        ValueError: the shapes do not fit, or hold no values.

    Source: Bjorck, Gomes, Selman and Weinberger, Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375),
    equation 4 and table 1; for linear layers the same with one position.
    """
    _check(inputs, output_gradients)
    if inputs.ndim < 2 or inputs.shape[:-1] != output_gradients.shape[:-1]:
        raise ValueError(
            f"inputs {tuple(inputs.shape)} and output_gradients {tuple(output_gradients.shape)} differ before their "
            "last dimension; expected (n, *positions, features) of both"
        )
    x, g, scale = _scaled(inputs.flatten(0, -2), output_gradients.flatten(0, -2))
    return _means(g.mT @ x, g.abs().mT @ x.abs(), scale, len(x))


def conv_kernel_gradient(
    inputs: Tensor,
    output_gradients: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> KernelGradient:
    """`KernelGradient` of a convolution over 1, 2 or 3 dimensions: its weight gradient from (I, δ) and from (|I|, |δ|).

    For another padding than by zeros, or one that differs from side to side, pad ``inputs`` beforehand
    (`torch.nn.functional.pad`) and leave ``padding`` 0. Of a transposed convolution, whose terms are the same with the
    two tensors in each other's place, give δ as ``inputs`` and I as ``output_gradients``.

    Args:
        inputs: I, (n, channels in, *positions), real floating.
        output_gradients: δ = ∂L/∂O, (n, channels out, *positions of the output).
        kernel_size: size of the kernel in each of the dimensions.
        stride: as of the convolution.
        padding: zeros on both sides.
        dilation: as of the convolution.
        groups: as of the convolution.

    Returns:
        Tensors of (channels out, channels in / groups, *kernel_size), float64; precision as of
        `linear_kernel_gradient`.

    Raises:
        TypeError: a tensor is not real floating point.
        ValueError: the shapes do not fit each other, or hold no values.

    Source: Bjorck et al. (NeurIPS 2018), equation 4 and table 1.
    """
    _check(inputs, output_gradients)
    dimensions = len(kernel_size)
    if dimensions not in _OF_DIMENSIONS or not inputs.ndim == output_gradients.ndim == dimensions + 2:
        raise ValueError(
            f"a kernel of size {tuple(kernel_size)}, inputs {tuple(inputs.shape)} and output_gradients "
            f"{tuple(output_gradients.shape)} do not belong together; expected (n, channels, *positions) of both"
        )
    stride, padding, dilation = (_each(v, dimensions) for v in (stride, padding, dilation))
    _check_positions(inputs, output_gradients, tuple(kernel_size), stride, padding, dilation, groups)
    x, g, scale = _scaled(inputs, output_gradients)
    shape = (g.shape[1], x.shape[1] // groups, *kernel_size)
    weight_gradient = _OF_DIMENSIONS[dimensions]
    signed = weight_gradient(x, shape, g, stride, padding, dilation, groups)
    unsigned = weight_gradient(x.abs(), shape, g.abs(), stride, padding, dilation, groups)
    return _means(signed, unsigned, scale, g.numel() // g.shape[1])


def channel_pair_gradients(kernel: Tensor) -> Tensor:
    """m_oi = mean_k g_oik: one number for each pair of channels, the mean over the positions of a kernel.

    Where the gradient hardly depends on the input, m is close to the product of the means of δ_o and of I_i: rows and
    columns stand out, and its `rank_one_energy` is close to 1. Give |g| to map its size instead.

    Args:
        kernel: g, (channels out, channels in / groups, *kernel size), such as `KernelGradient.signed`.

    Returns:
        (channels out, channels in / groups), float64, in units of ``kernel``.

    Raises:
        TypeError: ``kernel`` is not real floating point.
        ValueError: it has fewer than two dimensions.

    Source: Bjorck et al. (NeurIPS 2018), section 3.3.
    """
    check_floating(kernel, "kernel")
    if kernel.ndim < 2:
        raise ValueError(f"kernel: shape {tuple(kernel.shape)} has no pairs of channels; expected (out, in, *kernel)")
    return kernel.to(torch.float64).flatten(2).mean(2) if kernel.ndim > 2 else kernel.to(torch.float64)


def _check(inputs: Tensor, output_gradients: Tensor) -> None:
    for tensor, name in ((inputs, "inputs"), (output_gradients, "output_gradients")):
        check_floating(tensor, name)
        if tensor.numel() == 0:
            raise ValueError(f"{name}: shape {tuple(tensor.shape)} holds no values")


def _each(value: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    return (value,) * dimensions if isinstance(value, int) else tuple(value)


def _check_positions(
    inputs: Tensor,
    gradients: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> None:
    """Torch's own kernels read beyond the input when the shapes do not fit."""
    sizes = zip(inputs.shape[2:], kernel, stride, padding, dilation, strict=True)
    positions = tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in sizes)
    if inputs.shape[0] != gradients.shape[0] or positions != tuple(gradients.shape[2:]):
        raise ValueError(
            f"output_gradients {tuple(gradients.shape)} are not those of this convolution of inputs "
            f"{tuple(inputs.shape)}: expected ({inputs.shape[0]}, channels, {', '.join(map(str, positions))})"
        )
    if groups < 1 or inputs.shape[1] % groups or gradients.shape[1] % groups:
        raise ValueError(
            f"groups = {groups} does not divide the {inputs.shape[1]} channels of inputs and the {gradients.shape[1]} "
            "of output_gradients"
        )


def _scaled(inputs: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both in one type with a largest entry of 1 to 2, and the scale of their product: powers of two round nothing."""
    wide = torch.promote_types(torch.promote_types(inputs.dtype, gradients.dtype), torch.float32)
    x, g = inputs.to(wide), gradients.to(wide)
    scales = [power_of_two(torch.maximum(t.detach().amax(), -t.detach().amin())) for t in (x, g)]
    return x / scales[0], g / scales[1], scales[0] * scales[1]


def _means(signed: Tensor, unsigned: Tensor, scale: Tensor, terms: int) -> KernelGradient:
    factor = scale / terms
    return KernelGradient(signed.to(torch.float64) * factor, unsigned.to(torch.float64) * factor, terms)
