"""One operation of a program: an operator, its arguments, and where what it puts out goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_iter

from normscope.spline.reading.naming import Place
from normscope.spline.reading.recording import Ref
from normscope.spline.reading.sizes import Size

Values = dict[int, Tensor]
_Argument = Callable[[Values, int], Any]


@dataclass(frozen=True)
class Step:
    """``outputs = function(*args, **kwargs)``, with a `Ref` for every value and a `Size` for what follows the samples.

    Attributes:
        name: the operator without namespace and overload: "addmm".
        function: the operator.
        args: its positional arguments.
        kwargs: its keyword arguments.
        outputs: the numbers of the values that it puts out.
        layer: the name of the module that calls it.
        place: where it is in a pass; None for what reading puts in.
    """

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[int, ...]
    layer: str
    place: Place | None = None

    def refs(self) -> Iterator[int]:
        """The numbers of the values that it reads."""
        return refs_in((self.args, self.kwargs))

    def follows_samples(self) -> bool:
        """Whether a number among its arguments follows the number of samples."""
        return any(isinstance(leaf, Size) for leaf in tree_iter((self.args, self.kwargs)))

    def run(self, values: Values, samples: int) -> None:
        """Read ``values``, and put the outputs there."""
        template, dynamic = self._prepared
        args = template.copy()
        for position, argument in dynamic:
            args[position] = argument(values, samples)
        kwargs = self.kwargs
        if self._prepared_kwargs:
            kwargs = {**kwargs, **{key: argument(values, samples) for key, argument in self._prepared_kwargs}}
        found = self.function(*args, **kwargs)
        if isinstance(found, Tensor):
            values[self.outputs[0]] = found
        else:
            values.update(zip(self.outputs, found, strict=True))

    @cached_property
    def _prepared(self) -> tuple[list[Any], list[tuple[int, _Argument]]]:
        arguments = [(position, _dynamic(argument)) for position, argument in enumerate(self.args)]
        return list(self.args), [(position, argument) for position, argument in arguments if argument is not None]

    @cached_property
    def _prepared_kwargs(self) -> list[tuple[str, _Argument]]:
        arguments = [(key, _dynamic(argument)) for key, argument in self.kwargs.items()]
        return [(key, argument) for key, argument in arguments if argument is not None]


def refs_in(value: Any) -> Iterator[int]:
    """The numbers of the values that an argument names."""
    return (leaf.index for leaf in tree_iter(value) if isinstance(leaf, Ref))


def _dynamic(argument: Any) -> _Argument | None:
    """How to get an argument that is not the same in every run; None for one that is."""
    if isinstance(argument, Ref):
        index = argument.index
        return lambda values, samples: values[index]
    if isinstance(argument, Size):
        return lambda values, samples: argument.at(samples)
    if isinstance(argument, tuple | list):
        parts = [_dynamic(part) for part in argument]
        if any(part is not None for part in parts):
            pairs = list(zip(argument, parts, strict=True))
            return lambda values, samples: [old if part is None else part(values, samples) for old, part in pairs]
    return None
