"""The gradient by the outputs of a classifier, in a trace: does it predict one class, whatever the input?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normscope.measure import output_gradients
from normscope.tracing.labels import IGNORED, are_labels
from normscope.tracing.outputs import output_tensor

_ROUNDING = 1e-2  # of the sum of a row of the gradient, relative to that of the sizes: of bfloat16


class ClassGradients(NamedTuple):
    """Of the gradient by the outputs: ``metrics`` by name, empty where there are none; ``note`` on why, else None."""

    metrics: Mapping[str, float]
    note: str | None = None


def logits_in(outputs: Any) -> Tensor | None:
    """The tensor that a loss is about (`output_tensor`); None if there is none, or no gradient reaches it."""
    try:
        found = output_tensor(outputs)
    except ValueError:
        return None
    return found if found.requires_grad else None


def class_gradients(
    outputs: Tensor | None, gradient: Tensor | None, labels: Any, ignored: int | None
) -> ClassGradients:
    """`normscope.measure.OutputGradients` as plain numbers, ``images`` and ``classes``, of which they are, and what the
    outputs themselves predict: a trained network whose few errors go to one class has a gradient like that of one that
    predicts nothing else.

    None where nothing is classified, or the loss is not of a kind that compares the outputs with one another (as
    softmax does: then the gradient of each sample sums to zero); where the gradient is not finite; with a note, where
    the batch has fewer samples than there are classes, or fewer than three of those.

    Args:
        outputs: of the model, (n, K).
        gradient: ∂L/∂outputs, (n, K) of a classifier.
        labels: the true classes, (n,), integers.
        ignored: the label that the loss leaves out, if known.
    """
    if outputs is None or gradient is None or gradient.dim() != 2:
        return ClassGradients({})
    if not are_labels(labels) or labels.shape != gradient.shape[:1]:
        return ClassGradients({})
    labels = labels.to(gradient.device)
    kept = labels != (IGNORED if ignored is None else ignored)
    g = gradient.detach().to(torch.float64)[kept]
    off = g.sum(1).abs() > _ROUNDING * g.abs().sum(1)
    if not g.isfinite().all() or not g.any() or off.any():
        return ClassGradients({})
    try:
        found = output_gradients(g, labels[kept])
    except ValueError as error:
        return ClassGradients({}, f"output gradients were not measured: {error}")
    numbers = {name: value.item() for name, value in found._asdict().items()}
    predicted = _prediction(outputs.detach()[kept], labels[kept])
    return ClassGradients({"images": len(g), "classes": g.shape[1], **numbers, **predicted})


def _prediction(outputs: Tensor, labels: Tensor) -> dict[str, float]:
    """The class that is most often the largest output, how often, and how often it is the true one."""
    counts = torch.bincount(outputs.argmax(1), minlength=outputs.shape[1])
    most = int(counts.argmax())
    shares = {"predicted_share": counts[most] / len(labels), "label_share": (labels == most).double().mean()}
    return {"predicted_class": most, **{name: float(share) for name, share in shares.items()}}
