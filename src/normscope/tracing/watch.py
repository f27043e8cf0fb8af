"""`trace`: run a model once, forward and backward, and measure each layer's output while it is alive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from normscope.tracing.preserve import preserved
from normscope.tracing.records import Record, measure_gradient, measure_output
from normscope.tracing.result import Trace
from normscope.tracing.table import tabulate

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
Loss = Callable[[Any, Any], Tensor]


def trace(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Loss | None = None,
    *,
    layers: str | Sequence[str] = "*",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Watch ``model`` on one batch and measure what each of its layers puts out.

    The model runs once, in the mode it is in (train or eval), and is bit-identical afterwards (`preserved`), also when
    it raises. Nothing is retained: each output is reduced inside its own hook. Layers are the modules without
    submodules; what happens between modules (``F.relu``, ``+``) is not seen.

    Args:
        model: any `torch.nn.Module`.
        inputs: the batch, samples first: a tensor, or a tuple of positional or a mapping of keyword arguments.
        targets: second argument of ``loss``. With targets and no loss: cross-entropy for integer targets, mean
            squared error for floating ones.
        loss: ``loss(outputs, targets)``, a scalar tensor. With it a backward pass measures gradients too.
        layers: glob pattern, or several, of the layers to watch, such as ``"stage1.*"``.
        seed: start of the random generators while the model runs; dropout draws from it.
        progress: called with the number of elements of each output once it is measured, and again for its gradient.

    Returns:
        The `Trace`.

    Raises:
        TypeError: the model is no module, or the inputs hold no tensor.
        ValueError: fewer than two samples, no layer matches, or the loss is not a scalar.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    batch = _batch_size(inputs)
    watched = watched_layers(model, layers)
    criterion = _criterion(targets, loss)
    tick = progress or (lambda elements: None)
    with preserved(model, seed), torch.enable_grad() if criterion else torch.no_grad():
        arguments = tree_map(lambda value: _own_copy(value, criterion is not None), inputs)
        with recording(watched, batch, tick) as records:
            outputs = _call(model, arguments)
            value = None
            if criterion is not None:
                value = _scalar(criterion(outputs, targets))
                _backward(value, model, arguments, watched, records)
        table, grams = tabulate(records)
    return Trace(table, type(model).__name__, batch, model.training, None if value is None else value.item(), grams)


def watched_layers(model: nn.Module, layers: str | Sequence[str] = "*") -> dict[str, nn.Module]:
    """The modules of ``model`` without submodules, by name, whose name matches one of the glob patterns ``layers``."""
    patterns = [layers] if isinstance(layers, str) else list(layers)
    leaves = {
        name or type(module).__name__: module
        for name, module in model.named_modules()
        if next(module.children(), None) is None
    }
    chosen = {name: m for name, m in leaves.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if not chosen:
        some = ", ".join(list(leaves)[:5])
        raise ValueError(f"no layer matches {' or '.join(map(repr, patterns))}; the layers are {some}, ...")
    return chosen


@contextmanager
def recording(layers: Mapping[str, nn.Module], batch: int, tick: Callable[[int], None]) -> Iterator[list[Record]]:
    """Hooks on ``layers`` that append a `Record` for each call; they come off at the end, however it ends."""
    records: list[Record] = []
    calls: Counter[str] = Counter()

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            tensor = _first_tensor(output)
            if tensor is None:
                return
            record = Record(name, type(module).__name__, calls[name], tuple(tensor.shape))
            calls[name] += 1
            records.append(record)
            measure_output(record, tensor, batch)
            tick(tensor.numel())
            if tensor.requires_grad:
                # a tensor hook, not a full backward hook: those break when an in-place operation follows
                tensor.register_hook(lambda gradient: _watch_gradient(record, gradient, batch, tick))

        return hook

    with ExitStack() as stack:
        for name, module in layers.items():
            stack.callback(module.register_forward_hook(watch(name)).remove)
        yield records


def _watch_gradient(record: Record, gradient: Tensor, batch: int, tick: Callable[[int], None]) -> None:
    measure_gradient(record, gradient, batch)
    tick(gradient.numel())


def _backward(
    value: Tensor,
    model: nn.Module,
    arguments: Any,
    layers: Mapping[str, nn.Module],
    records: Sequence[Record],
) -> None:
    """Backward without touching ``.grad``; norms of the parameters' gradients go to each layer's last call."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    sources = [t for t in tree_leaves(arguments) if isinstance(t, Tensor) and t.requires_grad]
    if not value.requires_grad:
        raise ValueError("the loss does not depend on any parameter or input that needs a gradient")
    gradients = torch.autograd.grad(value, [*parameters, *sources], allow_unused=True)
    by_parameter = dict(zip(map(id, parameters), gradients, strict=False))
    last = {record.layer: record for record in records}
    for name, record in last.items():
        own = [by_parameter.get(id(p)) for p in layers[name].parameters(recurse=False)]
        norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in own if g is not None]
        if norms:
            record.scalars["param_grad_norm"] = torch.linalg.vector_norm(torch.stack(norms))


def _own_copy(value: Any, with_gradient: bool) -> Any:
    """A copy of an input tensor: the model may write into it, and with frozen layers gradients must start here."""
    if not isinstance(value, Tensor):
        return value
    source = value.detach()
    if with_gradient and source.is_floating_point():
        return source.clone().requires_grad_().clone()  # not a leaf, so that an in-place operation may follow
    return source.clone()


def _call(model: nn.Module, arguments: Any) -> Any:
    if isinstance(arguments, Tensor):
        return model(arguments)
    if isinstance(arguments, Mapping):
        return model(**arguments)
    return model(*arguments)


def _batch_size(inputs: Inputs) -> int:
    first = _first_tensor(inputs)
    if first is None:
        raise TypeError("inputs must hold a tensor with the samples first, a tuple of them or a mapping of them")
    if first.dim() == 0 or first.shape[0] < 2:
        raise ValueError(f"a batch of at least 2 samples is needed, inputs have shape {tuple(first.shape)}")
    return first.shape[0]


def _first_tensor(value: Any) -> Tensor | None:
    return next((leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)), None)


def _criterion(targets: Any, loss: Loss | None) -> Loss | None:
    if loss is not None:
        return loss
    if targets is None:
        return None
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets are a {type(targets).__name__}: name the loss, loss(outputs, targets)")
    return nn.functional.mse_loss if targets.is_floating_point() else nn.functional.cross_entropy


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ValueError(f"loss(outputs, targets) must return one number, it returned {what}")
    return value.reshape(())
