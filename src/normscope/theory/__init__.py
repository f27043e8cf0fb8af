"""What theory expects, in numpy and float64, and what papers printed: what stands beside measured values."""

from __future__ import annotations

from normscope.theory.activations.activation import ACTIVATIONS, Activation, PiecewiseLinear, activation, leaky_relu
from normscope.theory.activations.arccos import relu_cosine, relu_derivative_cosine
from normscope.theory.backward.depths import Precision, TrainableDepth, overflow_depth, trainable_depth
from normscope.theory.backward.gradients import gradient_growth_at
from normscope.theory.backward.stationary import GradientGrowth
from normscope.theory.backward.symmetric import symmetric_gradient_growth
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram, GroupMatrix
from normscope.theory.layers.geometry import Geometry
from normscope.theory.layers.gram_map import GramMap
from normscope.theory.lineage.arrangements import bounded_region_count, region_count
from normscope.theory.lineage.bjorck2018 import CHANNEL_STD_LAYERS, LN_CHANNEL_STD
from normscope.theory.lineage.daneshmand2021 import (
    Plateau,
    expected_squared_gap,
    orthogonality_gap_bound,
    orthogonality_plateau,
    rank_collapse_from_gap,
    sharper_orthogonality_gap_bound,
)
from normscope.theory.lineage.gaussian_products import GaussianProduct
from normscope.theory.lineage.joudaki2023 import (
    HermiteExpansion,
    NonlinearityStrength,
    hermite_coefficients,
    isometry_gap_bound,
    nonlinearity_strength,
    normalization_gain,
)
from normscope.theory.lineage.long_products import (
    LogDeterminant,
    log_determinant,
    log_singular_values,
    lyapunov_exponents,
    sample_log_singular_values,
)
from normscope.theory.lineage.meterez2024 import isometry_gap_change
from normscope.theory.lineage.nachum2024 import OddPointConfiguration, odd_point_configuration
from normscope.theory.lineage.riedi2026 import (
    ball_separation_limit,
    ball_separation_probability,
    cluster_separation_bound,
    separation_probability,
    sharper_cluster_separation_bound,
)
from normscope.theory.lineage.yang2019 import gradient_growth, symmetric_cosine
from normscope.theory.phases.basins import Basins, basins, gaussian_grams
from normscope.theory.phases.indicative import TwoGroups
from normscope.theory.phases.phase import phase_diagram
from normscope.theory.phases.transitions import Transition, transitions

__all__ = [
    "ACTIVATIONS",
    "CHANNEL_STD_LAYERS",
    "LN_CHANNEL_STD",
    "Activation",
    "Basins",
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
    "Transition",
    "TwoGroups",
    "activation",
    "ball_separation_limit",
    "ball_separation_probability",
    "basins",
    "bounded_region_count",
    "cluster_separation_bound",
    "expected_squared_gap",
    "gaussian_grams",
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
    "phase_diagram",
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
    "transitions",
]
