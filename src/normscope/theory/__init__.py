"""What theory expects, in numpy and float64, and what papers printed: what stands beside measured values."""

from __future__ import annotations

from normscope.theory.activation import ACTIVATIONS, Activation, PiecewiseLinear, leaky_relu
from normscope.theory.arccos import relu_cosine, relu_derivative_cosine
from normscope.theory.arrangements import bounded_region_count, region_count
from normscope.theory.bjorck2018 import CHANNEL_STD_LAYERS, LN_CHANNEL_STD
from normscope.theory.daneshmand2021 import (
    Plateau,
    expected_squared_gap,
    orthogonality_gap_bound,
    orthogonality_plateau,
    rank_collapse_from_gap,
    sharper_orthogonality_gap_bound,
)
from normscope.theory.depths import Precision, TrainableDepth, overflow_depth, trainable_depth
from normscope.theory.fixed_point import FixedPoint
from normscope.theory.gaussian_products import GaussianProduct
from normscope.theory.geometry import Geometry
from normscope.theory.gradients import gradient_growth_at
from normscope.theory.gram_map import GramMap
from normscope.theory.group_map import GroupMap
from normscope.theory.groups import GroupGram, GroupMatrix
from normscope.theory.joudaki2023 import (
    HermiteExpansion,
    NonlinearityStrength,
    hermite_coefficients,
    isometry_gap_bound,
    nonlinearity_strength,
    normalization_gain,
)
from normscope.theory.long_products import (
    LogDeterminant,
    log_determinant,
    log_singular_values,
    lyapunov_exponents,
    sample_log_singular_values,
)
from normscope.theory.meterez2024 import isometry_gap_change
from normscope.theory.nachum2024 import OddPointConfiguration, odd_point_configuration
from normscope.theory.riedi2026 import (
    ball_separation_limit,
    ball_separation_probability,
    cluster_separation_bound,
    separation_probability,
    sharper_cluster_separation_bound,
)
from normscope.theory.stationary import GradientGrowth
from normscope.theory.symmetric import symmetric_gradient_growth
from normscope.theory.yang2019 import gradient_growth, symmetric_cosine

__all__ = [
    "ACTIVATIONS",
    "CHANNEL_STD_LAYERS",
    "LN_CHANNEL_STD",
    "Activation",
    "FixedPoint",
    "GaussianProduct",
    "Geometry",
    "GradientGrowth",
    "GramMap",
    "GroupGram",
    "GroupMap",
    "GroupMatrix",
    "HermiteExpansion",
    "LogDeterminant",
    "NonlinearityStrength",
    "OddPointConfiguration",
    "PiecewiseLinear",
    "Plateau",
    "Precision",
    "TrainableDepth",
    "ball_separation_limit",
    "ball_separation_probability",
    "bounded_region_count",
    "cluster_separation_bound",
    "expected_squared_gap",
    "gradient_growth",
    "gradient_growth_at",
    "hermite_coefficients",
    "isometry_gap_bound",
    "isometry_gap_change",
    "leaky_relu",
    "log_determinant",
    "log_singular_values",
    "lyapunov_exponents",
    "nonlinearity_strength",
    "normalization_gain",
    "odd_point_configuration",
    "orthogonality_gap_bound",
    "orthogonality_plateau",
    "overflow_depth",
    "rank_collapse_from_gap",
    "region_count",
    "relu_cosine",
    "relu_derivative_cosine",
    "sample_log_singular_values",
    "separation_probability",
    "sharper_cluster_separation_bound",
    "sharper_orthogonality_gap_bound",
    "symmetric_cosine",
    "symmetric_gradient_growth",
    "trainable_depth",
]
