"""Singular values of a network's weights and of their products, beside the theory of random matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normscope.theory import GaussianProduct, log_singular_values, sample_log_singular_values
from normscope.tracing.kernel_layers import kernel_layers
from normscope.tracing.preserve import preserved
from normscope.tracing.unwrap import unwrapped

Array = NDArray[np.float64]


def weight_spectra(model: nn.Module, layers: str | Sequence[str] = "*") -> pd.DataFrame:
    """Extreme singular values of each weight, and what independent entries of the same size would give.

    A kernel is taken as the matrix (channels out, channels in / groups · its positions); of a transposed convolution,
    as (channels in, channels out / groups · its positions). For independent entries of
    mean 0 and variance v (any law with a fourth moment: Gaussian, Xavier-uniform) the extreme singular values of an
    (m, k) matrix tend to √v (√max(m, k) ± √min(m, k)); v is the mean square of the entries.

    Args:
        model: any module, bit-identical afterwards.
        layers: glob pattern, or several; linear layers and convolutions are taken.

    Returns:
        One row a layer: ``layer``, ``kind``, ``rows``, ``columns``, ``entry_rms`` (√v), ``log_largest``,
        ``log_smallest``, ``log_condition``, natural logarithms of singular values and of their ratio, and
        ``expected_log_largest``, ``expected_log_smallest`` (−inf for a square matrix: there the smallest is about
        √v / √m, and the law is `normscope.theory.GaussianProduct` of one factor; see `product_spectrum`).

    Raises:
        TypeError: the model is no module.
        ValueError: a pattern matches no layer, or none with a kernel; a weight that is not finite, or has no shape yet.

    Source: Bai and Yin, Limit of the smallest eigenvalue of a large dimensional sample covariance matrix (1993).
    """
    rows = []
    for name, kind, _, weight in _weights(model, layers):
        m, k = weight.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(np.linalg.svd(weight, compute_uv=False))
            rms = np.sqrt(np.mean(weight**2))
            edges = np.log(rms) + np.log([max(m, k) ** 0.5 + min(m, k) ** 0.5, max(m, k) ** 0.5 - min(m, k) ** 0.5])
            rows.append((name, kind, m, k, rms, values[0], values[-1], values[0] - values[-1], *edges))
    columns = [
        "layer", "kind", "rows", "columns", "entry_rms", "log_largest", "log_smallest", "log_condition",
        "expected_log_largest", "expected_log_smallest",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, eq=False)
class ProductSpectrum:
    """Singular values of W_M … W_2 W_1, and their law for independent entries.

    Attributes:
        layers: whose weights were multiplied, from the input on.
        log_singular_values: natural logarithms, descending, (n,).
        log_scale: Σ ln(√n · rms of the entries of W_i): take it off, and the factors have entries of variance 1/n.
        law: of a standardized one: `normscope.theory.GaussianProduct` of M factors, in logarithms, for n → ∞.
    """

    layers: tuple[str, ...]
    log_singular_values: Array
    log_scale: float
    law: GaussianProduct

    @property
    def standardized(self) -> Array:
        """Logarithms of the singular values as if all entries had variance 1/n, (n,), descending."""
        return self.log_singular_values - self.log_scale

    @property
    def expected(self) -> Array:
        """Quantiles of the law at (i − ½) / n, (n,), descending: what ``standardized`` is compared with."""
        n = len(self.log_singular_values)
        return self.law.quantile((np.arange(n, 0, -1) - 0.5) / n)

    @property
    def log_condition(self) -> float:
        """ln(largest / smallest)."""
        return float(self.log_singular_values[0] - self.log_singular_values[-1])

    @property
    def distance(self) -> float:
        """Largest |F_n − F| of the standardized values and the law (the statistic of Kolmogorov and Smirnov).

        Singular values repel each other, so its tables do not apply: compare with `gaussian_distances`.
        """
        return _distance(self.standardized, self.law)

    def gaussian_distances(self, samples: int = 19, seed: int = 0) -> Array:
        """``distance`` of products of as many Gaussian matrices of the same size, (samples,).

        A network at its initialization has a larger one than all 19 with probability 1/20.
        """
        n, m = len(self.log_singular_values), self.law.factors
        drawn = sample_log_singular_values(n, m, seed, samples=samples)
        return np.array([_distance(row, self.law) for row in drawn])


def product_spectrum(model: nn.Module, layers: str | Sequence[str]) -> ProductSpectrum:
    """The spectrum of the product of the weights of square linear layers, in logarithms, however many there are.

    It is the Jacobian of the network without its biases, normalizations and non-linearities.

    Args:
        model: any module, bit-identical afterwards.
        layers: glob pattern, or several, of layers with square weights of one size, multiplied in the order in which
            the model holds them. A 1 × 1 convolution counts as linear, transposed or not.

    Raises:
        TypeError: the model is no module.
        ValueError: a pattern matches no layer, or none with a kernel; weights that are not square, of several sizes or
            positions, not finite or zero.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), section 4, on products
    of random matrices; `normscope.theory.GaussianProduct` for the law.
    """
    names: list[str] = []
    matrices: list[Array] = []
    for name, kind, positions, weight in _weights(model, layers):
        m, k = weight.shape
        if positions > 1:
            raise ValueError(
                f"layer {name!r} has a kernel of {positions} positions: no square matrix acts as it, name other layers"
            )
        if m != k or (matrices and m != len(matrices[0])):
            size = f"({len(matrices[0])}, {len(matrices[0])})" if matrices else "square"
            raise ValueError(
                f"layer {name!r} has a weight of shape ({m}, {k}), a product takes {size} ones: name layers"
            )
        if not weight.any():
            raise ValueError(f"layer {name!r} has a weight of zeros: a product with it has no logarithms")
        names.append(name)
        # its weight has the inputs first
        matrices.append(weight.T if kind.startswith("ConvTranspose") else weight)
    scale = sum(float(np.log(np.sqrt(len(w)) * np.sqrt(np.mean(w**2)))) for w in matrices)
    law = GaussianProduct(len(matrices), squared=False, log=True)
    return ProductSpectrum(tuple(names), log_singular_values(matrices), scale, law)


def _weights(model: nn.Module, layers: str | Sequence[str]) -> list[tuple[str, str, int, Array]]:
    """Name, kind, positions of the kernel and weight matrix, float64, of each chosen layer."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    model, _ = unwrapped(model)
    found = []
    # reading a parametrized weight computes it, and may move what it is computed from (spectral norm)
    with preserved(model), torch.no_grad():
        for name, module in kernel_layers(model, layers).items():
            weight: Tensor = module.weight  # type: ignore[assignment]  # a parametrization makes it a property
            if is_lazy(weight):
                raise ValueError(f"layer {name!r} has no weight yet: run the model once, so that it takes its shape")
            matrix = weight.detach().to(torch.float64).flatten(1).cpu().numpy().copy()
            if not np.isfinite(matrix).all():
                raise ValueError(f"layer {name!r} has a weight with NaN or infinity, which has no spectrum")
            found.append((name, type(module).__name__, weight.shape[2:].numel(), matrix))
    return found


def _distance(values: Array, law: GaussianProduct) -> float:
    expected = law.cdf(np.sort(values))
    steps = np.arange(len(values) + 1) / len(values)
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))
