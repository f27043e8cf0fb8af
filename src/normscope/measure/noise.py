"""Noise of stochastic gradients, and how it goes with learning rate and batch size."""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.measure.numerics import check_floating, power_of_two


def gradient_noise(gradients: Tensor, *, population: bool = True) -> Tensor:
    """C = E‖g_i − ḡ‖² = (1/n) Σ_i ‖g_i − ḡ‖², the total variance of the gradients of n samples.

    Args:
        gradients: g_i, one a sample, (n, *entries), real floating.
        population: the samples are all there are. False: they stand for more, and n − 1 replaces n.

    Returns:
        0-d, float64, in units of ``gradients`` squared.

    Raises:
        TypeError: ``gradients`` is not real floating point.
        ValueError: no gradients, or a single one that stands for more.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), section 2.1.
    """
    check_floating(gradients, "gradients")
    if gradients.ndim == 0 or gradients.numel() == 0:
        raise ValueError(f"gradients: shape {tuple(gradients.shape)} holds none; expected (n, *entries)")
    n = len(gradients)
    if n == 1 and not population:
        raise ValueError("gradients: one sample tells nothing of how samples differ; give at least two")
    rows = gradients.reshape(n, -1).to(torch.float64)
    scale = power_of_two(rows.detach().abs().amax())
    rows = rows / scale
    return (rows - rows.mean(0)).square().sum() / (n if population else n - 1) * scale * scale


def step_noise(noise: Tensor, learning_rate: float, batch_size: int) -> Tensor:
    """E‖α ∇L − α ∇_SGD‖² = α² C / |B|: noise of one SGD step, for batches of |B| samples drawn with replacement.

    So a learning rate k times as large is as noisy as a batch k² times as small. It holds where the gradient of a
    batch is the mean of the gradients of its samples: not through batch normalization in train mode.

    Args:
        noise: C, such as of `gradient_noise`.
        learning_rate: α.
        batch_size: |B|.

    Returns:
        In units of the parameters squared.

    Raises:
        ValueError: ``batch_size`` < 1.

    Source: Bjorck et al. (NeurIPS 2018), section 2.1 and its appendix, where it is an upper bound; equality follows
    from the independence of the draws.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, got {batch_size}")
    return noise * (learning_rate**2 / batch_size)
