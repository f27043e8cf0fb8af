"""Why a model of the user's cannot be cut, in the words of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from normscope import data
from normscope.loading import LoadingError, kept_randomness, one_line, origin
from normscope.nn import DecomposedBatchNorm
from normscope.report.partition.settings import PartitionError, PartitionSettings
from normscope.spline import NotPiecewiseAffineError

_SAMPLES = ("sequences", "images", "volumes")  # of convolutions in 1, 2 and 3 dimensions
_NAME = 80


@contextmanager
def explaining(name: str, model: nn.Module, inputs: Tensor, settings: PartitionSettings) -> Iterator[None]:
    """Turn what reading a model raises into a `PartitionError` that names the options which help, where some do.

    Args:
        name: what the model is called.
        model: the model that the block reads.
        inputs: the opened samples.
        settings: what was asked for.

    Raises:
        ValueError: the block raised, with the message of the block where no option helps.
    """
    try:
        yield
    except NotPiecewiseAffineError as error:
        layer = _without_statistics(model)
        if layer is None or settings.statistics == "batch":
            raise
        raise PartitionError(
            f"{layer} holds no running statistics (track_running_stats=False): "
            "--statistics batch normalizes by those of the data"
        ) from error
    except LoadingError as error:
        misfit, failure = _run(model, inputs)
        told = misfit or (failure if "cannot be run" in str(error) else None)
        if told is None:
            raise
        called = f"{one_line(settings.data, _NAME)} (samples of {features(tuple(inputs.shape[1:]))})"
        raise PartitionError(f"{name} cannot be run on {called}: {told}; {_advice(settings)}") from error
    except SystemExit as error:
        raise PartitionError(f"{name} raised {origin(error)}") from error


def features(shape: tuple[int, ...]) -> str:
    """The shape of one sample in words."""
    if len(shape) == 1:
        return f"{shape[0]} feature{'' if shape[0] == 1 else 's'}"
    return f"shape {'×'.join(map(str, shape))}" if shape else "one number"


def _run(model: nn.Module, inputs: Tensor) -> tuple[str | None, str | None]:
    """Which layer does not take what it is given, and what the model raises; each None where there is none."""
    running: list[tuple[str, nn.Module, Any]] = []  # the modules whose forward has begun and not ended
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda module, given, name=name: running.append((name, module, given)))
        module.register_forward_hook(lambda *_: _left(running))
    try:
        with torch.no_grad(), kept_randomness():
            model.eval()(inputs[:2])
    except (Exception, SystemExit) as error:  # the user's model may raise anything
        nothing: tuple[str, nn.Module, Any] = ("", model, ())
        name, module, given = running[-1] if running else nothing
        takes = _takes(module, given[0]) if given and isinstance(given[0], Tensor) else None
        if takes is None:
            return None, origin(error)
        layer = f"layer {one_line(name, _NAME)!r} ({type(module).__name__})" if name else "it"
        return f"{layer} takes {takes} and is given {features(tuple(given[0].shape[1:]))}", origin(error)
    return None, None


def _left(running: list[tuple[str, nn.Module, Any]]) -> None:
    running.pop()


def _takes(layer: nn.Module, given: Tensor) -> str | None:
    """What a layer takes, if it is something else than what it was given."""
    if isinstance(layer, nn.Linear):
        return None if given.shape[-1] == layer.in_features else features((layer.in_features,))
    if isinstance(layer, _ConvNd):
        dimensions = len(layer.kernel_size)
        if given.dim() == dimensions + 2 and given.shape[1] == layer.in_channels:
            return None
        channels = f"{layer.in_channels} channel{'' if layer.in_channels == 1 else 's'}"
        return f"{_SAMPLES[dimensions - 1]} of {channels}"
    if isinstance(layer, _BatchNorm | DecomposedBatchNorm):
        fits = given.dim() > 1 and given.shape[1] == layer.num_features
        return None if fits else f"{layer.num_features} channels"
    return None


def _advice(settings: PartitionSettings) -> str:
    if settings.samples is None:
        return "give --data of what it takes, and --samples 0,1,2 for the plane through three of them"
    known = data.DATASETS.get(settings.data)
    if known is not None and {"size", "channels"} <= inspect.signature(known).parameters.keys():
        return "give --data of what it takes (images of another shape: --data-kw size=32 --data-kw channels=3)"
    return "give --data of what it takes"


def _without_statistics(model: nn.Module) -> str | None:
    """The first batch norm that uses statistics and holds none."""
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm | DecomposedBatchNorm):
            used = layer.switches.statistics if isinstance(layer, DecomposedBatchNorm) else ("running_mean",)
            if used and all(getattr(layer, statistic, None) is None for statistic in used):
                return f"layer {one_line(name, _NAME)!r} ({type(layer).__name__})"
    return None
