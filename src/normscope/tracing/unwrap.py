"""Wrappers around a model: what is inside them is watched, eagerly, and the trace says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_COMPILED = "_orig_mod"  # where torch.compile keeps the module it wraps


def unwrapped(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module inside torch.compile, DataParallel and DistributedDataParallel, and notes on what was removed.

    The parameters are those of the wrapped model: what is inside is the same object.
    """
    notes: list[str] = []
    while True:
        if isinstance(getattr(model, _COMPILED, None), nn.Module):
            notes.append("torch.compile wrapper removed: watched eagerly")
            model = getattr(model, _COMPILED)
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            notes.append(f"{type(model).__name__} wrapper removed: one process, one device, this batch alone")
            model = model.module
        else:
            break
    inside = [name for name, module in model.named_modules() if name and _is_compiled(module)]
    if inside or model._compiled_call_impl is not None:
        notes.append("compiled modules are watched eagerly" + (f": {', '.join(inside[:3])}" if inside else ""))
    if any("FSDP" in type(module).__name__ or "FullySharded" in type(module).__name__ for module in model.modules()):
        notes.append(
            "sharded by FSDP: watched as it is; norms of parameter gradients are those of this process's shard"
        )
    return model, tuple(notes)


@contextmanager
def eagerly() -> Iterator[None]:
    """Compiled code does not run inside: hooks see every module."""
    with torch.compiler.set_stance("force_eager"):
        yield


def plain_name(name: str) -> str:
    """The name of a module without the parts that torch.compile put into it."""
    return ".".join(part for part in name.split(".") if part != _COMPILED)


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, _COMPILED) or module._compiled_call_impl is not None
