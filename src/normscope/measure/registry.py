"""The scalar measures of a Gram matrix by name: what a trace can compute for every layer.

To add one, write a function from (..., n, n) to (...) that does not depend on scale, register it here, and write its
slow twin of the same name in the tests' reference module: the tests run over this table.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from normscope.measure.cosines import mean_cosine
from normscope.measure.odd import odd_point
from normscope.measure.spectrum import (
    condition_number,
    effective_rank,
    isometry_gap,
    orthogonality_gap,
    rank_collapse,
    stable_rank,
)


def _odd_cosine(gram: Tensor) -> Tensor:
    return odd_point(gram).cosine


def _cluster_cosine(gram: Tensor) -> Tensor:
    return odd_point(gram).cluster_cosine


def _odd_norm_ratio(gram: Tensor) -> Tensor:
    return odd_point(gram).norm_ratio


def _odd_score(gram: Tensor) -> Tensor:
    return odd_point(gram).score


GRAM_MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean_cosine": mean_cosine,
    "orthogonality_gap": orthogonality_gap,
    "isometry_gap": isometry_gap,
    "effective_rank": effective_rank,
    "stable_rank": stable_rank,
    "rank_collapse": rank_collapse,
    "condition_number": condition_number,
    "odd_cosine": _odd_cosine,
    "cluster_cosine": _cluster_cosine,
    "odd_norm_ratio": _odd_norm_ratio,
    "odd_score": _odd_score,
}
"""Scale-free functions from Gram matrices (..., n, n) to numbers (...), float64."""
