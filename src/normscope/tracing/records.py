"""One layer call: what a hook measures while the activation is alive, and nothing more."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normscope import measure
from normscope.tracing.kernel_capture import kernel_gradient
from normscope.tracing.reductions import ChannelStatistics, channel_statistics, gradient_statistics, sketch
from normscope.tracing.threads import one_thread

_BLOCK = 2**18  # elements
CHANNELS_LAST = ("linear", "embedding", "layernorm", "rmsnorm", "attention", "lstm", "gru", "rnn")
CHANNELS_SECOND = re.compile(r"conv(transpose)?[123]d|batchnorm|instancenorm|groupnorm|pool")


@dataclass(eq=False)
class Record:
    """Measures of one layer call. Tensors stay on their device until the end: no transfer inside a hook."""

    layer: str
    kind: str
    call: int
    shape: tuple[int, ...]
    channel_dim: int
    scalars: dict[str, Tensor] = field(default_factory=dict)
    param_grad_norm: Tensor | None = None
    channels: ChannelStatistics | None = None
    same_as: Record | None = None  # a layer that handed on its input has the measures of what made it


@dataclass(frozen=True)
class Plan:
    """What is measured of every output; made once, before the model runs."""

    batch: int
    batch_dim: int
    moments: bool
    geometry: bool
    kernels: bool
    functions: dict[str, Callable[[Tensor], Tensor]]
    projection: int | None
    seed: int


class KernelInput(NamedTuple):
    """What a layer with a kernel was given, until the gradient of its output has come."""

    module: nn.Module
    tensor: Tensor
    version: int  # another one later: it was written into


class GramBlocks:
    """Gram matrices of a pass, in blocks of some 2 MiB: scattered one by one between activations that come and go,
    they would keep the memory of those from being used again.
    """

    def __init__(self) -> None:
        self.blocks: list[tuple[Tensor, list[Record]]] = []  # shape of a block: (k, n, n), float64

    def keep(self, record: Record, gram: Tensor) -> None:
        """Copy ``gram`` into the current block."""
        if not self.blocks or len(self.blocks[-1][1]) == len(self.blocks[-1][0]) or self._elsewhere(gram):
            at_once = max(1, _BLOCK // gram.numel())
            self.blocks.append((gram.new_empty((at_once, *gram.shape)), []))
        block, records = self.blocks[-1]
        block[len(records)] = gram
        records.append(record)

    def _elsewhere(self, gram: Tensor) -> bool:
        return self.blocks[-1][0].device != gram.device  # a model spread over devices


@torch.no_grad()
def measure_output(record: Record, output: Tensor, plan: Plan, grams: GramBlocks) -> None:
    """Fill the record from the layer's output; its Gram matrix goes into ``grams``."""
    if output.numel() == 0:
        return
    samples = _samples_first(output, plan)
    x = output if samples is None else samples
    if plan.moments and x.dim() >= 1:
        with one_thread(x.numel()):
            record.channels = channel_statistics(x, record.channel_dim)
    if plan.geometry and samples is not None:
        narrow = plan.projection is not None and samples[0].numel() > plan.projection
        grams.keep(record, measure.gram(sketch(samples, plan.projection or 0, plan.seed) if narrow else samples))
    for name, function in plan.functions.items():
        record.scalars[name] = torch.as_tensor(function(x)).detach()


@torch.no_grad()
def rename(record: Record, kind: str, output: Tensor, plan: Plan, width: int | None = None) -> None:
    """Take the record of a layer's last operation for that of the layer, whose kind may tell other channels."""
    record.kind = kind
    channel_dim = channel_dimension(kind, record.shape, record.channel_dim, width)
    if channel_dim != record.channel_dim and record.channels is not None:
        record.channel_dim = channel_dim
        samples = _samples_first(output, plan)
        with one_thread(output.numel()):
            record.channels = channel_statistics(output if samples is None else samples, channel_dim)


@torch.no_grad()
def measure_gradient(record: Record, gradient: Tensor, plan: Plan) -> None:
    """Fill the record from the gradient of the loss by the layer's output.

    ``grad_norm``: Frobenius norm. ``grad_coherence``: |sum over the batch| against the sum of | |. ``grad_shared``: the
    share of its energy that is the same for every sample, n ‖mean_b g_b‖² / Σ_b ‖g_b‖².
    """
    samples = _samples_first(gradient, plan)
    if samples is None:
        record.scalars["grad_norm"] = torch.linalg.vector_norm(gradient, dtype=torch.float64)
        return
    with one_thread(samples.numel()):
        statistics = gradient_statistics(samples)
    record.scalars["grad_norm"], record.scalars["grad_coherence"], record.scalars["grad_shared"] = statistics


@torch.no_grad()
def measure_kernel(record: Record, given: KernelInput, gradient: Tensor) -> None:
    """``kernel_gradient_ratio``, a / b of `normscope.measure.KernelGradient`, and ``kernel_sqrt_terms``, √T.

    None where they cannot be told.

    That is where the input was written into since, and where a class of the user's puts out other shapes than the
    layer from which it is derived.
    """
    if given.tensor._version != given.version:
        return
    module = given.module
    try:
        kernel = kernel_gradient(module, given.tensor, gradient)
    except (TypeError, ValueError):
        return
    if isinstance(module, nn.Linear) and kernel.signed.shape != (module.out_features, module.in_features):
        return
    record.scalars["kernel_gradient_ratio"] = kernel.ratio
    record.scalars["kernel_sqrt_terms"] = torch.full_like(kernel.ratio, math.sqrt(kernel.terms))


def channel_dimension(kind: str, shape: tuple[int, ...], of_same_shape: int | None, width: int | None = None) -> int:
    """Which dimension of an output is its channels (the samples being first).

    Images have them second, sequences last. What the kind of the layer does not tell is taken over from the last layer
    with an output of the same shape: an activation has the channels of what it acts on.
    ``width``: the number of channels, where the layer tells it; a layer norm may have them second (``channels_first``).
    """
    if len(shape) < 2:
        return 0
    if len(shape) == 2:
        return 1
    word = kind.lower().replace("_", "")
    if word.endswith(CHANNELS_LAST) or kind == "Conv1D":  # a linear layer, in spite of its name (transformers)
        second = width is not None and shape[1] == width != shape[-1]
        return 1 if second else len(shape) - 1
    if CHANNELS_SECOND.search(word):
        return 1
    if of_same_shape is not None:
        return of_same_shape
    return len(shape) - 1 if len(shape) == 3 else 1


def _samples_first(x: Tensor, plan: Plan) -> Tensor | None:
    """The tensor with the samples first; None if it has no row a sample."""
    for dim in dict.fromkeys((plan.batch_dim, 0)):
        if -x.dim() <= dim < x.dim() and x.shape[dim] == plan.batch:
            return x if dim == 0 else x.movedim(dim, 0)
    return None
