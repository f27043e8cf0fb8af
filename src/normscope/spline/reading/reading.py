"""From a model to the graph of its computation, checked against the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from normscope.loading import LoadingError, describe
from normscope.spline.reading.capture import Subject, require_one_input
from normscope.spline.reading.frozen import freeze_statistics, require_statistics
from normscope.spline.reading.graph import Graph, build
from normscope.spline.reading.twin import float64_twin

_SAMPLES = (2, 3)  # of the two recordings


def subject_of(model: nn.Module, sample: Tensor | Sequence[int], batch: Tensor | None) -> Subject:
    """The float64 copy of a model, ready to be recorded.

    Raises:
        TypeError: the model is no module, the sample neither a tensor nor a shape, or of integers.
        LoadingError: the model cannot be copied, needs several inputs, or cannot be run on the batch; the batch is not
            one of such inputs.
    """
    center = _center(sample)
    shape = tuple(center.shape)
    twin = float64_twin(model)
    require_one_input(twin)
    subject = Subject(twin, shape, center)
    if batch is not None:
        if not isinstance(batch, Tensor) or tuple(batch.shape[1:]) != shape:
            raise LoadingError(f"batch must be a tensor of shape (n, {_listed(shape)}), not {describe(batch)}")
        points = batch.detach().to("cpu", torch.float64)
        freeze_statistics(twin, lambda: subject.outputs(points), subject.label)
    else:
        require_statistics(twin, subject.label)
    return subject


def graph_of(subject: Subject) -> Graph:
    """The graph of what the model computes.

    Raises:
        LoadingError: the model cannot be run, or its output has no dimension of the samples in front.
        NotPiecewiseAffineError: it is not piecewise affine; the message names the layer and the operation.
    """
    one, two = (subject.recorded(samples) for samples in _SAMPLES)
    graph = build(one, two, subject.label)
    axis = graph.axes[graph.output]
    if axis is None or axis.dim or axis.per > 1:
        shape = two.shapes[two.output]
        raise LoadingError(
            f"the model makes an output of shape {shape} of {two.batch} samples: the first dimension must be that of "
            f"the samples, and each row depend on its sample"
        )
    return graph


def _center(sample: Any) -> Tensor:
    if isinstance(sample, Tensor):
        if not sample.is_floating_point():
            raise TypeError(f"sample is of {sample.dtype}: the space of inputs is that of real numbers, give floats")
        return sample.detach().to("cpu", torch.float64)
    if isinstance(sample, Sequence) and all(type(size) is int and size > 0 for size in sample):
        return torch.zeros(*sample, dtype=torch.float64)
    raise TypeError(f"sample must be one input, a tensor, or its shape, a tuple of sizes, not {describe(sample)}")


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
