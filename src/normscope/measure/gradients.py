"""Whether the gradients of a batch agree."""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.measure.numerics import CHUNK_ELEMENTS, check_floating, power_of_two


def gradient_coherence(g: Tensor, dim: int = 0) -> Tensor:
    """Σ_entries |Σ_b g_b| / Σ_entries Σ_b |g_b|, b the terms along ``dim``: in [0, 1].

    1 when all terms agree in sign at every entry, so that the gradient hardly depends on the input; 0 when they
    cancel. The reference line is 1/√n: for n independent Gaussian terms of mean 0, E|Σ_b g_b| = σ √n √(2/π)
    and E Σ_b |g_b| = σ n √(2/π). (For another law with mean 0 it tends to σ √(2/π) / (E|g_b| √n).)

    Gradients of any common scale give the same number. NaN when all are zero, or any is NaN or infinite.

    Args:
        g: Gradients, one a sample (or a sample and position) along ``dim``, (n, *entries), real floating.
        dim: Where the terms of the sum are.

    Returns:
        0-d, float64, dimensionless.

    Raises:
        TypeError: ``g`` is not real floating point.
        ValueError: ``g`` is 0-d or holds no values.
        IndexError: ``dim`` is not a dimension of ``g``.

    Source: b/a of Bjorck, Gomes, Selman and Weinberger, Understanding batch normalization (NeurIPS 2018,
    arXiv 1806.02375), table 1, where a term is a sample and an image position.
    """
    check_floating(g, "g")
    if g.ndim == 0 or g.numel() == 0:
        raise ValueError(f"g: shape {tuple(g.shape)} holds no gradients; expected (n, *entries) with n >= 1")
    if not -g.ndim <= dim < g.ndim:
        raise IndexError(f"dim: {dim} is not a dimension of g, which has shape {tuple(g.shape)}")
    terms = g.movedim(dim, 0)  # shape: (n, *entries)
    # Without it sums of float64 near 1e308 overflow, though their ratio is an ordinary number.
    scale = power_of_two(torch.maximum(terms.detach().amax(), -terms.detach().amin()))
    rows = max(1, CHUNK_ELEMENTS * terms.shape[0] // terms.numel())
    signed = torch.zeros(terms.shape[1:], dtype=torch.float64, device=g.device)
    unsigned = torch.zeros((), dtype=torch.float64, device=g.device)
    for chunk in terms.split(rows):
        part = chunk.to(torch.float64) / scale
        signed = signed + part.sum(0)
        unsigned = unsigned + part.abs().sum()
    return (signed.abs().sum() / unsigned).clamp(max=1)
