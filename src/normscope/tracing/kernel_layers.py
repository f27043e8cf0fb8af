"""The layers of a model that have a kernel, by name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from normscope.tracing.kernel_capture import KERNEL_LAYERS
from normscope.tracing.watch import watched_layers


def kernel_layers(model: nn.Module, layers: str | Sequence[str] = "*") -> dict[str, nn.Module]:
    """The linear layers and (transposed) convolutions of ``model`` by name that match a glob pattern.

    Raises:
        ValueError: no pattern, or one that matches no layer (the message names the nearest), or none with a kernel.
    """
    patterns = [layers] if isinstance(layers, str) else list(layers)
    if not patterns:
        raise ValueError("no layers were named: give one glob pattern or more, such as '*'")
    chosen: dict[str, nn.Module] = {}
    for pattern in patterns:
        matching = watched_layers(model, pattern)
        found = {name: m for name, m in matching.items() if isinstance(m, KERNEL_LAYERS)}
        if not found:
            kinds = sorted({type(m).__name__ for m in matching.values()})
            raise ValueError(
                f"no layer that matches {pattern!r} has a kernel (Linear, Conv1d to 3d, ConvTranspose1d to 3d): "
                f"{', '.join(kinds[:5])}"
            )
        chosen |= found
    order = {name: place for place, name in enumerate(watched_layers(model))}
    return dict(sorted(chosen.items(), key=lambda item: order[item[0]]))
