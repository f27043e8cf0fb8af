"""The noise of mini-batch gradients of a model, from pairs of mini-batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from normscope.tracing.inputs import Inputs, batch_size
from normscope.tracing.objective import Loss, Objective


def minibatch_noise(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Loss | None = None,
    *,
    batch_sizes: Sequence[int] = (8, 16, 32, 64),
    pairs: int = 16,
    seed: int = 0,
) -> pd.DataFrame:
    """V_B = E‖g_B − E g_B‖², the total variance of the gradient of a mini-batch of B samples, for several B.

    Each pair is two mini-batches drawn independently and with replacement from ``inputs``, and ‖g − g'‖² / 2 is
    unbiased for V_B; pairs are independent, so their spread gives the standard error. A mini-batch runs as one training
    step would: through batch normalization with its own statistics (in train mode), through dropout with masks of its
    own, whose noise counts. Where a sample's gradient does not depend on the other samples V_B = C / B with C of
    `normscope.measure.gradient_noise`, so that ``noise_per_sample`` is the same for all B. Through batch normalization
    in train mode there is no gradient of one sample, no C, and E g_B depends on B: then ``noise_per_sample`` says how
    far the law is from holding. In eval mode it holds.

    Args:
        model: any module, bit-identical afterwards, also when something raises.
        inputs: the data that mini-batches are drawn from, samples first in every tensor.
        targets: second argument of ``loss``, drawn along.
        loss: ``loss(outputs, targets)``, a mean over samples; default cross-entropy for integer targets, mean squared
            error for floating ones.
        batch_sizes: B, each at least 2.
        pairs: of mini-batches for each B, at least 2. It costs 2 · pairs forward and backward passes each.
        seed: of the draws, and of the model's random generators.

    Returns:
        One row a batch size: ``batch_size``, ``noise`` (V_B, in units of the gradient squared), ``standard_error`` of
        it, ``noise_per_sample`` = B · V_B, ``pairs``.

    Raises:
        TypeError: the model is no module, or the inputs hold no tensor.
        ValueError: a batch size or ``pairs`` that is no whole number of at least 2, a negative seed, targets that are
            not one a sample, or as `normscope.tracing.loss_along_gradient`.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), section 2.1 and its
    appendix; the estimator by pairs is ours.
    """
    if not isinstance(batch_sizes, Sequence) or not batch_sizes or not all(map(_at_least_two, batch_sizes)):
        raise ValueError(f"batch_sizes must be whole numbers, at least 2 each, got {batch_sizes}")
    if not _at_least_two(pairs):
        raise ValueError(f"pairs must be a whole number of at least 2, for a standard error, got {pairs}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    n = batch_size(inputs, 0)
    if loss is None and isinstance(targets, Tensor) and targets.shape[:1] != (n,):
        raise ValueError(f"targets of shape {tuple(targets.shape)} are not one a sample: inputs hold {n} samples")
    rng = np.random.default_rng(seed)
    rows = []
    for size in batch_sizes:
        halves = np.array([_half_square(model, inputs, targets, loss, n, size, rng) for _ in range(pairs)])
        noise, error = halves.mean(), halves.std(ddof=1) / pairs**0.5
        rows.append((size, noise, error, size * noise, pairs))
    return pd.DataFrame(rows, columns=["batch_size", "noise", "standard_error", "noise_per_sample", "pairs"])


def _at_least_two(value: Any) -> bool:
    return isinstance(value, int | np.integer) and bool(value >= 2)


def _half_square(
    model: nn.Module, inputs: Inputs, targets: Any, loss: Loss | None, n: int, size: int, rng: np.random.Generator
) -> float:
    """‖g − g'‖² / 2 of two independent mini-batches."""
    first, second = (_gradient(model, inputs, targets, loss, n, size, rng) for _ in range(2))
    squares = [
        torch.linalg.vector_norm(_difference(first.get(name), second.get(name)), dtype=torch.float64).square()
        for name in first.keys() | second.keys()
    ]
    return float(sum(s.item() for s in squares)) / 2


def _gradient(
    model: nn.Module, inputs: Inputs, targets: Any, loss: Loss | None, n: int, size: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    drawn = torch.from_numpy(rng.integers(n, size=size))
    objective = Objective(model, _rows(inputs, drawn, n), _rows(targets, drawn, n), loss, seed=int(rng.integers(2**31)))
    with objective.running():
        return objective.gradients()[0]


def _difference(first: Tensor | None, second: Tensor | None) -> Tensor:
    """A parameter that a loss does not reach has gradient zero."""
    if first is None or second is None:
        only = first if first is not None else second
        assert only is not None
        return only
    return first.to(torch.float64) - second.to(torch.float64)


def _rows(value: Any, drawn: Tensor, n: int) -> Any:
    """The drawn samples of every tensor that has one row a sample."""

    def chosen(item: Any) -> Any:
        if isinstance(item, Tensor) and item.dim() and len(item) == n:
            return item.detach()[drawn.to(item.device)]
        return item

    return tree_map(chosen, dict(value) if isinstance(value, Mapping) else value)
