"""What theory expects, in numpy and float64: the constants that stand beside measured values."""

from __future__ import annotations

from normscope.theory.arccos import relu_cosine, relu_derivative_cosine
from normscope.theory.nachum2024 import OddPointConfiguration, odd_point_configuration
from normscope.theory.yang2019 import gradient_growth, symmetric_cosine

__all__ = [
    "OddPointConfiguration",
    "gradient_growth",
    "odd_point_configuration",
    "relu_cosine",
    "relu_derivative_cosine",
    "symmetric_cosine",
]
