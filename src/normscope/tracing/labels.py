"""Integer targets as torch's losses of labels take them: which of them are no class, and which are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_OF_LABELS = (nn.CrossEntropyLoss, nn.NLLLoss)
_FUNCTIONS_OF_LABELS = (nn.functional.cross_entropy, nn.functional.nll_loss)
IGNORED = -100
"""The label that torch's losses leave out by default."""
ONE_OUTPUT = "of two classes that one output tells apart the loss is torch.nn.BCEWithLogitsLoss"


def ignored_label(targets: Any, loss: Callable[[Any, Any], Tensor] | None) -> int | None:
    """The label that ``loss`` leaves out, if it is known to be one of labels 0 … K − 1; None if it is another.

    Args:
        targets: its second argument.
        loss: None for the default: cross-entropy of integers.
    """
    if not are_labels(targets):
        return None
    if isinstance(loss, _OF_LABELS):
        return int(loss.ignore_index)
    return IGNORED if loss is None or loss in _FUNCTIONS_OF_LABELS else None


def are_labels(targets: Any) -> bool:
    """Whether targets are integers (bools are none)."""
    if not isinstance(targets, Tensor) or targets.dtype == torch.bool:
        return False
    return not targets.is_floating_point() and not targets.is_complex()


def check_labels(outputs: Any, labels: Tensor, ignored: int = IGNORED) -> None:
    """Raise unless each label is a class of the outputs (n, classes, ...), or the one that is left out.

    Torch's own message does not say what was possible, and on a GPU the process is lost with it.

    Raises:
        ValueError: the first that is none.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() < 2:
        return
    kept = labels[labels != ignored]
    low, high = (int(kept.min()), int(kept.max())) if kept.numel() else (0, 0)
    classes = outputs.shape[1]
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        there = f"{classes} outputs, for labels 0 to {classes - 1}" if classes > 1 else f"one output; {ONE_OUTPUT}"
        raise ValueError(f"label {wrong} is out of range: the model has {there}")
