"""Slow, obvious twins of the simulation: one network, matrices in hand, loops over layers, float64 autograd."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def normalize(z: Tensor, recenter: bool, rescale: bool, scale: str) -> Tensor:
    mean = z.mean(0)
    by_std = scale == "std" or (scale == "auto" and recenter)
    size = ((z - mean) ** 2).mean(0).sqrt() if by_std else (z**2).mean(0).sqrt()
    if recenter:
        z = z - mean
    return z / size if rescale else z


def network(
    x: Tensor,
    matrices: Sequence[Sequence[Tensor]],
    *,
    recenter: bool,
    rescale: bool,
    activation: Callable[[Tensor], Tensor],
    scale: str = "auto",
    weight_std: float = 1.0,
    gain: float = 1.0,
    shift: float = 0.0,
    residual: str | None = None,
    branch_scale: float = 1.0,
) -> tuple[list[Tensor], list[Tensor]]:
    """Representations at every depth, and all weights (for one depth one matrix, or two), with a graph."""
    weights = [[(m * weight_std / math.sqrt(m.shape[1])).requires_grad_() for m in of_layer] for of_layer in matrices]
    states = [x.requires_grad_()]
    for t, of_layer in enumerate(weights):
        before = states[-1]
        u = gain * normalize(before @ of_layer[0].T, recenter, rescale, scale) + shift
        if residual is None or t == 0:
            states.append(activation(u))
        elif residual == "activated":
            states.append(before + branch_scale * activation(u))
        elif residual == "inside":
            states.append(activation(before + branch_scale * u))
        else:
            states.append(before + branch_scale * activation(u) @ of_layer[1].T)
    return states, [of_layer[0] for of_layer in weights]


def gram(x: Tensor) -> Tensor:
    return x @ x.T / x.shape[1]


def gradients(states: list[Tensor], weights: list[Tensor], cotangent: Tensor) -> tuple[list[Tensor], list[float]]:
    """∂L/∂X_t and ‖∂L/∂W_t‖² of L = Σ cotangent · X."""
    leaves = [*states, *weights]
    found = torch.autograd.grad((states[-1] * cotangent).sum(), leaves)
    return list(found[: len(states)]), [float((g**2).sum()) for g in found[len(states) :]]


def step_back_moments(x: Tensor, z: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, d) and covariance (n d, n d) of δ W, entries of W independent N(0, 1), given X Wᵀ = Z."""
    d, projection = x.shape[1], torch.linalg.pinv(x) @ x
    mean = delta @ (torch.linalg.pinv(x) @ z).T
    return mean, torch.kron(delta @ delta.T, torch.eye(d, dtype=x.dtype) - projection)
