"""Layers that take every batch to 0: there is no fixed point to look for.

Let z be the recentered pre-activations of n points, T their total variance E Σ z_i². The mean over the batch is the
constant (for each feature) that the sum of squares is least about, so that behind φ the recentered total is

    E Σ (φ(z_i) − mean)² ≤ E Σ (φ(z_i) − φ(0))² = E Σ q(z_i) ≤ ℓ² T,

    q(x) = ((φ(x) − φ(0))² + (φ(−x) − φ(0))²) / 2,      ℓ² = sup q(x) / x²,

as z_i and −z_i have one law, and σ_w² times it is T one layer on. Where σ_w ℓ < 1 it shrinks; where σ_w ℓ = 1 too,
unless q(x) = ℓ² x² for almost all x: a Gaussian z_i of positive variance takes every value. GELU, SiLU and softplus
have ℓ² = 1/2, which q reaches nowhere but at infinity: at σ_w² = 2 they shrink every batch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from normscope.theory.groups.group_map import GroupMap

_INPUTS: Final = np.geomspace(1e-12, 1e12, 12001)  # φ may be written in any units
_ROUNDING: Final = 1e-9
_STRICTLY: Final = 1e-3
_ULPS: Final = 4 * np.finfo(np.float64).eps  # of max(1, |φ(0)|): how exactly φ is taken to be computed close to 0


@lru_cache(maxsize=64)
def takes_all_to_zero(layer: GroupMap) -> bool:
    """Whether this layer shrinks every batch, layer by layer, by the bound of this module.

    True is certain up to what φ does between the inputs at which it is looked at, 500 a decade from 1e-12 to 1e12, and
    beyond them, and up to rounding of φ(x) − φ(0), which hides a steeper φ where x is tiny; False says nothing.
    """
    if layer.scale_free or layer.tilts or not layer.recenter:
        return False
    phi = layer.activation
    with np.errstate(all="ignore"):
        origin = phi(np.zeros(1))
        up, down = (np.abs(phi(x) - origin) / _INPUTS for x in (_INPUTS, -_INPUTS))
        blur = _ULPS * np.maximum(1, np.abs(origin)) / _INPUTS
        least, most = (
            layer.weight_variance * (np.maximum(up + off, 0) ** 2 + np.maximum(down + off, 0) ** 2) / 2
            for off in (-blur, blur)
        )
    return bool(np.all(least <= 1 + _ROUNDING) and np.any(most < 1 - _STRICTLY))
