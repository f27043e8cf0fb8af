"""How far the argument of a fold is from folding, as plain linear functions of it: one row a unit and alternative.

A unit of an elementwise fold bends where its z meets a kink: its row is z. A window of a max pooling bends where
another entry catches up with the largest: its rows are z_top − z_other, one a candidate, and z_top.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from normscope.spline.reading.folds import Fold

# two entries of a window with the same gradient up to rounding never change places
_SAME = 1e-13


def unit_count(fold: Fold) -> int:
    """Units that may fold: entries of z, or windows of a max pooling."""
    return fold.units if fold.windows is None else len(fold.windows)


def windows_of(fold: Fold, units: Tensor) -> Tensor:
    """Flat indices into z of the candidates of the windows ``units``, (U, candidates); −1 is padding."""
    return torch.as_tensor(np.asarray(fold.windows), dtype=torch.long)[units]


def top_of(fold: Fold, z: Tensor, units: Tensor) -> Tensor | None:
    """Index into z of the largest entry of each window, (m, U), the first of equal ones; None without windows."""
    if fold.windows is None:
        return None
    windows = windows_of(fold, units)
    candidates = z[:, windows.clamp(min=0)].masked_fill(windows < 0, -torch.inf)
    return windows.expand(candidates.shape).gather(-1, candidates.argmax(-1, keepdim=True))[..., 0]


def rows(fold: Fold, z: Tensor, units: Tensor, top: Tensor | None) -> Tensor:
    """What decides whether a unit folds, a linear function of z.

    Args:
        fold: what is applied to z.
        z: the argument, or a derivative of it, (..., m, entries).
        units: (U,).
        top: of `top_of`, (m, U).

    Returns:
        (..., m, U, rows): z itself, one row; or z_top − z_other for all candidates of the window, and last z_top.
    """
    if fold.windows is None or top is None:
        return z[..., units].unsqueeze(-1)
    highest = z.gather(-1, top.expand(*z.shape[:-1], len(units))).unsqueeze(-1)
    return torch.cat([highest - z[..., windows_of(fold, units).clamp(min=0)], highest], -1)


def distances(fold: Fold, values: Tensor, norms: Tensor, units: Tensor, top: Tensor | None) -> Tensor:
    """|gap| / ‖∇gap‖, the smallest over kinks or candidates; infinite where the gradient is zero.

    Args:
        fold: what is applied to z.
        values: `rows` of z, (m, U, rows).
        norms: Euclidean norms of their gradients with respect to the input, (m, U, rows).
        units: (U,).
        top: of `top_of`, (m, U).

    Returns:
        (m, U).
    """
    if fold.windows is None or top is None:
        gap = (values - values.new_tensor(fold.kinks)).abs().amin(-1)
        return _quotient(gap, norms[..., 0])
    windows = windows_of(fold, units)
    rival = (windows >= 0) & (windows != top.unsqueeze(-1))
    apart, own = norms[..., :-1], norms[..., -1:]
    apart = apart.masked_fill(apart <= _SAME * own, 0.0)
    return _quotient(values[..., :-1], apart).masked_fill(~rival, torch.inf).amin(-1)


def _quotient(gap: Tensor, norm: Tensor) -> Tensor:
    return torch.where(norm > 0, gap / norm, torch.inf)
