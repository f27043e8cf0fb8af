"""Mean field of batch normalization with ReLU: Yang et al., ICLR 2019 (arXiv 1902.08129)."""

from __future__ import annotations

from normscope.theory.activations.arccos import relu_cosine, relu_derivative_cosine


def symmetric_cosine(n: int) -> float:
    """J(−1/(n − 1)): cosine of any two of n points behind BN + ReLU, at the symmetric fixed point.

    Recentering a symmetric batch makes all pairwise cosines −1/(n − 1); the ReLU maps them by J.

    Args:
        n: batch size, at least 2.

    Raises:
        ValueError: n < 2.
    """
    if n < 2:
        raise ValueError(f"a symmetric batch has at least 2 points, got n = {n}")
    return float(relu_cosine(-1 / (n - 1)))


def gradient_growth(n: int) -> float:
    """Factor by which the squared gradient norm grows per layer (towards the input), BN + ReLU, wide plain network.

    ((n−1)(J'(c) + n − 1)) / ((n−3)(n−1)(1 − J(c))) − 1/(n−3) at c = −1/(n−1), without skip connections, at the
    symmetric fixed point; → π/(π − 1) for large batches.

    Args:
        n: batch size, at least 4.

    Raises:
        ValueError: n < 4, where the expectation does not exist.
    """
    if n < 4:
        raise ValueError(f"the growth is finite from n = 4 on, got n = {n}")
    c = -1 / (n - 1)
    j, dj = float(relu_cosine(c)), float(relu_derivative_cosine(c))
    return (n - 1) * (dj + n - 1) / ((n - 3) * (n - 1) * (1 - j)) - 1 / (n - 3)
