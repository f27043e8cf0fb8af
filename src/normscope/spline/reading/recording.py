"""Every operation that a model applies to a batch, in order, as calls of torch's core operators (ATen)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from normscope.spline.reading.affine import spoken
from normscope.spline.reading.refusal import NotPiecewiseAffineError


@dataclass(frozen=True)
class Ref:
    """A value of the computation by its number; 0 is the input."""

    index: int


@dataclass(frozen=True)
class Call:
    """One operation: its arguments with a `Ref` for every tensor, the numbers of what it put out, and who called."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int, ...]
    layer: str


@dataclass
class Recording:
    """One pass over a batch.

    Attributes:
        batch: the number of samples.
        calls: the operations in order.
        shapes: the shape of every value.
        constants: the values that were not computed from the input, by number.
        computed: numbers of the values that were.
        output: the number of the model's output.
    """

    batch: int
    calls: list[Call] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    constants: dict[int, Tensor] = field(default_factory=dict)
    computed: set[int] = field(default_factory=set)
    output: int = -1


class WritesInPlaceError(Exception):
    """A recorded value was written into: record again, with such operations replaced by pure ones."""


class Widening(TorchDispatchMode):
    """Casts to a narrower floating-point type do nothing while it is active.

    They would round, and the partition is that of the function of exact numbers.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch.compile does not run inside (`capture`): keep torch from importing it, which takes seconds
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Make a call."""
        return func(*args, **_widened(kwargs or {}))


class Recorder(Widening):
    """Records while it is active, and widens. The values of what depends on the input are not kept.

    Args:
        batch: the input.
        path: names of the modules that are running, outermost first, as they come and go.
        label: a layer as messages tell it.
        pure: in-place operations on what is recorded were replaced before they come here.
    """

    def __init__(self, batch: Tensor, path: list[str], label: Callable[[str], str], pure: bool) -> None:
        super().__init__()
        self.recording = Recording(batch.shape[0])
        self.refusal: NotPiecewiseAffineError | None = None  # also where the model's own code catches it
        self._path, self._label, self._pure = path, label, pure
        self._numbers: Any = WeakTensorKeyDictionary()
        self._own: set[int] = set()  # numbers of the model's parameters, buffers and other tensors that it holds
        self.recording.computed.add(self._number(batch))

    def number_of(self, tensor: Tensor) -> int:
        """The number of a recorded tensor; of another, a new one: it is a constant."""
        number: int | None = self._numbers.get(tensor)
        if number is None:
            number = self._number(tensor)
            self.recording.constants[number] = tensor
            self._own.add(number)
        return number

    def _number(self, tensor: Tensor) -> int:
        number = len(self.recording.shapes)
        self.recording.shapes.append(tuple(tensor.shape))
        self._numbers[tensor] = number
        return number

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record a call and make it."""
        kwargs = _widened(kwargs or {})
        if func._schema.is_mutable and _name(func) != "rrelu_with_noise":  # it writes when it trains
            self._before_writing(func, _written(func, args, kwargs))
        named_args, named_kwargs = tree_map(self._named, (args, dict(kwargs)))
        refs = {leaf.index for leaf in tree_iter((named_args, named_kwargs)) if isinstance(leaf, Ref)}
        computed = bool(refs & self.recording.computed)
        outputs = func(*args, **kwargs)
        found = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        if not all(isinstance(value, Tensor) for value in found):
            if computed:
                self._refuse(_reason(func, any(isinstance(value, Tensor) for value in found)))
            return outputs
        numbers = tuple(self._put_out(value, computed) for value in found)
        self.recording.calls.append(Call(func, named_args, named_kwargs, numbers, self._path[-1]))
        return outputs

    def _named(self, value: Any) -> Any:
        return Ref(self.number_of(value)) if isinstance(value, Tensor) else value

    def _put_out(self, tensor: Tensor, computed: bool) -> int:
        number = self._number(tensor)
        if computed:
            self.recording.computed.add(number)
        else:
            self.recording.constants[number] = tensor
        return number

    def _before_writing(self, func: Any, written: list[Tensor]) -> None:
        storages = {tensor.untyped_storage()._cdata for tensor in written}
        known = [(tensor, number) for tensor, number in self._numbers.items()]
        changing = [pair for pair in known if pair[0].untyped_storage()._cdata in storages]
        if changing and not self._pure:
            raise WritesInPlaceError
        for tensor, number in changing:
            if number == 0:
                continue  # the last thing that a pass does is to write into the input what it would have become
            if number not in self._own:
                self._refuse(f"writes in place ({_name(func)}) where that cannot be followed")
            # a buffer of the model's own, a counter say: what was read is what it was then
            self.recording.constants[number] = tensor.clone()
            del self._numbers[tensor]

    def _refuse(self, what: str) -> None:
        self.refusal = NotPiecewiseAffineError(f"{self._label(self._path[-1])} {what}")
        raise self.refusal


_NARROW = (torch.float32, torch.float16, torch.bfloat16)


def _widened(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "dtype": torch.float64} if kwargs.get("dtype") in _NARROW else kwargs


def _name(func: Any) -> str:
    return spoken(func._schema.name.partition("::")[2])


def _reason(func: Any, computes: bool) -> str:
    if computes:
        return f"applies {_name(func)}, which is not piecewise affine"
    return "reads a number that depends on the input, so that what it does next may depend on it (control flow)"


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensor arguments that an operation writes into."""
    found = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += [leaf for leaf in tree_iter(value) if isinstance(leaf, Tensor)]
    return found


@contextmanager
def calling_modules(model: nn.Module) -> Iterator[list[str]]:
    """The names of the modules that are running, outermost first, as a list that follows them."""
    path = [""]
    with ExitStack() as stack:
        for name, module in model.named_modules():

            def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                path.append(name)

            def leave(_module: nn.Module, _inputs: Any, _outputs: Any) -> None:
                path.pop()

            stack.callback(module.register_forward_pre_hook(enter, prepend=True).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield path
