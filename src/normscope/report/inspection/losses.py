"""A loss by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from normscope.loading import LoadingError, call, describe, one_line, origin, resolve, suggestion
from normscope.report.inspection.failing_layer import InspectionError, given
from normscope.tracing import cross_entropy, mean_squared_error, output_tensor

Loss = Callable[[Any, Any], Tensor]


LOSSES: Final[dict[str, Loss]] = {
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
}
"""Every loss that has a name of its own: a ValueError of it says what does not fit. A new one is one line here."""


def find_loss(spec: str) -> Loss:
    """The loss that ``spec`` names: one of `LOSSES`, or a Python object ``pkg.module:name`` or ``file.py:name``.

    The object is a module or a function ``loss(outputs, targets)``; or what makes one when it is called without
    arguments: a class of modules, or a function without required parameters.

    The loss gets the model's output if that is a tensor, or else the tensor in it
    (`normscope.tracing.output_tensor`); a loss of the
    user's gets the output as it is.

    Raises:
        LoadingError: there is no such loss, or the spec resolves to something that cannot be called.
    """
    if spec in LOSSES:
        return _telling(_named(spec), spec)
    if ":" not in spec:
        close = suggestion(spec, LOSSES, listed=[*LOSSES, "your own as file.py:loss"])
        raise LoadingError(f"--loss {one_line(spec)}: not known{close}")
    found = resolve(spec)
    if isinstance(found, type) or (callable(found) and _takes_nothing(found)):
        found = call(found, {}, spec)
    if not callable(found):
        raise LoadingError(f"{spec} is {describe(found)}: name a loss(outputs, targets), or what makes one")
    return _telling(found, spec)


def random_targets(loss: str, seed: int) -> Callable[[Any], Tensor]:
    """What draws targets from ``seed``: of the kind that the loss named ``loss`` takes, in the shape of the outputs.

    For cross-entropy, classes that are equally likely; for the mean squared error, numbers of mean 0 and variance 1.

    Raises:
        LoadingError: it is no loss of `LOSSES`, so nobody knows which targets it takes.
    """
    if loss not in LOSSES:
        raise LoadingError(
            f"--random-targets are known for --loss {' and '.join(LOSSES)} only, not for {one_line(loss)}"
        )

    def drawn(outputs: Any) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        values = _tensor_of(outputs)
        if loss == "mse":
            targets = torch.randn(values.shape, generator=generator)
        elif values.dim() < 2:
            raise InspectionError(f"cross_entropy needs outputs (n, classes, ...); the model gave {given(values)}")
        else:
            shape = (values.shape[0], *values.shape[2:])
            targets = torch.randint(values.shape[1], shape, generator=generator)
        return targets.to(values.device)

    return drawn


def _tensor_of(outputs: Any) -> Tensor:
    try:
        return output_tensor(outputs)
    except ValueError as error:
        raise InspectionError(f"{error}: name a loss of your own that picks one, --loss file.py:loss") from error


def _named(spec: str) -> Loss:
    def named(outputs: Any, targets: Any) -> Tensor:
        try:
            return LOSSES[spec](_tensor_of(outputs), targets)
        except InspectionError:
            raise
        except ValueError as error:
            raise InspectionError(f"--loss {spec}: {error}") from error

    return named


def _takes_nothing(function: Any) -> bool:
    """Whether it makes a loss, rather than being one: a function that needs no arguments."""
    if isinstance(function, nn.Module):
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    return not any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def _telling(loss: Loss, name: str) -> Loss:
    def told(outputs: Any, targets: Any) -> Tensor:
        try:
            return loss(outputs, targets)
        except (InspectionError, LoadingError):
            raise
        except Exception as error:  # the user's loss may raise anything
            raise InspectionError(
                f"the loss {name} raised {origin(error)}; outputs {given(outputs)}, targets {given(targets)}"
            ) from error

    return told
