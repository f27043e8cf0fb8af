"""Every operation that a model applies to a batch, in order, as calls of torch's core operators (ATen)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from normscope.spline.reading.affine import NOT_AFFINE, spoken
from normscope.spline.reading.naming import Names, Place
from normscope.spline.reading.refusal import NotPiecewiseAffineError


@dataclass(frozen=True)
class Ref:
    """A value of the computation by its number; 0 is the input."""

    index: int


@dataclass(frozen=True)
class Call:
    """One operation: its arguments with a `Ref` for every tensor, the numbers of what it put out, who called, where."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int, ...]
    layer: str
    place: Place


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
        names: what runs, followed through the model.
        label: a layer as messages tell it.
        pure: in-place operations on what is recorded were replaced before they come here.
    """

    def __init__(self, batch: Tensor, names: Names, label: Callable[[str], str], pure: bool) -> None:
        super().__init__()
        self.recording = Recording(batch.shape[0])
        self.refusal: NotPiecewiseAffineError | None = None  # also where the model's own code catches it
        self._names, self._label, self._pure = names, label, pure
        self._numbers: Any = WeakTensorKeyDictionary()
        self._own: set[int] = set()  # numbers of the model's parameters, buffers and other tensors that it holds
        self._chance: set[int] = set()  # numbers of what was drawn, or computed from that
        self.integers: NotPiecewiseAffineError | None = None  # why it may fail: whole numbers made of the input
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
        chance = torch.Tag.nondeterministic_seeded in func.tags or bool(refs & self._chance)
        if computed and _name(func) == "embedding":
            self._refuse("looks its input up in a table (embedding): it has no input space to divide")
        outputs = func(*args, **kwargs)
        found = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        if not all(isinstance(value, Tensor) for value in found):
            if computed:
                self._refuse(_reason(func, any(isinstance(value, Tensor) for value in found)))
            if chance:
                self._refuse("draws random numbers in eval mode too, and reads one (control flow)")
            return outputs
        if computed and any(value.is_complex() for value in found):
            self._refuse(f"computes with complex numbers ({_name(func)}): say it with their real and imaginary parts")
        if not refs and found[0].dtype == torch.float64 and _takes_dtype(func):
            named_kwargs["dtype"] = torch.float64  # else it would be the caller's default, another time
        numbers = tuple(self._put_out(value, computed) for value in found)
        if chance:
            self._chance.update(numbers)
        if computed and self.integers is None and not found[0].is_floating_point() and _name(func) == "to_copy":
            kind = str(found[0].dtype).removeprefix("torch.")
            self.integers = self._refusal(f"turns values that depend on the input into {kind}{NOT_AFFINE}")
        layer, place = self._names.path[-1], self._names.here(_name(func))
        self.recording.calls.append(Call(func, named_args, named_kwargs, numbers, layer, place))
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
                called = self._names.here(_name(func)).operation or _name(func)
                why = f", which writes in place ({_name(func)}) where that cannot be followed"
                self._refuse(f"applies {called}{NOT_AFFINE if called in _CURVED else why}")
            # a buffer of the model's own, a counter say: what was read is what it was then
            self.recording.constants[number] = tensor.clone()
            del self._numbers[tensor]

    def _refuse(self, what: str) -> None:
        self.refusal = self._refusal(what)
        raise self.refusal

    def _refusal(self, what: str) -> NotPiecewiseAffineError:
        return NotPiecewiseAffineError(f"{self._label(self._names.path[-1])} {what}")


# functions that write in place inside torch, and that no other way of writing makes piecewise affine
_CURVED = frozenset({"rms_norm", "lstm", "lstm_cell", "gru", "gru_cell", "rnn_tanh", "rnn_tanh_cell"})

_NARROW = (torch.float32, torch.float16, torch.bfloat16)


def _widened(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "dtype": torch.float64} if kwargs.get("dtype") in _NARROW else kwargs


def _name(func: Any) -> str:
    return spoken(func._schema.name.partition("::")[2])


def _reason(func: Any, computes: bool) -> str:
    if computes:
        return f"applies {_name(func)}{NOT_AFFINE}"
    return "reads a number that depends on the input, so that what it does next may depend on it (control flow)"


def _takes_dtype(func: Any) -> bool:
    return any(argument.name == "dtype" for argument in func._schema.arguments)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensor arguments that an operation writes into."""
    found = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += [leaf for leaf in tree_iter(value) if isinstance(leaf, Tensor)]
    return found
