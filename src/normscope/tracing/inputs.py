"""What goes into the model: a batch of any shape of container, copied so that the user's own stays as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_map

from normscope.tracing.targets import cross_entropy, mean_squared_error

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, mappings (a ModelOutput is one) and dataclasses, or the tensor, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))


def batch_size(inputs: Inputs, batch_dim: int) -> int:
    """Number of samples: the size along ``batch_dim`` of the first input tensor that has dimensions.

    Of a packed sequence as the input, the number of its sequences.

    Raises:
        TypeError: there is no tensor.
        ValueError: the tensor has no such dimension, or fewer than two samples.
    """
    if isinstance(inputs, PackedSequence):
        return batch_size(inputs.batch_sizes.new_empty(int(inputs.batch_sizes[0])), 0)
    tensors = list(tensors_in(inputs))
    if not tensors:
        raise TypeError("inputs must hold a tensor with the samples first, a tuple of them or a mapping of them")
    first = next((tensor for tensor in tensors if tensor.dim()), tensors[0])
    if not -first.dim() <= batch_dim < first.dim():
        raise ValueError(f"inputs have shape {tuple(first.shape)}: there is no dimension {batch_dim} to be the batch")
    if first.shape[batch_dim] < 2:
        raise ValueError(f"a batch of at least 2 samples is needed, inputs have shape {tuple(first.shape)}")
    return first.shape[batch_dim]


def own_copy(inputs: Inputs, with_gradient: bool) -> Any:
    """A copy of every input tensor: the model may write into it, and gradients must start somewhere."""

    def copied(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if with_gradient and value.is_floating_point():
            # not a leaf, so that an in-place operation may follow
            return value.detach().clone().requires_grad_().clone()
        return value.detach().clone()

    # a mapping that pytrees do not know (UserDict, BatchEncoding) becomes keywords all the same
    return tree_map(copied, dict(inputs) if isinstance(inputs, Mapping) else inputs)


def call(model: nn.Module, arguments: Any) -> Any:
    """``model(x)``, ``model(*x)`` for a sequence (a packed one is one argument), ``model(**x)`` for a mapping."""
    if isinstance(arguments, Tensor | PackedSequence):
        return model(arguments)
    if isinstance(arguments, Mapping):
        return model(**arguments)
    return model(*arguments)


def criterion(targets: Any, loss: Callable[[Any, Any], Tensor] | None) -> Callable[[Any, Any], Tensor] | None:
    """The loss: the one given; with targets alone, cross-entropy for integers and mean squared error for floats.

    Raises:
        TypeError: targets without a loss that are no tensor.
    """
    if loss is not None or targets is None:
        return loss
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets are a {type(targets).__name__}: name the loss, loss(outputs, targets)")
    return mean_squared_error if targets.is_floating_point() else cross_entropy


def scalar(value: Any) -> Tensor:
    """The loss as a 0-d tensor.

    Raises:
        ValueError: it is not one number.
    """
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ValueError(f"loss(outputs, targets) must return one number, it returned {what}")
    return value.reshape(())
