"""Why a model of the user's cannot be cut, in the words of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normscope import data
from normscope.loading import LoadingError, one_line, origin
from normscope.nn import DecomposedBatchNorm
from normscope.report.partition.misfit import failure_of, features
from normscope.report.partition.settings import PartitionError, PartitionSettings
from normscope.spline import NotPiecewiseAffineError

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
        failure = failure_of(model, inputs)
        if failure is None or (not failure.layer and "cannot be run" not in str(error)):
            raise
        called = f"{one_line(settings.data, _NAME)} (samples of {features(tuple(inputs.shape[1:]))})"
        advice = f"; {_advice(settings)}" if failure.of_the_data else ""
        raise PartitionError(f"{name} cannot be run on {called}: {failure}{advice}") from error
    except SystemExit as error:
        raise PartitionError(f"{name} raised {origin(error)}") from error


def _advice(settings: PartitionSettings) -> str:
    if settings.samples is None:
        return "give --data of what it takes, and --samples 0,1,2 for the plane through three of them"
    known = data.DATASETS.get(settings.data)
    if known is not None and {"size", "channels"} <= inspect.signature(known).parameters.keys():
        return "give --data of what it takes (images: of another shape by --data-kw size=… and --data-kw channels=…)"
    return "give --data of what it takes"


def _without_statistics(model: nn.Module) -> str | None:
    """The first batch norm that uses statistics and holds none."""
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm | DecomposedBatchNorm):
            used = layer.switches.statistics if isinstance(layer, DecomposedBatchNorm) else ("running_mean",)
            if used and all(getattr(layer, statistic, None) is None for statistic in used):
                return f"layer {one_line(name, _NAME)!r} ({type(layer).__name__})"
    return None
