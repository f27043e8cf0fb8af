"""Normalization layers taken apart, and putting them into existing models."""

from __future__ import annotations

from normscope.nn import functional
from normscope.nn.batchnorm import (
    DecomposedBatchNorm,
    DecomposedBatchNorm1d,
    DecomposedBatchNorm2d,
    DecomposedBatchNorm3d,
)
from normscope.nn.convert import convert
from normscope.nn.lazy import (
    LazyDecomposedBatchNorm1d,
    LazyDecomposedBatchNorm2d,
    LazyDecomposedBatchNorm3d,
)

__all__ = [
    "DecomposedBatchNorm",
    "DecomposedBatchNorm1d",
    "DecomposedBatchNorm2d",
    "DecomposedBatchNorm3d",
    "LazyDecomposedBatchNorm1d",
    "LazyDecomposedBatchNorm2d",
    "LazyDecomposedBatchNorm3d",
    "convert",
    "functional",
]
