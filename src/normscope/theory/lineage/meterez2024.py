"""Rescaling with orthogonal and with Gaussian weights, n = d: Meterez et al., ICLR 2024 (arXiv 2310.02012).

The layer is linear, with rescaling and without recentering, on a batch of as many points as features: X' = D^(−1/2) W
X, D = diag(W X Xᵀ Wᵀ). Its isometry gap is (ln mean − mean ln) of the eigenvalues λ of X Xᵀ.

The paper proves for Haar-orthogonal W that the expected gap decays exponentially with depth and that E ln ‖∂loss/∂W‖
of a layer is bounded whatever the depth; with Gaussian W it is seen to grow. No exact law of the gradient is known to
us, and none is given here. What is exact is what one layer does to the gap.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import psi

from normscope.theory.lineage.quadratic_forms import mean_log, relative_eigenvalues


def isometry_gap_change(eigenvalues: ArrayLike, weights: Literal["orthogonal", "gaussian"] = "orthogonal") -> float:
    """E[gap of X'] − gap of X, exact at every finite width, in nats.

    Orthogonal: E ln(Σ λ_i u_i²) − ln(mean λ), u uniform on the unit sphere. By Jensen below 0 unless all λ are equal,
    so the gap decreases in expectation at every layer until the points are orthogonal. Gaussian: ψ(d/2) − mean_j
    ψ(j/2), j = 1 … d, more: what the determinant of a Gaussian matrix loses, 1 for large d. Close to isometry the gap
    grows by this at each layer.

    Why: the rows of X' have norm 1, so its gap is −(ln det X Xᵀ + ln det W Wᵀ)/d + the mean over rows w of W of
    ln(wᵀ X Xᵀ w), and each row of W is a uniform direction, times a length that is independent of it.

    Args:
        eigenvalues: λ of X Xᵀ (or of the Gram matrix Xᵀ X: the same), (d,), up to scale, all above 0.
        weights: How W is drawn.

    Raises:
        ValueError: an eigenvalue that is not above 0, where the gap is infinite; unknown ``weights``.

    Source: derived here.
    """
    relative = relative_eigenvalues(eigenvalues)
    if np.any(relative == 0):
        raise ValueError("an eigenvalue is 0: the isometry gap of linearly dependent points is infinite")
    d = len(relative)
    if weights == "orthogonal":
        return mean_log(relative)
    if weights == "gaussian":
        return mean_log(relative) + float(psi(d / 2) - psi(np.arange(1, d + 1) / 2).mean())
    raise ValueError(f"weights are 'orthogonal' or 'gaussian', got {weights!r}")
