"""Slow twins of the theory of gradients: automatic differentiation through sampled features and random networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

Phi = Callable[[torch.Tensor], torch.Tensor]

PHI: dict[str, Phi] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "leaky_relu:0.2": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
    "abs": torch.abs,
    "tanh": torch.tanh,
    "erf": torch.erf,
}


def normalized(z: torch.Tensor, *, recenter: bool, rescale: bool) -> torch.Tensor:
    """Over the batch, the first dimension."""
    if recenter:
        z = z - z.mean(0)
    if rescale:
        z = z / z.square().mean(0).sqrt()
    return z


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def sampled_second_moment(
    gram: np.ndarray, moment: np.ndarray, activation: str, draws: int, seed: int, *, recenter: bool, rescale: bool
) -> tuple[np.ndarray, np.ndarray]:
    """E δδᵀ and its standard error, δ the gradient before a layer of one feature z ~ N(0, gram), g ~ N(0, moment)."""
    generator = np.random.default_rng(seed)
    z = torch.tensor(root(gram) @ generator.standard_normal((len(gram), draws)), requires_grad=True)
    gradient = torch.tensor(root(moment) @ generator.standard_normal((len(gram), draws)))
    (PHI[activation](normalized(z, recenter=recenter, rescale=rescale)) * gradient).sum().backward()
    assert z.grad is not None
    delta = z.grad.numpy()
    products = delta[:, None] * delta[None, :]
    return products.mean(-1), products.std(-1, ddof=1) / np.sqrt(draws)


def network_log_growth(
    gram: np.ndarray,
    moment: np.ndarray,
    activation: str,
    width: int,
    depth: int,
    seed: int,
    *,
    recenter: bool,
    rescale: bool,
) -> float:
    """Mean per layer of the log of the squared gradient norm's factor, in a random network of explicit weights.

    The input has exactly this Gram matrix, the gradient at the output this second moment.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    frame = torch.linalg.qr(normal(width, len(gram))).Q.T * width**0.5
    x = torch.tensor(root(gram)) @ frame
    x.requires_grad_()
    h = x
    for _ in range(depth):
        h = PHI[activation](normalized(h @ normal(width, width) / width**0.5, recenter=recenter, rescale=rescale))
    gradient = torch.tensor(root(moment)) @ normal(len(gram), width)
    (h * gradient).sum().backward()
    assert x.grad is not None
    return float((x.grad.square().sum() / gradient.square().sum()).log()) / depth
