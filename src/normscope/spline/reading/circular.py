"""Circular padding as a choice of places: torch's own writes into its output piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name


class CircularPadding(TorchFunctionMode):
    """``torch.nn.functional.pad(…, mode="circular")`` by `circular_pad` while it is active."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Make a call."""
        kwargs = kwargs or {}
        if (resolve_name(func) or "").endswith("pad") and "circular" in (*args[2:3], kwargs.get("mode")):
            return circular_pad(args[0], args[1] if len(args) > 1 else kwargs["pad"])
        return func(*args, **kwargs)


def circular_pad(x: Tensor, pad: tuple[int, ...]) -> Tensor:
    """``pad`` entries before and after the last dimension, then the one before it, …, taken from the other end."""
    for number, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        size = x.shape[-1 - number]
        x = x.index_select(-1 - number, torch.arange(-before, size + after) % size)
    return x
