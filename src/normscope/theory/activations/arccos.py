"""Arc-cosine kernels of the ReLU (Cho & Saul, 2009)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def relu_cosine(cosine: ArrayLike) -> NDArray[np.float64]:
    """J(c) = (sqrt(1 − c²) + (π − arccos c) c) / π.

    Cosine of ReLU(Wx) and ReLU(Wy) for a wide Gaussian W and two inputs of cosine c.

    Args:
        cosine: c in [−1, 1], any shape.

    Returns:
        J(c), float64, the same shape.

    Raises:
        ValueError: a cosine outside [−1, 1].
    """
    c = _checked(cosine)
    return (np.sqrt((1 - c) * (1 + c)) + (np.pi - np.arccos(c)) * c) / np.pi


def relu_derivative_cosine(cosine: ArrayLike) -> NDArray[np.float64]:
    """J'(c) = (π − arccos c) / π: twice the probability that both units are active, and the derivative of J.

    Args:
        cosine: c in [−1, 1], any shape.

    Returns:
        J'(c), float64, the same shape.

    Raises:
        ValueError: a cosine outside [−1, 1].
    """
    return (np.pi - np.arccos(_checked(cosine))) / np.pi


def _checked(cosine: ArrayLike) -> NDArray[np.float64]:
    c = np.asarray(cosine, dtype=np.float64)
    if np.any(np.abs(c) > 1):
        raise ValueError(f"a cosine lies in [-1, 1], got {c[np.abs(c) > 1].flat[0]}")
    return c
