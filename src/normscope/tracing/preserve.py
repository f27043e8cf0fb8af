"""The first promise: what is measured is bit-identical afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@contextmanager
def preserved(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Run a block of code on ``model`` and put everything back afterwards, however the block ends.

    Restored bit for bit: parameters, buffers, other tensors held as attributes, ``.grad``, ``requires_grad``, train
    flags, hooks, submodules and plain attributes of every module (containers one level deep), and the global random
    generators of torch (CPU and every CUDA device that the model lives on), numpy and Python. Inside the block torch's
    generators start from ``seed``, so that dropout draws the same masks each time.

    Restoring happens on return, on an exception and on Ctrl-C alike. It costs a copy of the parameters and buffers.
    Objects that the model only refers to (a logger, a cache in another module) are outside its reach.

    Args:
        model: any module; a lazy one stays lazy.
        seed: start of torch's generators inside the block.
    """
    with ExitStack() as stack:
        stack.callback(_restore_random_state, *_random_state(model))
        for module in model.modules():
            stack.callback(_restore_attributes, module, _attributes(module))
        for tensor in _tensors(model):
            if is_lazy(tensor):
                stack.callback(_restore_lazy, tensor, type(tensor), tensor.data)
            else:
                stack.callback(_restore_tensor, tensor, _tensor_state(tensor))
        torch.manual_seed(seed)
        yield


def _random_state(model: nn.Module) -> tuple[Any, ...]:
    devices = {t.device for t in _tensors(model) if t.device.type == "cuda"}
    cuda = {device: torch.cuda.get_rng_state(device) for device in devices}
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()  # noqa: NPY002 - saved, not used


def _restore_random_state(cpu: Tensor, cuda: dict[torch.device, Tensor], numpy: Any, python: Any) -> None:
    torch.set_rng_state(cpu)
    for device, state in cuda.items():
        torch.cuda.set_rng_state(state, device)
    np.random.set_state(numpy)  # noqa: NPY002 - restored, not used
    random.setstate(python)


def _attributes(module: nn.Module) -> tuple[type, dict[str, Any], dict[str, Any]]:
    """The class, the attributes by reference, and the contents of those that are plain containers."""
    attributes = dict(module.__dict__)
    contents = {name: _copy(value) for name, value in attributes.items() if isinstance(value, dict | list | set)}
    return type(module), attributes, contents


def _copy(container: Any) -> Any:
    # not container.copy(): a subclass may copy more, or less, than its items
    return dict(container) if isinstance(container, dict) else list(container)


def _restore_attributes(module: nn.Module, state: tuple[type, dict[str, Any], dict[str, Any]]) -> None:
    kind, attributes, contents = state
    module.__class__ = kind
    module.__dict__.clear()
    module.__dict__.update(attributes)
    for name, items in contents.items():
        container = attributes[name]
        # the same object keeps its identity: others may hold it
        if isinstance(container, list):
            container[:] = items
        else:
            container.clear()
            container.update(items)


def _tensors(model: nn.Module) -> list[Tensor]:
    """Every tensor the model holds: parameters, buffers, and attributes that are tensors or containers of them."""
    found: dict[int, Tensor] = {}
    for module in model.modules():
        for value in module.__dict__.values():
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
            found.update({id(item): item for item in items if isinstance(item, Tensor)})
    return list(found.values())


def _tensor_state(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, bool]:
    # .data is an alias with a version counter of its own: writing through it later disturbs no graph of the user's
    gradient = tensor.grad if tensor.is_leaf else None
    copied = None if gradient is None else gradient.detach().clone()
    return tensor.data, tensor.detach().clone(), gradient, copied, tensor.requires_grad


def _restore_tensor(tensor: Tensor, state: tuple[Tensor, Tensor, Tensor | None, Tensor | None, bool]) -> None:
    alias, values, gradient, gradient_values, requires_grad = state
    tensor.data = alias  # undoes `parameter.data = ...`
    if not _same_bits(alias, values):
        alias.copy_(values)
    if not tensor.is_leaf:
        return
    tensor.requires_grad_(requires_grad)
    tensor.grad = gradient
    if gradient is not None and gradient_values is not None and not _same_bits(gradient, gradient_values):
        gradient.data.copy_(gradient_values)


def _restore_lazy(tensor: Tensor, kind: type, data: Tensor) -> None:
    """A parameter that got its shape inside the block has none again."""
    tensor.data = data
    tensor.__class__ = kind


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # NaN != NaN, so a tensor with NaN is written again: no harm
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
