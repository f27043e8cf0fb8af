"""The first promise: what is measured is bit-identical afterwards."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normscope.loading import kept_randomness
from normscope.tracing.copyonwrite import CopyOnWrite

COPIED_AT_ONCE = 2**18  # bytes; what is larger is copied when it is about to change
_CONTAINERS = (dict, list, set, deque)
_PLAIN_DICTS = {dict, OrderedDict}
_ATOMS = {bool, int, float, str, type(None)}  # most of what a module holds: passed over without asking further


@contextmanager
def preserved(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Run a block of code on ``model`` and put everything back afterwards, however the block ends.

    Restored bit for bit: parameters, buffers, ``.grad``, ``requires_grad``, train flags, hooks, submodules and
    attributes of every module, with the tensors, arrays, generators and containers that attributes hold, however
    nested; torch's default dtype; and the global random generators of torch (CPU and every CUDA device in use), numpy
    and Python. Inside the block torch's generators start from ``seed``, so that dropout draws the same masks each time.

    Restoring happens on return, on an exception and on Ctrl-C alike. Small tensors are copied beforehand, large ones
    when an operation is about to write into them (`CopyOnWrite`), which next to none ever does. Out of reach: objects
    of other classes that the model only refers to (a logger, a cache), and large parameters that are written into
    behind torch's back (through numpy).

    Args:
        model: any module; a lazy one stays lazy.
        seed: start of torch's generators inside the block.
    """
    held = _Held(model)
    dense = [tensor for tensor in held.tensors if not is_lazy(tensor)]
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        # a weight that changed and changed back would stay cast as it was in between
        stack.callback(torch.clear_autocast_cache)
        stack.enter_context(kept_randomness())
        stack.callback(_restore_modules, [(m, type(m), dict(m.__dict__)) for m in model.modules()])
        stack.callback(_restore_containers, [(c, _items(c) if c else None) for c in held.containers])
        stack.callback(_restore_arrays, [(a, a.copy()) for a in held.arrays])
        stack.callback(_restore_generators, [(g, g.get_state()) for g in held.generators])
        stack.callback(_restore_lazies, [(t, type(t), t.data) for t in held.tensors if is_lazy(t)])
        stack.callback(_restore_tensors, [(t, t.data, t.requires_grad, _gradient(t)) for t in dense])
        valued = [part for t in dense for part in (t, _gradient(t)) if part is not None and part.device.type != "meta"]
        strided = [part for part in valued if part.layout == torch.strided]
        storages = {s._cdata: s for s in (part.untyped_storage() for part in strided)}.values()
        # a storage is copied as bytes, once, whatever views of it there are
        # batch norm does not declare that it writes into its running statistics: only what is trained waits for a write
        gradients = {id(_gradient(t)) for t in dense}
        trained = {p.untyped_storage()._cdata for p in strided if isinstance(p, nn.Parameter) or id(p) in gradients}
        waiting = {s._cdata for s in storages if s.nbytes() > COPIED_AT_ONCE and s._cdata in trained}
        stack.callback(_restore_storages, [(s, s.clone()) for s in storages if s._cdata not in waiting])
        stack.callback(_restore_sparse, [(p.data, p.detach().clone()) for p in valued if p.layout != torch.strided])
        guard = CopyOnWrite(s for s in storages if s._cdata in waiting)
        stack.callback(guard.restore)
        stack.enter_context(guard)
        torch.manual_seed(seed)
        yield


class _Held:
    """What a model holds that can change: found by walking through the attributes of its modules and containers."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: list[Tensor] = []
        self.containers: list[Any] = []
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.generators: list[torch.Generator] = []
        self._met: set[int] = set()
        for module in model.modules():
            for value in module.__dict__.values():
                kind = type(value)
                if kind in _PLAIN_DICTS and not value:  # most of the rest: hooks that nobody registered
                    self.containers.append(value)
                elif kind not in _ATOMS:
                    self._walk(value)

    def _walk(self, value: Any) -> None:
        if isinstance(value, _CONTAINERS):
            if id(value) not in self._met:
                self._met.add(id(value))
                self.containers.append(value)
                for item in value.values() if isinstance(value, dict) else value:
                    if type(item) not in _ATOMS:
                        self._walk(item)
        elif isinstance(value, tuple):
            for item in value:
                if type(item) not in _ATOMS:
                    self._walk(item)
        elif isinstance(value, Tensor | np.ndarray | torch.Generator) and id(value) not in self._met:
            self._met.add(id(value))
            kind: list[Any] = self.tensors
            if not isinstance(value, Tensor):
                kind = self.arrays if isinstance(value, np.ndarray) else self.generators
            kind.append(value)


def _gradient(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf and not tensor.is_inference() else None


def _restore_modules(states: Iterable[tuple[nn.Module, type, dict[str, Any]]]) -> None:
    for module, kind, attributes in states:
        if type(module) is not kind:
            module.__class__ = kind
        module.__dict__.clear()
        module.__dict__.update(attributes)


def _items(container: Any) -> Any:
    # not container.copy(): a subclass may copy more, or less, than its items
    return dict(container) if isinstance(container, dict) else list(container)


def _restore_containers(states: Iterable[tuple[Any, Any]]) -> None:
    # the same objects keep their identity: others may hold them
    for container, items in states:
        if container:
            container.clear()
        if items:
            (container.extend if isinstance(container, list | deque) else container.update)(items)


def _restore_arrays(states: Iterable[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> None:
    for array, values in states:
        if array.tobytes() != values.tobytes():
            array[...] = values


def _restore_generators(states: Iterable[tuple[torch.Generator, Tensor]]) -> None:
    for generator, state in states:
        generator.set_state(state)


def _restore_tensors(states: Iterable[tuple[Tensor, Tensor, bool, Tensor | None]]) -> None:
    # the alias is .data, which has a version counter of its own: writing through it disturbs no graph of the user's
    for tensor, alias, requires_grad, gradient in states:
        known = alias.layout == torch.strided and alias.device.type != "meta"
        if not (known and tensor.is_set_to(alias)):
            tensor.data = alias  # undoes `parameter.data = ...`
        if tensor.is_leaf and tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad)
        if _gradient(tensor) is not gradient:
            tensor.grad = gradient


def _restore_storages(states: Iterable[tuple[torch.UntypedStorage, torch.UntypedStorage]]) -> None:
    for storage, copy in states:
        storage.copy_(copy)


def _restore_sparse(states: Iterable[tuple[Tensor, Tensor]]) -> None:
    for tensor, values in states:
        tensor.copy_(values)


def _restore_lazies(states: Iterable[tuple[Tensor, type, Tensor]]) -> None:
    """Parameters that got their shape inside the block have none again."""
    for tensor, kind, data in states:
        tensor.data = data
        tensor.__class__ = kind
