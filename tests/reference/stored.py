"""The slow twin of `ns.trace` for any model: keep every output of every module and its gradient, measure at the end."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normscope.tracing.records import channel_dimension

GRADIENT_COLUMNS = ["grad_norm", "grad_coherence", "grad_shared", "param_grad_norm"]


@dataclasses.dataclass
class StoredCall:
    """One layer call; ``output`` is as it was when the layer returned, whatever was done to it in place later."""

    layer: str
    kind: str
    call: int
    output: Tensor
    channel_dim: int
    gradient: Tensor | None = None  # of the loss by the output as it was then
    param_gradients: list[Tensor] = dataclasses.field(default_factory=list)


def stored_calls(
    model: nn.Module, inputs: Any, targets: Any, loss: Callable[[Any, Any], Tensor] | None, seed: int = 0
) -> tuple[list[StoredCall], float | None]:
    """The calls of all modules whose output is a new tensor, in order, and the loss. A copy of the model runs.

    Outputs have a gradient where they have one in training: not before the first parameter that is trained.
    """
    model = copy.deepcopy(model)
    model.zero_grad(set_to_none=True)
    store = _Store()
    names = {module: name or type(model).__name__ for name, module in model.named_modules() if not of_weights(name)}
    handles = [module.register_forward_hook(store.hook(name)) for module, name in names.items()]
    with seeded(seed), torch.set_grad_enabled(loss is not None):
        outputs = called(model, _copied(inputs))
        for handle in handles:  # a checkpointed forward runs again in the backward
            handle.remove()
        value = None
        if loss is not None:
            value = loss(outputs, targets)
            value.backward()
    modules = {name: module for module, name in names.items()}
    for call in {call.layer: call for call in store.calls}.values():  # the last call of each layer
        own = modules[call.layer].parameters(recurse=False)
        call.param_gradients = [p.grad for p in own if p.grad is not None]
    return store.calls, None if value is None else value.item()


def samples_first(x: Tensor, batch: int, batch_dim: int) -> Tensor | None:
    """(n, ...), or None for an output without a row a sample."""
    for dim in (batch_dim, 0):
        if x.dim() > dim and x.shape[dim] == batch:
            return x.movedim(dim, 0)
    return None


def measured(call: StoredCall, batch: int, batch_dim: int) -> dict[str, float]:
    """The numbers of one row of the table, but for the geometry of its Gram matrix."""
    output = call.output.double()
    row: dict[str, float] = {"finite": bool(output.isfinite().all())}
    if output.dim() >= 1 and output.numel() > 0:
        row["mean"] = float(output.mean())
        row["std"] = float(output.std(correction=0))
        row["dead_fraction"] = float(channels(call, batch, batch_dim)["dead"].mean())
    if call.gradient is not None:
        gradient = call.gradient.double()
        row["grad_norm"] = float(gradient.norm())
        by_sample = samples_first(gradient, batch, batch_dim)
        if by_sample is not None:
            row["grad_coherence"] = float(by_sample.sum(0).abs().sum() / by_sample.abs().sum())
            row["grad_shared"] = float(batch * by_sample.mean(0).square().sum() / by_sample.square().sum())
    if call.param_gradients:
        row["param_grad_norm"] = float(sum(g.double().square().sum() for g in call.param_gradients)) ** 0.5
    return row


def channels(call: StoredCall, batch: int, batch_dim: int) -> dict[str, Any]:
    """Mean, standard deviation and deadness of every channel, over the batch and all positions."""
    samples = samples_first(call.output.double(), batch, batch_dim)
    output = call.output.double() if samples is None else samples
    by_channel = output.movedim(call.channel_dim, 0).flatten(1) if output.dim() > 1 else output[:, None]
    return {
        "mean": by_channel.mean(1).numpy(),
        "std": by_channel.std(1, correction=0).numpy(),
        "dead": (by_channel == 0).all(1).numpy(),
    }


class _Store:
    """Hooks that keep each new output, and send a clone on: what follows may write into that."""

    def __init__(self) -> None:
        self.calls: list[StoredCall] = []
        self._counts: Counter[str] = Counter()
        self._sent: list[tuple[Tensor, int]] = []  # clones and their versions: these are not new
        self._channel_dims: dict[tuple[int, ...], int] = {}

    def hook(self, name: str) -> Callable[..., Any]:
        def keep(module: nn.Module, _inputs: Any, output: Any) -> Any:
            tensor = first_floating(output)
            known = any(tensor is sent and tensor._version == version for sent, version in self._sent)
            if tensor is None or (known and not all(of_weights(child) for child, _ in module.named_children())):
                return None
            shape, kind = tuple(tensor.shape), type(module).__name__
            channel_dim = channel_dimension(kind, shape, self._channel_dims.get(shape), _width(module))
            if not known:
                self._channel_dims[shape] = channel_dim
            call = StoredCall(name, kind, self._counts[name], tensor.detach().clone(), channel_dim)
            if tensor.requires_grad:
                # not retain_grad: that follows a tensor through writes in place, to the gradient of what was written
                tensor.register_hook(lambda gradient: setattr(call, "gradient", gradient.clone()))
            self.calls.append(call)
            self._counts[name] += 1
            if known:
                return None
            clone = tensor.clone()
            self._sent.append((clone, clone._version))
            return _with_first_floating(output, clone)

        return keep


def _width(module: nn.Module) -> int | None:
    weight = getattr(module, "weight", None)
    return len(weight) if isinstance(weight, Tensor) and weight.dim() == 1 else None


def of_weights(name: str) -> bool:
    """Whether a module computes a weight of its parent (weight norm): no activations there."""
    return "parametrizations" in name.split(".")


def first_floating(value: Any) -> Tensor | None:
    """The first floating-point tensor with dimensions in nested tuples, mappings and dataclasses."""
    tensors = (leaf for leaf in _leaves(value) if isinstance(leaf, Tensor))
    return next((tensor for tensor in tensors if tensor.is_floating_point() and tensor.dim()), None)


def _leaves(value: Any) -> Iterator[Any]:
    for _, item in _items(value):
        yield from _leaves(item)
    if not _items(value):
        yield value


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []


def _with_first_floating(value: Any, new: Tensor) -> Any:
    """``value`` with its first floating-point tensor replaced; mutable containers are changed as they are."""
    if isinstance(value, Tensor):
        return new
    key, item = next((key, item) for key, item in _items(value) if first_floating(item) is not None)
    changed = _with_first_floating(item, new)
    if isinstance(value, tuple):
        parts = [changed if i == key else part for i, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list | Mapping):
        value[key] = changed
    else:
        setattr(value, key, changed)
    return value


def called(model: nn.Module, inputs: Any) -> Any:
    """What ``model`` makes of a tensor, or of a sequence of positional or a mapping of keyword arguments."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generators start from ``seed``; all others continue; afterwards all are where they were."""
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - models draw from the global generator
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(numpy)  # noqa: NPY002 - restored, not used
        random.setstate(python)
