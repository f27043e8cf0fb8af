"""Batches of real images for the theory: their Gram matrices."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from normscope.data import digits
from normscope.measure import gram
from normscope.theory.phases.basins import ensure_batches_fit


def digit_grams(n: int, batches: int, seed: int = 0) -> NDArray[np.float64]:
    """(batches, n, n): Gram matrices of batches of n different handwritten digits, each drawn at random.

    Raises:
        ValueError: there are fewer digits than n, no batches, or a negative seed.
        MemoryError: they do not fit.
    """
    images = digits().inputs
    if not 2 <= n <= len(images) or batches < 1:
        raise ValueError(
            f"batches of digits hold 2 to {len(images)} images, and there is at least 1: got {batches} of {n}"
        )
    if seed < 0:
        raise ValueError(f"a seed is a whole number from 0 on, got {seed}")
    ensure_batches_fit(n, batches)
    rng = np.random.default_rng(seed)
    chosen = [torch.from_numpy(rng.choice(len(images), n, replace=False)) for _ in range(batches)]
    return np.stack([gram(images[one]).numpy() for one in chosen])
