"""Layers X' = LN(φ(X Wᵀ)), by their law and at infinite width, as the claims on the isometry gap take them.

Layer normalization takes the mean over the features out of each point and divides by the deviation. The strength β₀ of
φ, the bound and what it holds for: `normscope.theory.lineage.joudaki2023`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import measure, models, theory
from normscope.claims.claim import Paper

PAPER: Final = Paper(
    "On the Impact of Activation and Normalization in Obtaining Isometric Embeddings at Initialization",
    "2305.18399",
    "Joudaki et al. 2023",
)
ACTIVATIONS: Final = ("tanh", "leaky_relu", "relu", "gelu", "abs")
STEEP: Final = 1e-12
"""A gap below this is rounding."""

_FAR: Final = 200  # layers: isometric by then, whatever φ


def drawn_layers(start: Tensor, phi: str, width: int, depth: int, networks: int, seed: int) -> Iterator[Tensor]:
    """Cosines (networks, n, n) at depths 0 … depth; given X, the features of X Wᵀ are independent N(0, X Xᵀ/d)."""
    generator = torch.Generator().manual_seed(seed)
    function = models.ACTIVATIONS[phi]()
    cosines = start.expand(networks, -1, -1)
    yield cosines
    for _ in range(depth):
        root = torch.linalg.cholesky(cosines)
        normals = torch.randn(networks, len(start), width, dtype=torch.float64, generator=generator)
        x = function(root @ normals)
        x = torch.nn.functional.layer_norm(x, (width,), eps=0.0)
        cosines = x @ x.mT / width
        yield cosines


def wide_layers(points: int, cosine: float, phi: str, depth: int) -> Iterator[Tensor]:
    """The same at infinite width from equal cosines, which stay equal: the kernel of φ, less (E φ)²."""
    layer = theory.GramMap(recenter=False, rescale=False, activation=phi)
    square_mean = float(theory.hermite_coefficients(phi, 0).coefficients[0]) ** 2
    yield equal_cosines(points, cosine)
    for _ in range(depth):
        kernel = layer(np.array([[1, cosine], [cosine, 1]])) - square_mean
        cosine = float(kernel[0, 1] / kernel[0, 0])
        yield equal_cosines(points, cosine)


def limit_gaps(points: int, cosine: float, phi: str) -> NDArray[np.float64]:
    """Isometry gaps at infinite width, as far as rounding is far below them."""
    gaps = (float(gaps_of(cosines)) for cosines in wide_layers(points, cosine, phi, _FAR))
    return np.array(list(takewhile(lambda gap: gap > STEEP**0.5, gaps)))


def gaps_of(grams: Tensor) -> NDArray[np.float64]:
    """The isometry gap of each of (…, n, n) Gram matrices, in nats."""
    found: NDArray[np.float64] = measure.isometry_gap(grams).numpy()
    return found


def equal_cosines(n: int, cosine: float) -> Tensor:
    """(n, n), float64."""
    return torch.full((n, n), cosine, dtype=torch.float64).fill_diagonal_(1.0)
