"""Which layer of a model raised, and what it was given."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from normscope.loading import LoadingError, one_line, origin


class InspectionError(ValueError):
    """A model could not be inspected. The message is one line: what was wrong, where, and what to do."""


@contextmanager
def naming_the_layer(model: nn.Module, inputs: Any, advice: str = "") -> Iterator[None]:
    """Turn what a block raises while it runs ``model`` into an `InspectionError`.

    The message names the innermost module in which it happened, what the model said, and what that module and the
    model were given. What was raised outside of any module passes on its own message.

    Args:
        model: the model that the block runs.
        inputs: what it is given.
        advice: the end of the message where a layer raised.

    Raises:
        InspectionError: the block raised; `InspectionError` and `LoadingError` pass unchanged.
    """
    try:
        yield
    except (InspectionError, LoadingError):
        raise
    except (Exception, SystemExit) as error:  # the user's model may raise anything
        raise InspectionError(_told(error, model, inputs, advice)) from error


def given(values: Any) -> str:
    """The tensors in ``values``, by dtype and shape: ``float32 (8, 3, 32, 32)``."""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    told = [f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in tensors[:3]]
    more = [f"and {len(tensors) - 3} more"] if len(tensors) > 3 else []
    return ", ".join([*told, *more]) or "no tensor"


def _told(error: BaseException, model: nn.Module, inputs: Any, advice: str) -> str:
    steps = list(traceback.walk_tb(error.__traceback__))
    inside = [(frame, line) for frame, line in steps if isinstance(frame.f_locals.get("self"), nn.Module)]
    if not inside:
        if isinstance(error, ValueError | TypeError):  # says itself what was wrong
            return one_line(str(error))
        return f"running {type(model).__name__} on {given(inputs)} raised {origin(error)}"
    module: nn.Module = inside[-1][0].f_locals["self"]
    names = {id(m): name for name, m in model.named_modules()}
    name = names.get(id(module), "")
    called = f"layer {one_line(name, 80)} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
    said = f"{type(error).__name__}: {one_line(str(error))}{_place(inside)}"
    took = _arguments([frame for frame, _ in inside], module)
    was_given = "" if took is None or module is model else f"; it was given {given(took)}"
    return f"{called} raised {said}{was_given}; the model was given {given(inputs)}{_hint(module, took)}{advice}"


def _place(inside: Sequence[tuple[FrameType, int]]) -> str:
    """The last line of a forward that is not torch's: of the user's model."""
    for frame, line in reversed(inside):
        if not frame.f_globals.get("__name__", "").startswith("torch."):
            return f" ({os.path.relpath(frame.f_code.co_filename)}:{line})"
    return ""


def _arguments(frames: Sequence[FrameType], module: nn.Module) -> Any:
    """What the last call of ``module`` was given, from the frame in which torch calls its forward."""
    for frame in reversed(frames):
        known = frame.f_locals
        if known.get("self") is module and "args" in known:
            return known["args"], known.get("kwargs")
    return None


def _hint(module: nn.Module, took: Any) -> str:
    tensors = [leaf for leaf in tree_leaves(took) if isinstance(leaf, Tensor)]
    if not isinstance(module, nn.Embedding):
        own = next(iter(module.parameters(recurse=False)), None)
        whole = [t for t in tensors if not t.is_floating_point() and not t.is_complex()]
        if own is None or not own.is_floating_point() or not whole or len(whole) < len(tensors):
            return ""
        return ". It computes with floating-point numbers: integers are passed on as ids, save other data as floats"
    if any(t.is_floating_point() for t in tensors):
        return f". It looks up token ids: --vocab {module.num_embeddings} makes random ones"
    if any(bool(torch.any((t < 0) | (t >= module.num_embeddings))) for t in tensors):
        return f". It knows the ids 0 to {module.num_embeddings - 1}"
    return ""
