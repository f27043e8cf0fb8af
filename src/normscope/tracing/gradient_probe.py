"""`probe_gradients`: what one forward and backward pass tells about the gradients of kernels and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope import measure
from normscope.loading import suggestion
from normscope.measure import Histogram, KernelGradient, OutputGradients
from normscope.tracing import inputs as given
from normscope.tracing.classes import logits_in
from normscope.tracing.inputs import Inputs
from normscope.tracing.kernel_capture import Conv, ConvTranspose, KernelCapture, LayerCall
from normscope.tracing.kernel_layers import kernel_layers
from normscope.tracing.objective import Loss, Objective, differentiate
from normscope.tracing.probe_printing import as_text
from normscope.tracing.reductions import channel_statistics

Array = NDArray[np.float64]
Key = tuple[str, int]


@dataclass(eq=False)
class _Layer:
    """What is kept of one call of a layer, on its device."""

    kind: str
    mean: Tensor  # shape: (C out,), float64
    var: Tensor  # shape: (C out,), float64
    input_mean: Tensor  # shape: (C in,), float64
    kernel: KernelGradient | None = None


@dataclass(frozen=True, eq=False, repr=False)
class GradientProbe:
    """What one pass tells about the gradients of a network.

    Attributes:
        table: one row a call of a layer with a kernel, in the order of the forward pass. Columns: ``layer``, ``kind``,
            ``call``; of its outputs ``channel_mean``, ``channel_mean_size``, ``channel_std``, the means over channels
            of the channel's mean, its absolute value and its standard deviation over the batch and all positions; of
            the gradient of its kernel ``terms``, ``a``, ``b`` and ``kernel_gradient_ratio`` = a / b (see
            `normscope.measure.KernelGradient`), ``grad_std`` of its entries, ``grad_scale``, ``octile_kurtosis``,
            ``quantile_ratio``, ``extreme_ratio`` and ``tail_index`` (`normscope.measure.Tails`; NaN below 8 entries),
            and ``pair_energy``, the rank-one energy of `channel_pairs`. NaN where the loss does not reach.
        loss: at the start.
        training: whether the model was in train mode.
        seed: seed of the random generators while the model ran.
        output_gradient: ∂L/∂outputs, shape of the outputs, float64; of a model that puts out several tensors by that
            which is called ``logits``, None where there is none.
        targets: as given, if they are a tensor.
    """

    table: pd.DataFrame
    loss: float
    training: bool
    seed: int
    output_gradient: Array | None = None
    targets: NDArray[Any] | None = None
    _layers: Mapping[Key, _Layer] = field(default_factory=dict)

    def kernel(self, layer: str, call: int = 0) -> KernelGradient:
        """The kernel gradient of one call: its mean terms, entry by entry.

        Raises:
            ValueError: no such layer or call, or the loss does not depend on it.
        """
        found = self._at(layer, call).kernel
        if found is None:
            raise ValueError(f"layer {layer!r} has no kernel gradient: the loss does not depend on call {call}")
        return found

    def channel_pairs(self, layer: str, call: int = 0, *, absolute: bool = False) -> Array:
        """Gradient of the kernel, mean over its positions, or mean of its absolute value: (C out, C in / groups).

        Of a transposed convolution, whose weight has the inputs first, (C in, C out / groups).

        Raises:
            ValueError: as `kernel`.
        """
        gradient = self.kernel(layer, call).gradient
        pairs: Array = measure.channel_pair_gradients(gradient.abs() if absolute else gradient).cpu().numpy()
        return pairs

    def histogram(self, layer: str, call: int = 0, *, bins: int = 101, limit: float | None = None) -> Histogram:
        """Of the entries of the kernel's gradient; see `normscope.measure.histogram`.

        Raises:
            ValueError: as `kernel`, and as there.
        """
        return measure.histogram(self.kernel(layer, call).gradient, bins, limit=limit)

    def channels(self, layer: str, call: int = 0) -> pd.DataFrame:
        """One row an output channel: its ``mean`` and ``std`` over the batch and all positions.

        Raises:
            ValueError: no such layer or call.
        """
        found = self._at(layer, call)
        moments = {"mean": found.mean.cpu().numpy(), "std": found.var.sqrt().cpu().numpy()}
        return pd.DataFrame(moments).rename_axis("channel")

    def input_means(self, layer: str, call: int = 0) -> Array:
        """Mean of each channel of what the layer was given, (C in,).

        Raises:
            ValueError: no such layer or call.
        """
        means: Array = self._at(layer, call).input_mean.cpu().numpy()
        return means

    def output_metrics(self) -> OutputGradients:
        """Whether the network predicts one class, whatever the input; see `normscope.measure.output_gradients`.

        Raises:
            ValueError: the model is no classifier of (n, classes) with integer labels, the batch has fewer images than
                classes, or as there.
        """
        gradient, labels = self.output_gradient, self.targets
        if gradient is None or gradient.ndim != 2 or labels is None or labels.dtype.kind not in "iu":
            raise ValueError("output metrics need outputs (n, classes) and integer targets, one a sample")
        return measure.output_gradients(torch.from_numpy(gradient), torch.from_numpy(labels.astype(np.int64)))

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _at(self, layer: str, call: int) -> _Layer:
        names = list(dict.fromkeys(name for name, _ in self._layers))
        if layer not in names:
            raise ValueError(f"no layer {layer!r} was probed{suggestion(layer, names, names)}")
        if (layer, call) not in self._layers:
            calls = sum(name == layer for name, _ in self._layers)
            raise ValueError(f"layer {layer!r} was called {calls} times: there is no call {call}")
        return self._layers[layer, call]


def probe_gradients(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Loss | None = None,
    *,
    layers: str | Sequence[str] = "*",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> GradientProbe:
    """Measure the gradients of all kernels and of the outputs in one forward and one backward pass.

    The model runs in the mode it is in and is bit-identical afterwards, also when something raises. Each layer's input
    and output gradient are reduced when the backward reaches the layer, and let go. What is kept is three numbers an
    entry of each chosen kernel (float64). Weight gradients of the loss are read from the same terms, so that the
    backward of autograd does not compute them a second time.

    Args:
        model: any module. Linear layers, convolutions and transposed convolutions of 1, 2 and 3 dimensions are probed,
            as far as they are called as modules.
        inputs: the batch, samples first: a tensor, or a tuple of positional or a mapping of keyword arguments.
        targets: second argument of ``loss``.
        loss: ``loss(outputs, targets)``, a scalar tensor; default cross-entropy for integer targets, mean squared error
            for floating ones.
        layers: glob pattern, or several, of the layers to probe.
        seed: start of the random generators while the model runs.
        progress: called with the number of entries of each kernel when it is done.

    Raises:
        TypeError: the model is no module, or the inputs hold no tensor.
        ValueError: fewer than two samples; neither targets nor loss; labels out of range; a loss that is not finite or
            not one number; a pattern that matches no layer, or none with a kernel.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), figures on gradients,
    channels and outputs at initialization, and table 1.
    """
    objective = Objective(model, inputs, targets, loss, seed)
    chosen = kernel_layers(objective.model, layers)
    found: dict[Key, _Layer] = {}
    tick = progress or (lambda entries: None)

    def entered(call: LayerCall, output: Tensor) -> None:
        assert call.inputs is not None
        place = -1 if isinstance(call.module, nn.Linear) else -1 - _dimensions(call.module)
        moments = channel_statistics(output, place)
        input_mean = channel_statistics(call.inputs, place).mean
        found[call.layer, call.call] = _Layer(call.kind, moments.mean, moments.var, input_mean)

    def left(call: LayerCall, kernel: KernelGradient) -> None:
        found[call.layer, call.call].kernel = kernel
        tick(kernel.signed.numel())

    capture = KernelCapture(chosen, entered, left)
    with objective.running(), capture.watching():
        arguments = given.own_copy(inputs, with_gradient=True)
        outputs, value = objective.start(arguments)
        capture.pause()
        gradient = _backward(value, objective.model, arguments, outputs, chosen, capture)
    return GradientProbe(
        table=_table(found),
        loss=value.item(),
        training=objective.model.training,
        seed=seed,
        output_gradient=None if gradient is None else gradient.to(torch.float64).cpu().numpy(),
        targets=targets.detach().cpu().numpy() if isinstance(targets, Tensor) else None,
        _layers=found,
    )


def _backward(
    value: Tensor,
    model: nn.Module,
    arguments: Any,
    outputs: Any,
    layers: Mapping[str, nn.Module],
    capture: KernelCapture,
) -> Tensor | None:
    """Run the backward through all layers; the gradient by the outputs (`logits_in`)."""
    own = {id(p) for module in layers.values() for p in module.parameters(recurse=False)}
    # the kernels themselves only where nothing else leads through their layer: their gradient costs a convolution
    leaves: list[Tensor] = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    leaves += [t for t in given.tensors_in(arguments) if t.requires_grad]
    leaves += capture.roots
    logits = logits_in(outputs)
    gradients = differentiate(value, [*([] if logits is None else [logits]), *leaves])
    return None if logits is None else gradients[0]


def _dimensions(module: nn.Module) -> int:
    assert isinstance(module, Conv | ConvTranspose)
    return len(module.kernel_size)


def _table(found: Mapping[Key, _Layer]) -> pd.DataFrame:
    kinds: dict[str, type] = dict.fromkeys((*_OF_OUTPUTS, *_OF_GRADIENTS), float)
    kinds |= {"layer": str, "kind": str, "call": int, "terms": int}
    table = pd.DataFrame(
        [_row(key, layer) for key, layer in found.items()], columns=[*_OF_CALLS, *_OF_OUTPUTS, *_OF_GRADIENTS]
    )
    return table if found else table.astype(kinds)  # a table of no calls has the columns of any other


def _row(key: Key, layer: _Layer) -> dict[str, Any]:
    row = {
        "layer": key[0],
        "kind": layer.kind,
        "call": key[1],
        "channel_mean": layer.mean.mean().item(),
        "channel_mean_size": layer.mean.abs().mean().item(),
        "channel_std": layer.var.sqrt().mean().item(),
    }
    return row | (_gradient_columns(layer.kernel) if layer.kernel is not None else dict.fromkeys(_OF_GRADIENTS, np.nan))


_OF_CALLS = ("layer", "kind", "call")
_OF_OUTPUTS = ("channel_mean", "channel_mean_size", "channel_std")
_OF_GRADIENTS = (
    "terms", "a", "b", "kernel_gradient_ratio", "grad_std", "grad_scale", "octile_kurtosis", "quantile_ratio",
    "extreme_ratio", "tail_index", "pair_energy",
)  # fmt: skip


def _gradient_columns(kernel: KernelGradient) -> dict[str, float]:
    gradient = kernel.gradient
    shape = [t.item() for t in measure.tails(gradient)] if gradient.numel() >= 8 else [np.nan] * 5
    pairs = measure.channel_pair_gradients(gradient)
    values = (
        kernel.terms, kernel.a.item(), kernel.b.item(), kernel.ratio.item(), gradient.std(correction=0).item(), *shape,
        measure.rank_one_energy(pairs).item(),
    )  # fmt: skip
    return dict(zip(_OF_GRADIENTS, values, strict=True))
