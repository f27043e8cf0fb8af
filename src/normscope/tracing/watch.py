"""`trace`: run a model once, forward and backward, and measure each layer's output while it is alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from normscope.tracing import inputs as given
from normscope.tracing.capture import Recorder
from normscope.tracing.classes import ClassGradients, class_gradients, logits_in
from normscope.tracing.inputs import Inputs
from normscope.tracing.labels import check_labels, ignored_label
from normscope.tracing.preserve import preserved
from normscope.tracing.records import Plan
from normscope.tracing.result import Trace
from normscope.tracing.table import tabulate
from normscope.tracing.unwrap import eagerly, plain_name, unwrapped

Capture = Literal["modules", "ops"]
Word = Literal["moments", "geometry", "kernel_gradients", "output_gradients"]
Measure = Word | Callable[[Tensor], Tensor]


def trace(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    *,
    layers: str | Sequence[str] = "*",
    capture: Capture = "modules",
    measures: Sequence[Measure] = ("moments", "geometry"),
    batch_dim: int = 0,
    projection: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Watch ``model`` on one batch and measure what each of its layers puts out.

    The model runs once, in the mode it is in (train or eval), and is bit-identical afterwards (`preserved`), also when
    it raises. Nothing is retained: each output is reduced inside its own hook. A row is a call of a module whose output
    is a new tensor: the modules without submodules, and those whose own forward computes something (the addition of a
    residual block). A layer that hands on its input unchanged (dropout in eval mode) has the measures of that tensor.
    Of outputs that hold several tensors (tuples, mappings, dataclasses) the first floating-point one is measured. What
    torch.compile, DataParallel and DistributedDataParallel wrap is watched eagerly; ``notes`` of the trace say so.

    Args:
        model: any `torch.nn.Module`.
        inputs: the batch: a tensor, or a tuple of positional or a mapping of keyword arguments.
        targets: second argument of ``loss``, or a function that makes it from the outputs. With targets and no loss:
            cross-entropy for integer targets, mean squared error for floating ones.
        loss: ``loss(outputs, targets)``, a scalar tensor. With it a backward pass measures gradients too, from the
            first trained parameter on (from the inputs, where nothing is trained).
        layers: glob pattern, or several, of the layers to watch, such as ``"stage1.*"``.
        capture: "modules", or "ops" to see functional operations inside a forward (``F.relu``, ``+``, ``torch.cat``)
            too, named after where they happen: ``stage1.0.add``, the next one there ``stage1.0.add:1``.
        measures: "moments" (mean, std, dead and finite channels), "geometry" (the Gram matrix and what follows from
            it); with a loss "kernel_gradients" (``kernel_gradient_ratio`` and ``kernel_sqrt_terms`` of linear layers
            and convolutions: each costs two more gradients by its weight) and "output_gradients"
            (`Trace.output_gradients`); and functions of your own: each is called with every output, samples first,
            returns a scalar tensor, and becomes a column of its name.
        batch_dim: which dimension is the batch, for models that do not have it first. An output that has no such
            dimension of that size is looked at batch first.
        projection: Gram matrices of samples with more features than this are those of random ±1 sums of the features;
            ``notes`` state the error.
        seed: start of the random generators while the model runs; dropout draws from it.
        progress: called with the number of elements of each output once it is measured, and again for its gradient.

    Returns:
        The `Trace`.

    Raises:
        TypeError: the model is no module, the inputs hold no tensor, or a measure is no function.
            With targets alone: outputs that are no tensor.
        ValueError: fewer than two samples, no layer matches, an unknown capture or measure, a measure of gradients
            without a loss, a loss that is not scalar, labels out of range. With targets alone: of another shape than
            those losses take.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("a model compiled by TorchScript takes no hooks: pass the module that it was compiled from")
    model, notes = unwrapped(model)
    plan = _plan(given.batch_size(inputs, batch_dim), batch_dim, measures, projection, seed)
    watched = watched_layers(model, layers)
    if capture not in get_args(Capture):
        raise ValueError(f"capture must be 'modules' or 'ops', not {capture!r}")
    criterion = given.criterion(targets, loss)
    _check_measured(measures, criterion is not None)
    ignored = ignored_label(targets, loss)
    recorder = Recorder(plan, progress or (lambda elements: None))
    value, classes = None, ClassGradients({})
    with (
        preserved(model, seed),
        eagerly(),
        torch.inference_mode(mode=False),
        torch.set_grad_enabled(criterion is not None),
        recorder.watching(watched, model, ops=capture == "ops"),
    ):
        # where nothing is trained gradients start at the inputs
        trained = any(p.requires_grad for p in model.parameters())
        arguments = given.own_copy(inputs, criterion is not None and not trained)
        outputs = given.call(model, arguments)
        recorder.pause()
        if criterion is not None:
            if ignored is not None:
                check_labels(outputs, targets, ignored)
            wanted = targets(outputs) if callable(targets) else given.own_copy(targets, with_gradient=False)
            loss_value = given.scalar(criterion(outputs, wanted))
            logits = logits_in(outputs) if "output_gradients" in measures else None
            gradient = _backward(loss_value, model, arguments, logits, watched, recorder)
            classes = class_gradients(logits, gradient, wanted, ignored)
            value = loss_value.item()
    if classes.note is not None:
        notes = (*notes, classes.note)
    if projection is not None:
        error = (2 / projection) ** 0.5
        notes = (*notes, f"Gram entries from {projection} random sums: error (std) at most {error:.1%} of the norms")
    table, grams, channels = tabulate(recorder.records, recorder.grams)
    return Trace(
        table=table,
        model=type(model).__name__,
        batch=plan.batch,
        training=model.training,
        loss=value,
        seed=seed,
        notes=notes,
        output_gradients=classes.metrics,
        _grams=grams,
        _channels=channels,
    )


def watched_layers(model: nn.Module, layers: str | Sequence[str] = "*") -> dict[str, nn.Module]:
    """The modules of ``model`` by name whose name matches one of the glob patterns ``layers``.

    Raises:
        ValueError: none does; the message names the nearest.
    """
    patterns = [layers] if isinstance(layers, str) else list(layers)
    modules = {
        plain_name(name) or type(module).__name__: module
        for name, module in model.named_modules()
        if "parametrizations" not in name.split(".")  # those compute weights, not activations
    }
    chosen = {name: m for name, m in modules.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if not chosen:
        near = get_close_matches(patterns[0], list(modules), n=3, cutoff=0.3) if patterns else []
        some = near or list(modules)[1:4]
        raise ValueError(f"no layer matches {' or '.join(map(repr, patterns))}; there are {', '.join(some)}, ...")
    return chosen


def _plan(batch: int, batch_dim: int, measures: Sequence[Measure], projection: int | None, seed: int) -> Plan:
    words = [measure for measure in measures if isinstance(measure, str)]
    functions = [measure for measure in measures if not isinstance(measure, str)]
    for word in words:
        if word not in get_args(Word):
            known = ", ".join(map(repr, get_args(Word)))
            raise ValueError(f"unknown measure {word!r}: choose from {known}, and functions of your own")
    for function in functions:
        if not callable(function):
            raise TypeError(f"a measure is a word or a function of a tensor, not a {type(function).__name__}")
    if projection is not None and projection < 1:
        raise ValueError(f"projection must be at least 1 random sum, got {projection}")
    return Plan(
        batch=batch,
        batch_dim=batch_dim,
        moments="moments" in words,
        geometry="geometry" in words,
        kernels="kernel_gradients" in words,
        functions={getattr(f, "__name__", type(f).__name__): f for f in functions},
        projection=projection,
        seed=seed,
    )


def _check_measured(measures: Sequence[Measure], with_loss: bool) -> None:
    for word in ("kernel_gradients", "output_gradients"):
        if word in measures and not with_loss:
            raise ValueError(f"the measure {word!r} needs a loss: give targets, or loss(outputs, targets)")


def _backward(
    value: Tensor,
    model: nn.Module,
    arguments: Any,
    logits: Tensor | None,
    layers: Mapping[str, nn.Module],
    recorder: Recorder,
) -> Tensor | None:
    """Backward without touching ``.grad``; norms of the parameters' gradients go to each layer's last call.

    Returns:
        The gradient by ``logits``, if there are any.
    """
    if not value.requires_grad:
        raise ValueError("the loss does not depend on any parameter or input that needs a gradient")
    parameters = [p for p in model.parameters() if p.requires_grad]
    sources = [t for t in given.tensors_in(arguments) if t.requires_grad]
    ends = [] if logits is None else [logits]
    try:
        gradients = torch.autograd.grad(value, [*parameters, *sources, *ends], allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        why = "activation checkpointing with use_reentrant=True allows no gradient that leaves .grad alone"
        raise ValueError(f"{why}: use use_reentrant=False, or trace without a loss") from error
    leaves = zip([*parameters, *sources], gradients, strict=False)
    recorder.gradients_of_leaves({id(leaf): gradient for leaf, gradient in leaves if gradient is not None})
    norms = {
        id(p): torch.linalg.vector_norm(g.coalesce().values() if g.is_sparse else g, dtype=torch.float64)
        for p, g in zip(parameters, gradients, strict=False)
        if g is not None
    }
    for name, record in {record.layer: record for record in recorder.records}.items():
        own = [norms[id(p)] for p in layers[name].parameters(recurse=False) if id(p) in norms] if name in layers else []
        if own:
            record.param_grad_norm = torch.linalg.vector_norm(torch.stack(own))
    return gradients[-1] if ends else None
