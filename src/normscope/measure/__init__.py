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
from normscope.measure.distribution import Histogram, Tails, histogram, tails
from normscope.measure.gradients import gradient_coherence
from normscope.measure.gram_matrix import gram
from normscope.measure.kernel_gradients import (
    KernelGradient,
    channel_pair_gradients,
    conv_kernel_gradient,
    linear_kernel_gradient,
)
from normscope.measure.logit_gradients import OutputGradients, output_gradients, rank_one_energy
from normscope.measure.noise import gradient_noise, step_noise
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
    "Histogram",
    "KernelGradient",
    "OddPoint",
    "OutputGradients",
    "Tails",
    "channel_moments",
    "channel_pair_gradients",
    "condition_number",
    "constant_channels",
    "conv_kernel_gradient",
    "cosine_matrix",
    "dead_channels",
    "dead_fraction",
    "effective_rank",
    "eigenvalues",
    "gradient_coherence",
    "gradient_noise",
    "gram",
    "histogram",
    "isometry_gap",
    "linear_kernel_gradient",
    "mean_cosine",
    "odd_point",
    "orthogonality_gap",
    "output_gradients",
    "rank_collapse",
    "rank_one_energy",
    "stable_rank",
    "step_noise",
    "tails",
]
