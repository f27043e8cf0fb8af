"""What the parts of a forward pass are called: as in the table of a `normscope.Trace` that sees operations too."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.weak import WeakTensorKeyDictionary

_COMPILED = "_orig_mod"  # where torch.compile keeps the module it wraps


@dataclasses.dataclass
class Place:
    """Where in a pass something is computed, as ``layer`` and ``call`` of a trace's row.

    Attributes:
        layer: the module; of an operation between modules ``module.operation``, the next there ``module.operation:1``.
        call: of the module, from 0 on.
        counted: False where a trace has no row.
        operation: the function of torch that the model calls there; empty where torch calls by itself.
    """

    layer: str
    call: int = 0
    counted: bool = False
    operation: str = ""

    @property
    def word(self) -> str:
        """Both in one word: ``act``, and ``act:1`` for its second call."""
        return f"{self.layer}:{self.call}" if self.call else self.layer


def words_of(places: Sequence[Place]) -> list[str]:
    """One word a place, no two alike: those that a trace has are kept."""
    found: dict[int, str] = {}
    for counted in (True, False):
        for number, place in enumerate(places):
            if place.counted is counted:
                found[number] = _free(place.word, set(found.values()))
    return [found[number] for number in range(len(places))]


def _free(word: str, taken: set[str]) -> str:
    tries = (f"{word}:{number}" if number else word for number in range(len(taken) + 1))
    return next(word for word in tries if word not in taken)


class Names(TorchFunctionMode):
    """Follows passes through a model, one at a time: which module runs, and where what it computes happens.

    A module without submodules is the place of what it puts out; any other operation has a place of its own.

    Args:
        model: the model.

    Attributes:
        path: names of the modules that are running, outermost first.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.path: list[str] = [""]
        self._model = model
        self._plain: list[str] = [""]  # the same, as a trace names them
        self._calls: Counter[str] = Counter()
        self._known: Any = WeakTensorKeyDictionary()  # tensor -> (its state then, its place)
        self._running: Place | None = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """While this is open."""
        with ExitStack() as stack:
            for name, module in self._model.named_modules():
                leaf = all(child == "parametrizations" for child, _ in module.named_children())
                plain = ".".join(part for part in name.split(".") if part != _COMPILED)
                plain = plain or (type(module).__name__ if leaf else "")
                enter, leave = self._entering(name, plain), self._leaving(plain, leaf)
                stack.callback(module.register_forward_pre_hook(enter, prepend=True).remove)
                stack.callback(module.register_forward_hook(leave, always_call=True).remove)
            stack.enter_context(self)
            yield

    def here(self, operation: str) -> Place:
        """The place of what is computed now; ``operation`` is a name for one that torch calls by itself."""
        return self._running or Place(self._inside(operation))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Make a call."""
        kwargs = kwargs or {}
        name = (resolve_name(func) or getattr(func, "__name__", "")).split(".")[-1].strip("_")
        given = list(_tensors_in((args, kwargs)))
        states = list(map(_state, given))
        place, outer = Place(self._inside(name), operation=name), self._running
        self._running = place
        try:
            output = func(*args, **kwargs)
        finally:
            self._running = outer
        tensor = _primary(output)
        if tensor is not None and "parametrizations" not in self._plain[-1]:
            changed = any(t is tensor and not _same(_state(t), s) for t, s in zip(given, states, strict=True))
            if changed or self._place_of(tensor) is None:
                self._count(place, tensor)
        return output

    def _count(self, place: Place, tensor: Tensor) -> None:
        repetition = self._calls[place.layer]
        self._calls[place.layer] += 1
        place.layer, place.counted = f"{place.layer}:{repetition}" if repetition else place.layer, True
        self._known[tensor] = (_state(tensor), place)

    def _entering(self, name: str, plain: str) -> Callable[..., None]:
        def enter(_module: nn.Module, _inputs: Any) -> None:
            self.path.append(name)
            self._plain.append(plain)

        return enter

    def _leaving(self, plain: str, leaf: bool) -> Callable[..., None]:
        def leave(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.path.pop()
            self._plain.pop()
            tensor = _primary(output)
            place = None if tensor is None else self._place_of(tensor)
            if leaf and place is not None and place.layer.startswith(f"{plain}."):
                place.layer, place.call = plain, self._calls[plain]
            if leaf and tensor is not None:
                self._calls[plain] += 1

        return leave

    def _inside(self, operation: str) -> str:
        return f"{self._plain[-1]}.{operation}".lstrip(".")

    def _place_of(self, tensor: Tensor) -> Place | None:
        state, place = self._known.get(tensor, (None, None))
        return place if state is not None and _same(_state(tensor), state) else None


def _primary(output: Any) -> Tensor | None:
    """The tensor of an output that a trace measures."""
    return next((tensor for tensor in _tensors_in(output) if tensor.is_floating_point() and tensor.dim()), None)


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors_in(getattr(value, field.name))


def _state(tensor: Tensor) -> tuple[int, Tensor | None]:
    """What is another when a tensor was written into: its version, or the value it stands for (`functionalize`)."""
    with torch._C.DisableTorchFunction():
        inner = torch._from_functional_tensor(tensor) if torch._is_functional_tensor(tensor) else None
        return 0 if tensor.is_inference() else tensor._version, inner


def _same(one: tuple[int, Tensor | None], two: tuple[int, Tensor | None]) -> bool:
    return one[0] == two[0] and one[1] is two[1]
