"""All that the first promise names, as values that can be compared: equal fingerprints mean bit-equal state."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_globals
from torch.nn.parameter import is_lazy

_WATCHED_APART = {"_parameters", "_buffers", "_modules"}
_HOOKS_OF_ALL_MODULES = sorted(name for name in vars(module_globals) if name.startswith("_global_"))


def fingerprint(model: nn.Module) -> dict[str, object]:
    """Parameters, buffers, ``.grad``, flags, hooks, attributes, classes, random generators and switches of torch."""
    state = surroundings()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        state[name] = tensor_state(parameter)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        state[f"buffer {name}"] = tensor_state(buffer)
    for name, module in model.named_modules(remove_duplicate=False):
        plain = {key: plain_value(value) for key, value in module.__dict__.items() if key not in _WATCHED_APART}
        parts = {key: [(n, id(part)) for n, part in module.__dict__[key].items()] for key in _WATCHED_APART}
        kind = type(module)
        state[f"module {name}"] = (kind, kind.forward, kind.__call__, plain, parts, list(module.__dict__))
    return state


def surroundings() -> dict[str, object]:
    """What a model shares with the whole process."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch rng": bits(torch.get_rng_state()),
        "cuda rng": [bits(state) for state in cuda],
        "numpy rng": str(np.random.get_state(legacy=False)),  # noqa: NPY002 - the global generator is what is tested
        "python rng": random.getstate(),
        "hooks of all modules": {name: plain_value(vars(module_globals)[name]) for name in _HOOKS_OF_ALL_MODULES},
        "switches": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_num_threads(),
        ),
    }


def tensor_state(tensor: Tensor) -> tuple[object, ...]:
    """The same object, in the same memory, with the same bits, and so is its gradient."""
    if is_lazy(tensor):
        return id(tensor), type(tensor)
    gradient = None if not tensor.is_leaf or tensor.grad is None else tensor_state(tensor.grad)
    hooks = plain_value(tensor._backward_hooks)
    layout = (tensor.dtype, tensor.device, tuple(tensor.shape), tensor.stride(), tensor.data_ptr())
    return id(tensor), type(tensor), *layout, tensor.requires_grad, tensor.is_leaf, hooks, bits(tensor), gradient


def bits(tensor: Tensor) -> bytes:
    """Equal for equal bits alone: NaN equals itself, and −0 is not 0."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def plain_value(value: object) -> object:
    """An attribute as something that compares by what it holds; a module or other object, as itself."""
    if isinstance(value, Tensor):
        return tensor_state(value)
    if isinstance(value, Mapping):
        return type(value), [(plain_value(key), plain_value(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [plain_value(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(item) for item in value)  # equal sets may print in another order
    if isinstance(value, nn.Module):
        return type(value), id(value)
    return type(value), repr(value)


def output_bits(outputs: object) -> list[object]:
    """Shapes and bits of all tensors in what a model put out, in order."""
    if isinstance(outputs, Tensor):
        return [(tuple(outputs.shape), outputs.dtype, bits(outputs))]
    items = outputs.values() if isinstance(outputs, Mapping) else outputs if isinstance(outputs, list | tuple) else ()
    return [found for item in items for found in output_bits(item)]
