"""What cross-entropy and the mean squared error take as targets, told before torch sees them.

Torch's own messages do not say what was possible, and where shapes broadcast it only warns.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from normscope.tracing.labels import ONE_OUTPUT, are_labels, check_labels


def cross_entropy(outputs: Tensor, targets: Any) -> Tensor:
    """Mean cross-entropy of outputs (n, classes, ...), against class numbers (n, ...) or probabilities of their shape.

    Raises:
        TypeError: the outputs are no tensor.
        ValueError: outputs or targets of another kind or shape, or labels out of range.
    """
    _require_tensors(outputs, targets, "cross-entropy")
    _check_outputs(outputs)
    numbers = (outputs.shape[0], *outputs.shape[2:])
    if are_labels(targets):
        if targets.shape != numbers:
            raise ValueError(_wrong_numbers(outputs, targets, numbers))
        check_labels(outputs, targets)
        return nn.functional.cross_entropy(outputs, targets.long())
    if not targets.is_floating_point() or targets.shape != outputs.shape:
        raise ValueError(
            f"targets are {_told(targets)}: cross-entropy takes class numbers, integers of shape {numbers}, or "
            f"probabilities, floats of the outputs' shape {tuple(outputs.shape)}"
        )
    return nn.functional.cross_entropy(outputs, targets)


def mean_squared_error(outputs: Tensor, targets: Any) -> Tensor:
    """Mean of (outputs − targets)² over all entries, which are as many on both sides: nothing is broadcast.

    Raises:
        TypeError: the outputs are no tensor.
        ValueError: the targets are no tensor, or of another shape; or one of both is complex.
    """
    _require_tensors(outputs, targets, "the mean squared error")
    if targets.shape == outputs.shape:
        return nn.functional.mse_loss(outputs, targets if targets.is_floating_point() else targets.to(outputs.dtype))
    shape = tuple(outputs.shape)
    if are_labels(targets) and targets.dim() < outputs.dim():
        raise ValueError(
            f"targets are classes, {_told(targets)}: the mean squared error takes floats of the outputs' shape "
            f"{shape}; for classes there is cross_entropy"
        )
    raise ValueError(
        f"targets are {_told(targets)}, outputs {_told(outputs)}: the mean squared error takes floats of the "
        f"outputs' shape {shape}"
    )


def _check_outputs(outputs: Tensor) -> None:
    shape = tuple(outputs.shape)
    if outputs.dim() < 2:
        raise ValueError(f"cross-entropy takes outputs (n, classes, ...), the model gave {shape}")
    if shape[1] == 1:
        raise ValueError(f"the model gave {shape}, one class, whose cross-entropy is always 0: {ONE_OUTPUT}")


def _require_tensors(outputs: Any, targets: Any, loss: str) -> None:
    if not isinstance(outputs, Tensor):
        raise TypeError(f"the model returns a {type(outputs).__name__}, no tensor: name the loss(outputs, targets)")
    if not isinstance(targets, Tensor):
        raise ValueError(f"{loss} takes a tensor of targets, not a {type(targets).__name__}: name a loss of your own")
    if outputs.is_complex() or targets.is_complex():  # torch drops the imaginary part of targets, and only warns
        raise ValueError(
            f"targets are {_told(targets)}, outputs {_told(outputs)}: {loss} is of real numbers; name a loss of your "
            "own for complex ones"
        )


def _wrong_numbers(outputs: Tensor, targets: Tensor, numbers: tuple[int, ...]) -> str:
    if targets.shape == outputs.shape:
        return (
            f"targets are {_told(targets)}, as many as the outputs: one-hot targets are given as floats, or as class "
            f"numbers of shape {numbers}"
        )
    return (
        f"targets are {_told(targets)}: for outputs {tuple(outputs.shape)}, whose classes are dimension 1, "
        f"cross-entropy takes class numbers of shape {numbers}"
    )


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
