"""Running a copy of a model on small batches, to record what it does."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from normscope.loading import LoadingError, describe, origin, seeded_randomness
from normscope.spline.reading.circular import CircularPadding
from normscope.spline.reading.naming import Names
from normscope.spline.reading.recording import Recorder, Recording, Widening, WritesInPlaceError
from normscope.spline.reading.refusal import layer_label

_INPUT_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Subject:
    """A copy of a model (`float64_twin`), and how it is called.

    Args:
        model: the copy.
        shape: of one input.
        center: where the random points of `batch` lie around.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...], center: Tensor) -> None:
        self.model, self.shape, self._center = model, shape, center
        self._kinds = {name: type(module).__name__ for name, module in model.named_modules()}

    def label(self, layer: str) -> str:
        """A layer as messages tell it."""
        return layer_label(layer, self._kinds[layer])

    def batch(self, samples: int) -> Tensor:
        """Random inputs, others for another number of them."""
        generator = torch.Generator().manual_seed(samples)
        return self._center + torch.randn(samples, *self.shape, generator=generator, dtype=torch.float64)

    def outputs(self, points: Tensor) -> Tensor:
        """What the model puts out, as it does it itself.

        Raises:
            LoadingError: it raises, or puts out no tensor.
        """
        with _on_its_own(len(points)), Widening():
            return self._called(points)

    def recorded(self, samples: int) -> Recording:
        """A pass over random inputs.

        Raises:
            LoadingError: the model raises, or puts out no tensor.
            NotPiecewiseAffineError: it reads numbers that depend on the input.
        """
        with _on_its_own(samples):
            try:
                return self._pass(samples, pure=False)
            except WritesInPlaceError:
                return self._pass(samples, pure=True)

    def _pass(self, samples: int, *, pure: bool) -> Recording:
        batch = self.batch(samples)
        names = Names(self.model)
        recorder = Recorder(batch, names, self.label, pure)
        try:
            with recorder, CircularPadding(), names.following():
                output = (torch.func.functionalize(self._called) if pure else self._called)(batch)
        except LoadingError:
            if recorder.refusal is None and recorder.integers is not None:
                raise recorder.integers from None
            raise
        finally:
            if recorder.refusal is not None:  # whatever the model's own code made of it
                raise recorder.refusal
        recording, number = recorder.recording, recorder.number_of(output)
        if number not in recording.computed and output.shape[:1] == (samples,):
            raise LoadingError(
                "what the model puts out was not computed from its input by operations of torch (numpy, or .data?)"
            )
        recording.output = number
        return recording

    def _called(self, points: Tensor) -> Tensor:
        try:
            output = self.model(points)
        except (LoadingError, WritesInPlaceError):
            raise
        except Exception as error:  # the user's code
            if "autograd.Function" in str(error):  # what replaces in-place operations knows none
                raise LoadingError(
                    "the model has a torch.autograd.Function of its own, and operations in place: set inplace=False, "
                    "or write x = x + y for x += y"
                ) from error
            raise LoadingError(
                f"the model cannot be run in float64 on a batch of shape {tuple(points.shape)} (sample is one input, "
                f"without the batch dimension): {origin(_without_ours(error))}"
            ) from error
        return _one_tensor(output)


def require_one_input(model: nn.Module) -> None:
    """Check that the model can be called with one input.

    Raises:
        LoadingError: it needs more; the message names them.
    """
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return
    kinds = (*_INPUT_KINDS, inspect.Parameter.KEYWORD_ONLY)
    needed = [p.name for p in parameters if p.kind in kinds and p.default is p.empty]
    if len(needed) > 1:
        raise LoadingError(
            f"the model needs {len(needed)} inputs ({', '.join(needed)}): wrap it in a module that takes one and "
            f"holds the others fixed"
        )
    if not any(p.kind in (*_INPUT_KINDS, inspect.Parameter.VAR_POSITIONAL) for p in parameters):
        raise LoadingError(
            "the model takes no input by position: wrap it in a module that takes one and passes it on by its name"
        )


def _one_tensor(output: Any) -> Tensor:
    """The tensor, ``logits`` of several named ones, or the only floating-point one.

    Raises:
        LoadingError: there is none, or more than one.
    """
    if isinstance(output, Tensor):
        return output
    items = _items(output)
    if items is None:
        raise LoadingError(f"the model returns {describe(output)}: wrap it in a module that returns one tensor")
    found = {key: value for key, value in items.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if "logits" in found:
        return found["logits"]
    if len(found) != 1:
        held = f"the tensors {', '.join(found)}" if found else "no tensor"
        raise LoadingError(f"the model returns {describe(output)} with {held}: wrap it in a module that returns one")
    return next(iter(found.values()))


def _items(output: Any) -> dict[str, Any] | None:
    """What an output holds, by name or number."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return dict(zip(output._fields, output, strict=True))
    if isinstance(output, list | tuple):
        return {str(number): value for number, value in enumerate(output)}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return None


def _without_ours(error: BaseException) -> BaseException:
    """An error whose traceback leaves out the calls of this package, which run between those of the model."""
    kept: TracebackType | None = None
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if os.path.dirname(frame.f_code.co_filename) != os.path.dirname(__file__):
            kept = TracebackType(kept, frame, frame.f_lasti, line)
    return error.with_traceback(kept)


@contextmanager
def _on_its_own(seed: int) -> Iterator[None]:
    """Nothing of the caller's surroundings reaches the model, and nothing that it does reaches the caller's.

    Passes of several seeds tell what is random.
    """
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float64)  # of constants that the model makes as it runs
        stack.enter_context(seeded_randomness(seed))
        stack.enter_context(torch.device("cpu"))
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and it takes a second to import
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.no_grad())
        yield
