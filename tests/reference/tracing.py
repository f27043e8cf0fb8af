"""The slow twin of `ns.trace`: keep every activation and its gradient, then measure."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn


def stored_activations(
    model: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer -> (activation, gradient of the loss by it), of a float64 copy of the model."""
    model = copy.deepcopy(model).double()
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            output.retain_grad()
            kept[name] = output

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(keep(name))
    loss(model(inputs.double().requires_grad_())).backward()
    return {name: (output.detach(), output.grad) for name, output in kept.items() if output.grad is not None}
