"""What the layers with a kernel take in, and the gradient that comes back: caught layer by layer in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from normscope.measure import KernelGradient, conv_kernel_gradient, linear_kernel_gradient
from normscope.tracing.inputs import tensors_in

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
ConvTranspose = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
KERNEL_LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
)  # fmt: skip


@dataclass(eq=False)
class LayerCall:
    """One call of a layer with a kernel, from its forward until its gradient has come."""

    layer: str
    kind: str
    call: int
    module: nn.Module
    inputs: Tensor | None  # let go when the gradient has come
    version: int  # of the inputs: autograd tells by it whether they were written into


class KernelCapture:
    """Hooks on layers with a kernel: ``entered(call, output)`` in the forward, ``left(call, kernel)`` in the backward.

    The input of a layer, which autograd keeps for the backward anyway, is let go as soon as the gradient of its output
    has come.

    Args:
        layers: by name; each one of `KERNEL_LAYERS`.
        entered: receives each call and the output of the layer.
        left: receives each call and the `KernelGradient`, if the loss depends on the output.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        entered: Callable[[LayerCall, Tensor], None],
        left: Callable[[LayerCall, KernelGradient], None],
    ) -> None:
        self._layers, self._entered, self._left = layers, entered, left
        self._counts: Counter[str] = Counter()
        self._waiting: list[LayerCall] = []
        self._active = False
        self._roots: list[Tensor] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks on, and off at the end, however it ends."""
        with ExitStack() as stack:
            for name, module in self._layers.items():
                handle = module.register_forward_hook(self._hook(name), with_kwargs=True)
                stack.callback(handle.remove)
            stack.callback(self._let_go)
            self._active = True
            yield

    def pause(self) -> None:
        """The forward is over: what runs in the backward (checkpointing) was seen already."""
        self._active = False

    @property
    def roots(self) -> list[Tensor]:
        """Weights of layers that no other gradient leads through: differentiate by these too."""
        return self._roots

    def _let_go(self) -> None:
        for call in self._waiting:
            call.inputs = None

    def _hook(self, name: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, args: Any, keywords: Any, output: Any) -> Tensor | None:
            x = next(tensors_in((args, keywords)), None)
            if not self._active or x is None or not isinstance(output, Tensor) or not output.numel():
                return None
            call = LayerCall(name, type(module).__name__, self._counts[name], module, x.detach(), x._version)
            self._counts[name] += 1
            self._waiting.append(call)
            with torch.no_grad():
                self._entered(call, output.detach())
            if not output.requires_grad:
                return None
            if not x.requires_grad:
                self._roots += [p for p in module.parameters(recurse=False) if p.requires_grad]
            output.register_hook(lambda gradient: self._gradient(call, gradient))
            # a view loses its hooks when it is written into; the model gets a tensor of its own instead
            return output.clone() if output._is_view() else None

        return hook

    @torch.no_grad()
    def _gradient(self, call: LayerCall, gradient: Tensor) -> None:
        if call.inputs is None:
            return
        if call.inputs._version != call.version:
            raise ValueError(
                f"layer {call.layer!r}: its input was changed in place afterwards, so its kernel gradient is lost; "
                "make that operation one that returns a new tensor"
            )
        kernel = kernel_gradient(call.module, call.inputs, gradient)
        call.inputs = None
        self._left(call, kernel)


def kernel_gradient(module: nn.Module, inputs: Tensor, output_gradients: Tensor) -> KernelGradient:
    """`KernelGradient` of a layer from what it was given and the gradient by what it put out, any padding mode.

    Raises:
        TypeError: the layer is none of `KERNEL_LAYERS`.
    """
    if isinstance(module, nn.Linear):
        return linear_kernel_gradient(inputs, output_gradients)
    if not isinstance(module, Conv | ConvTranspose):
        raise TypeError(
            f"a {type(module).__name__} has no kernel whose gradient is known; layers that do: Linear, Conv1d to 3d, "
            "ConvTranspose1d to 3d"
        )
    if inputs.dim() == len(module.kernel_size) + 1:  # one sample without a batch dimension
        inputs, output_gradients = inputs[None], output_gradients[None]
    if isinstance(module, ConvTranspose):
        return _transposed(module, inputs, output_gradients)
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        inputs = pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
        padding: int | Sequence[int] = 0
    else:
        padding = module.padding
    return conv_kernel_gradient(
        inputs,
        output_gradients,
        module.kernel_size,
        stride=module.stride,
        padding=padding,
        dilation=module.dilation,
        groups=module.groups,
    )


def _transposed(module: ConvTranspose, inputs: Tensor, output_gradients: Tensor) -> KernelGradient:
    """Of a convolution from δ to I: the terms of its kernel are the same products, one at each position of I."""
    dimensions = range(len(module.kernel_size))
    around = [int(module.padding[d]) for d in reversed(dimensions) for _ in range(2)]
    gradients = pad(output_gradients, around)
    for d in dimensions:
        reach = module.dilation[d] * (module.kernel_size[d] - 1) + 1
        # what output_padding put behind is reached by no position of the input
        size = (inputs.shape[2 + d] - 1) * module.stride[d] + reach
        gradients = gradients.narrow(2 + d, 0, size)
    return conv_kernel_gradient(
        gradients, inputs, module.kernel_size, stride=module.stride, dilation=module.dilation, groups=module.groups
    )
