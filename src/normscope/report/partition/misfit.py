"""Where a model of the user's fails, and whether a layer there takes something else than it is given."""

from __future__ import annotations

import traceback
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from normscope.loading import kept_randomness, one_line, origin
from normscope.nn import DecomposedBatchNorm

_SAMPLES = ("sequences", "images", "volumes")  # of convolutions in 1, 2 and 3 dimensions
_NAME = 80


@dataclass(frozen=True)
class Failure:
    """What a model raised.

    Attributes:
        error: its last line, and where it came from where no layer tells that.
        layer: the layer that raised it, where that takes something else than it was given; else empty.
        takes: what that layer takes; else empty.
        given: shape of one sample of what it was given.
        of_the_data: whether other samples would be given to that layer in another shape.
    """

    error: str
    layer: str = ""
    takes: str = ""
    given: tuple[int, ...] = ()
    of_the_data: bool = False

    def __str__(self) -> str:
        if not self.layer:
            return self.error
        return f"{self.layer} takes {self.takes} and is given {features(self.given)} ({self.error})"


def failure_of(model: nn.Module, inputs: Tensor) -> Failure | None:
    """What the model raises on the first two samples; None if nothing.

    The shape that a layer is given is that of the data where the layer is given the input itself, reshaped or not, or
    where it is another one for samples twice as long and wide, as behind convolutions.
    """
    failure = _failure(model, inputs[:2])
    if failure is None or not failure.layer or failure.of_the_data or inputs.dim() < 3:
        return failure
    larger = inputs[:2].repeat(1, 1, *[2] * (inputs.dim() - 2))
    other = _failure(model, larger)
    of_the_data = other is None or (other.layer == failure.layer and other.given != failure.given)
    return replace(failure, of_the_data=of_the_data)


def features(shape: tuple[int, ...]) -> str:
    """The shape of one sample in words."""
    if len(shape) == 1:
        return f"{shape[0]} feature{'' if shape[0] == 1 else 's'}"
    return f"shape {'×'.join(map(str, shape))}" if shape else "one number"


def _failure(model: nn.Module, inputs: Tensor) -> Failure | None:
    last: dict[nn.Module, tuple[Any, ...]] = {}  # what each module was given when it was last called
    hooks = [module.register_forward_pre_hook(last.__setitem__) for module in model.modules()]
    try:
        with torch.no_grad(), kept_randomness():
            model.eval()(inputs)
    except (Exception, SystemExit) as error:  # the user's model may raise anything
        layer = _raised_in(error, last)
        given = last[layer][0] if layer is not None and last[layer] else None
        if layer is None or not isinstance(given, Tensor) or (takes := _takes(layer, given)) is None:
            return Failure(origin(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)))
        name = next(name for name, module in model.named_modules() if module is layer)
        called = f"layer {one_line(name, _NAME)!r} ({type(layer).__name__})" if name else "it"
        itself = given.numel() == inputs.numel() and given.data_ptr() == inputs.data_ptr()
        told = f"{type(error).__name__}: {one_line(str(error))}"
        return Failure(told, called, takes, tuple(given.shape[1:]), itself)
    finally:
        for hook in hooks:
            hook.remove()
    return None


def _raised_in(error: BaseException, called: Container[nn.Module]) -> nn.Module | None:
    """The innermost module that this very error came out of, not one whose error the model has caught before."""
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and module in called:
            found = module
    return found


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
