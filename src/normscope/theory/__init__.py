"""What theory expects, in numpy and float64, and what papers printed: what stands beside measured values."""

from __future__ import annotations

from normscope.theory.arccos import relu_cosine, relu_derivative_cosine
from normscope.theory.bjorck2018 import CHANNEL_STD_LAYERS, LN_CHANNEL_STD
from normscope.theory.nachum2024 import OddPointConfiguration, odd_point_configuration
from normscope.theory.yang2019 import gradient_growth, symmetric_cosine

__all__ = [
    "CHANNEL_STD_LAYERS",
    "LN_CHANNEL_STD",
    "OddPointConfiguration",
    "gradient_growth",
    "odd_point_configuration",
    "relu_cosine",
    "relu_derivative_cosine",
    "symmetric_cosine",
]
