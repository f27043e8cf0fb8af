"""A checkpoint, into a model."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normscope.loading.errors import LoadingError, describe, one_line, some
from normscope.loading.tensors import read_tensors

_HOLDERS = ("state_dict", "model_state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and DistributedDataParallel, of torch.compile
_SHOWN = 3


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load the parameters and buffers of a checkpoint into ``model``, in place.

    The checkpoint is a state dict, alone or under ``state_dict``, ``model_state_dict`` or ``model``. A ``module.`` or
    ``_orig_mod.`` before all keys, of a wrapper of DataParallel or torch.compile, does not count, in the file or in
    the model. A parameter that the file leaves out because it is tied to one that it holds is no missing one, and what
    the model's own modules know how to bring up to date (a batch normalization saved without its counter) is brought.

    Args:
        model: any module; a lazy one gets its shapes.
        path: ``.safetensors``, or a file of ``torch.save`` (``.pt``, ``.pth`` …), read by `read_tensors`.

    Raises:
        LoadingError: the file cannot be read, holds no state dict, or does not fit. The message then says how many
            keys are missing, unexpected or of another shape, and names the first; the model is left as it was.
    """
    given = _state_dict(read_tensors(path), path)
    expected = model.state_dict()
    given = _rewrapped(given, _wrapper(given), _wrapper(expected))
    _complete_tied(given, expected)
    misfits = _misfits(given, expected)
    before = _copy(expected) if misfits else None
    try:
        model.load_state_dict(given)  # also with misfits: some modules rename or fill in what older versions saved
    except Exception as error:
        if before is not None:
            model.load_state_dict(before, strict=False)
        reason = misfits or one_line(str(error))
        raise LoadingError(f"{os.fspath(path)} does not fit {type(model).__name__}: {reason}") from error


def _state_dict(content: Any, path: str | os.PathLike[str]) -> OrderedDict[str, Any]:
    """The state dict in what a file holds, with the versions of the modules that saved it where those are told."""
    found = content
    if isinstance(content, Mapping):
        found = next((content[name] for name in _HOLDERS if isinstance(content.get(name), Mapping)), content)
    if not isinstance(found, Mapping):
        raise LoadingError(f"{os.fspath(path)} holds no state dict but {describe(content)}: save model.state_dict()")
    if not any(isinstance(value, Tensor) for value in found.values()):
        keys = some([str(key) for key in found], _SHOWN) or "nothing"
        raise LoadingError(f"{os.fspath(path)} holds no state dict: there are no tensors in it, but {keys}")
    own = OrderedDict((str(key), value) for key, value in found.items())
    versions = getattr(found, "_metadata", None)
    vars(own)["_metadata"] = versions if isinstance(versions, Mapping) else {}
    return own


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.clone() for k, v in state.items() if isinstance(v, Tensor) and not is_lazy(v)}


def _wrapper(state: Mapping[str, Any]) -> str:
    """The wrappers' prefix that all keys have: ``module._orig_mod.``."""
    prefix = ""
    while state and (more := next((w for w in _WRAPPERS if all(k.startswith(prefix + w) for k in state)), "")):
        prefix += more
    return prefix


def _rewrapped(state: OrderedDict[str, Any], theirs: str, ours: str) -> OrderedDict[str, Any]:
    """The state dict, and the versions that it carries, with our wrappers in the place of theirs."""
    renamed = OrderedDict((ours + key.removeprefix(theirs), value) for key, value in state.items())
    versions = {f"{module}.".lstrip("."): version for module, version in vars(state)["_metadata"].items()}
    vars(renamed)["_metadata"] = {
        (ours + module.removeprefix(theirs)).rstrip("."): version
        for module, version in versions.items()
        if module.startswith(theirs)
    }
    return renamed


def _complete_tied(given: dict[str, Any], expected: Mapping[str, Any]) -> None:
    """Give a missing key the value of one that is the same tensor in the model: formats without sharing save one."""
    by_tensor = {_identity(value): given[key] for key, value in expected.items() if key in given}
    for key, value in expected.items():
        if key not in given and (identity := _identity(value)) in by_tensor:
            given[key] = by_tensor[identity]


def _identity(value: Any) -> object:
    """Equal for tensors that are the same memory; of its own for whatever has no memory."""
    if not isinstance(value, Tensor) or is_lazy(value) or value.is_meta or value.numel() == 0:
        return object()
    return value.device, value.dtype, value.data_ptr(), value.shape, value.stride()


def _misfits(given: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """What does not fit, as the end of a message; empty if all does."""
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    both = [key for key, value in expected.items() if key in given and isinstance(value, Tensor) and not is_lazy(value)]
    reshaped = [
        f"{one_line(key)} is {_shape(given[key])} in the file and {_shape(expected[key])} in the model"
        for key in both
        if _shape(given[key]) != _shape(expected[key])
    ]
    parts = [
        (missing, f"of {len(expected)} keys missing"),
        (unexpected, "unexpected"),
        (reshaped, "of another shape"),
    ]
    return "; ".join(f"{len(keys)} {what} ({some(keys, _SHOWN, longest=200)})" for keys, what in parts if keys)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else describe(value)
