"""Decomposed batch normalization that takes its number of channels from the first input."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from normscope.nn.batchnorm import (
    DecomposedBatchNorm,
    DecomposedBatchNorm1d,
    DecomposedBatchNorm2d,
    DecomposedBatchNorm3d,
)
from normscope.nn.statistics import INITIAL_VALUES, uninitialized_buffer
from normscope.nn.switches import Scale

__all__ = ["LazyDecomposedBatchNorm1d", "LazyDecomposedBatchNorm2d", "LazyDecomposedBatchNorm3d"]


class _LazyDecomposedBatchNorm(LazyModuleMixin, DecomposedBatchNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        recenter: bool = True,
        rescale: bool = True,
        scale: Scale = "auto",
    ) -> None:
        super().__init__(
            0,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
            recenter=recenter,
            rescale=rescale,
            scale=scale,
        )

    def _new_parameter(self, device: Any, dtype: torch.dtype | None) -> nn.Parameter:
        make: Any = nn.UninitializedParameter  # torch's annotations lack its arguments
        parameter: nn.Parameter = make(device=device, dtype=dtype)
        return parameter

    def _new_statistic(self, device: Any, dtype: torch.dtype | None) -> Tensor:
        return uninitialized_buffer(device, dtype)

    def reset_parameters(self) -> None:
        """Reset what there is: nothing before the first input."""
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:  # noqa: A002 - as in torch, for layer(input=x)
        """Make the tensors that no state dict has made, for the channels of ``input``."""
        self.num_features = input.shape[1]
        for name, tensor in chain(self.named_parameters(), self.named_buffers()):
            if is_lazy(tensor):
                tensor.materialize((self.num_features,))
                with torch.no_grad():
                    tensor.fill_(INITIAL_VALUES[name])


class LazyDecomposedBatchNorm1d(_LazyDecomposedBatchNorm, DecomposedBatchNorm1d):
    """`DecomposedBatchNorm1d` without ``num_features``, which comes from the first input."""

    cls_to_become = DecomposedBatchNorm1d


class LazyDecomposedBatchNorm2d(_LazyDecomposedBatchNorm, DecomposedBatchNorm2d):
    """`DecomposedBatchNorm2d` without ``num_features``, which comes from the first input."""

    cls_to_become = DecomposedBatchNorm2d


class LazyDecomposedBatchNorm3d(_LazyDecomposedBatchNorm, DecomposedBatchNorm3d):
    """`DecomposedBatchNorm3d` without ``num_features``, which comes from the first input."""

    cls_to_become = DecomposedBatchNorm3d
