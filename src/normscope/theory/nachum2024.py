"""The tight cluster with an odd point: Nachum et al., Batch Normalization Decomposed (arXiv 2412.02843)."""

from __future__ import annotations

from typing import NamedTuple


class OddPointConfiguration(NamedTuple):
    """A batch in which all points but one coincide and the last is orthogonal to them."""

    cluster_cosine: float
    odd_cosine: float
    norm_ratio: float
    mean_cosine: float


def odd_point_configuration(n: int) -> OddPointConfiguration:
    """The configuration that recentering + ReLU leaves as it is (up to scale), in a wide network.

    With n − 1 points at a and one at b, recentering puts them at (a − b)/n and −(n−1)(a − b)/n: antiparallel, with
    norm ratio n − 1. A random projection gives them opposite signs, so behind the ReLU their supports are disjoint:
    cosine 0, the cluster keeps cosine 1, and the ratio of norms stays n − 1.

    Of the n(n − 1)/2 pairs, n − 1 hold the odd point: the mean cosine is (n − 2)/n.

    Args:
        n: batch size, at least 3.

    Raises:
        ValueError: n < 3, where no point is odd.
    """
    if n < 3:
        raise ValueError(f"one point is odd among at least 3, got n = {n}")
    return OddPointConfiguration(cluster_cosine=1.0, odd_cosine=0.0, norm_ratio=float(n - 1), mean_cosine=(n - 2) / n)
