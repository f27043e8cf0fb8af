"""Which tensor of what a model returns its loss is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from normscope.loading import describe
from normscope.tracing.inputs import tensors_in


def output_tensor(outputs: Any) -> Tensor:
    """The outputs if they are a tensor, else what is called ``logits`` in them, else the only tensor in them.

    Raises:
        ValueError: they hold several tensors, and none of that name, or no tensor at all.
    """
    if isinstance(outputs, Tensor):
        return outputs
    named = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    tensors = [named] if isinstance(named, Tensor) else list(tensors_in(outputs))
    if len(tensors) != 1:
        raise ValueError(
            f"the model returned {describe(outputs)} with {len(tensors)} tensors, none of them named logits"
        )
    return tensors[0]
