"""One layer call: what a hook measures while the activation is alive, and nothing more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from normscope import measure


@dataclass(eq=False)
class Record:
    """Measures of one layer call. Tensors stay on their device until the end: no transfer inside a hook."""

    layer: str
    kind: str
    call: int
    shape: tuple[int, ...]
    scalars: dict[str, Tensor] = field(default_factory=dict)
    gram: Tensor | None = None  # shape: (n, n), float64


@torch.no_grad()
def measure_output(record: Record, output: Tensor, batch: int) -> None:
    """Moments and dead channels of any output; its Gram matrix if it has a row a sample."""
    floats = output if output.is_floating_point() else output.double()
    mean = floats.mean(dtype=torch.promote_types(floats.dtype, torch.float32))
    # float64 sums: at norms of 1e30 the squares leave float32
    spread = torch.linalg.vector_norm(floats - mean, dtype=torch.float64) / math.sqrt(max(floats.numel(), 1))
    record.scalars["mean"], record.scalars["std"] = mean, spread
    if floats.dim() >= 2:
        record.scalars["dead_fraction"] = measure.dead_fraction(floats)
    if floats.dim() >= 1 and floats.shape[0] == batch:
        record.gram = measure.gram(floats)


@torch.no_grad()
def measure_gradient(record: Record, gradient: Tensor, batch: int) -> None:
    """Norm of the gradient of the loss by the layer's output, and its coherence over the batch."""
    record.scalars["grad_norm"] = torch.linalg.vector_norm(gradient, dtype=torch.float64)
    if gradient.dim() >= 1 and gradient.shape[0] == batch:
        record.scalars["grad_coherence"] = measure.gradient_coherence(gradient)
