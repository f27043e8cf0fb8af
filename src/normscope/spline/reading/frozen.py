"""Batch normalization by the statistics of one batch, the same for whatever comes after."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normscope.loading import LoadingError
from normscope.nn import DecomposedBatchNorm
from normscope.spline.reading.refusal import NotPiecewiseAffineError

Statistics = dict[str, Tensor]


def require_statistics(model: nn.Module, label: Callable[[str], str]) -> None:
    """Let a model, in eval mode, raise when it calls a batch normalization without running statistics.

    Args:
        model: it is changed.
        label: a layer as messages tell it.
    """

    def refuse(name: str) -> None:
        raise NotPiecewiseAffineError(
            f"{label(name)} has no running statistics, and in eval mode too normalizes by those of the batch that it "
            f"is given: give a batch to take them from (batch=)"
        )

    for name, layer in _batch_norms(model).items():
        if any(getattr(layer, statistic, None) is None for statistic in _used(layer)):
            layer.register_forward_pre_hook(lambda _layer, _inputs, name=name: refuse(name))


def _batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm | DecomposedBatchNorm)}


def freeze_statistics(model: nn.Module, run: Callable[[], Any], label: Callable[[str], str]) -> None:
    """Give every batch normalization, call by call, the statistics of what it is given while ``run`` runs ``model``.

    In eval mode the model then computes what it would in train mode on that batch, with dropout off: each layer sees
    what the layers before it, normalized by this batch already, put out. Variances are biased ones.

    Args:
        model: in eval mode; it is changed.
        run: calls the model on the batch.
        label: a layer as messages tell it.

    Raises:
        LoadingError: a layer has one value per channel.
    """
    layers = _batch_norms(model)
    found: defaultdict[str, list[Statistics]] = defaultdict(list)

    def measure(name: str, layer: nn.Module, given: Tensor) -> None:
        if given.numel() <= given.shape[1]:
            raise LoadingError(f"{label(name)} has one value per channel in this batch: give a batch of more samples")
        found[name].append(_statistics(given))
        _set(layer, found[name][-1])

    handles = [
        layer.register_forward_pre_hook(lambda layer, inputs, name=name: measure(name, layer, inputs[0]))
        for name, layer in layers.items()
    ]
    run()
    for handle in handles:
        handle.remove()
    _replay(model, {name: layer for name, layer in layers.items() if len(found[name]) > 1}, found)


def _replay(model: nn.Module, layers: dict[str, nn.Module], found: dict[str, list[Statistics]]) -> None:
    """A layer that is called several times in a pass has the statistics of each call in turn."""
    if not layers:
        return
    calls: Counter[str] = Counter()

    def next_one(layer: nn.Module, name: str) -> None:
        _set(layer, found[name][calls[name] % len(found[name])])
        calls[name] += 1

    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda layer, _inputs, name=name: next_one(layer, name))
    model.register_forward_pre_hook(lambda _model, _inputs: calls.clear(), prepend=True)


def _statistics(given: Tensor) -> Statistics:
    dims = [0, *range(2, given.dim())]
    variance, mean = torch.var_mean(given, dims, correction=0)
    return {"running_mean": mean, "running_var": variance, "running_mean_square": given.square().mean(dims)}


def _set(layer: nn.Module, statistics: Statistics) -> None:
    for name in _used(layer):
        layer._buffers[name] = statistics[name]


def _used(layer: nn.Module) -> tuple[str, ...]:
    return layer.switches.statistics if isinstance(layer, DecomposedBatchNorm) else ("running_mean", "running_var")
