"""Pure functions on tensors: what a batch of representations, channels or gradients looks like.

Measures of a batch start from its Gram matrix, `gram(x)`; they take any leading batch dimensions and answer in
float64. `GRAM_MEASURES` holds the scale-free ones by name.
"""

from __future__ import annotations

from normscope.measure.channels import (
    ChannelMoments,
    channel_moments,
    constant_channels,
    dead_channels,
    dead_fraction,
)
from normscope.measure.cosines import cosine_matrix, mean_cosine
from normscope.measure.gradients import gradient_coherence
from normscope.measure.gram_matrix import gram
from normscope.measure.odd import OddPoint, odd_point
from normscope.measure.registry import GRAM_MEASURES
from normscope.measure.spectrum import (
    condition_number,
    effective_rank,
    eigenvalues,
    isometry_gap,
    orthogonality_gap,
    rank_collapse,
    stable_rank,
)

__all__ = [
    "GRAM_MEASURES",
    "ChannelMoments",
    "OddPoint",
    "channel_moments",
    "condition_number",
    "constant_channels",
    "cosine_matrix",
    "dead_channels",
    "dead_fraction",
    "effective_rank",
    "eigenvalues",
    "gradient_coherence",
    "gram",
    "isometry_gap",
    "mean_cosine",
    "odd_point",
    "orthogonality_gap",
    "rank_collapse",
    "stable_rank",
]
