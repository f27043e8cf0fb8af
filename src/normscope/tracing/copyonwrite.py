"""A snapshot of tensors that costs nothing until one of them is about to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class CopyOnWrite(TorchDispatchMode):
    """Inside, each of ``storages`` is copied just before the first operation that writes into it.

    torch declares of every operation which arguments it writes into. Tensors that share a storage (a weight and its
    ``.data``, tied weights, views) are one.

    Args:
        storages: of dense tensors.
    """

    def __init__(self, storages: Iterable[torch.UntypedStorage]) -> None:
        super().__init__()
        self._unchanged = {storage._cdata: storage for storage in storages}
        self._copies: list[tuple[torch.UntypedStorage, torch.UntypedStorage]] = []
        self._written: dict[Any, tuple[Sequence[int], Sequence[str]]] = {}  # operation -> arguments it writes into

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: nothing is compiled inside, and the guard against it costs ten microseconds an operation."""
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Copy what ``func`` is about to write into, then run it."""
        kwargs = kwargs or {}
        written = self._written.get(func)
        if written is None:
            written = self._written[func] = _written_arguments(func)
        positions, names = written
        if positions and self._unchanged:
            for position in positions:
                if position < len(args):
                    self._about_to_change(args[position])
            for name in names:
                self._about_to_change(kwargs.get(name))
        return func(*args, **kwargs)

    def restore(self) -> None:
        """Put the values back of what has changed."""
        for storage, copy in self._copies:
            storage.copy_(copy)

    def _about_to_change(self, argument: Any) -> None:
        for tensor in argument if isinstance(argument, list | tuple) else (argument,):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                storage = self._unchanged.pop(tensor.untyped_storage()._cdata, None)
                if storage is not None:
                    self._copies.append((storage, storage.clone()))


def _written_arguments(func: Any) -> tuple[list[int], list[str]]:
    """Positions and names of the arguments that an operation writes into, as its schema declares them."""
    arguments = func._schema.arguments
    written = [i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write]
    return written, [arguments[i].name for i in written]
