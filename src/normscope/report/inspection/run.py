"""`normscope inspect`: a model of the user's and a batch in, one trace or two out."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import nn

from normscope import data
from normscope.loading import one_line
from normscope.report.inspection.batch import batch_of
from normscope.report.inspection.failing_layer import InspectionError, naming_the_layer
from normscope.report.inspection.inspected import Inspected, Network
from normscope.report.inspection.losses import Loss, find_loss, random_targets
from normscope.report.inspection.networks import networks_of
from normscope.report.inspection.settings import Inspection
from normscope.report.inspection.standouts import broken, standouts
from normscope.tracing import Trace, trace

_MEASURES: Final = ("moments", "geometry")
_WITH_LOSS: Final = (*_MEASURES, "kernel_gradients", "output_gradients")
_WARNINGS = 5  # so many different warnings of the user's code are told

Progress = Callable[[float, float, str], None]


def run_inspection(settings: Inspection, progress: Progress | None = None) -> Inspected:
    """Trace the network, and the other one if there is one to compare.

    Args:
        settings: what to inspect.
        progress: called with (work done, all work, what is running); the unit of work is arbitrary.

    Raises:
        ValueError: whatever stands in the way, in one line (`LoadingError`, `InspectionError`).
    """
    report = progress or (lambda done, total, what: None)
    device = _device(settings.device)
    loss = _loss(settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        networks = networks_of(settings, device)
        batch = batch_of(settings, device)
    if loss is not None and batch.targets is None and not settings.random_targets:
        raise InspectionError(
            f"--loss {one_line(settings.loss or '')}: {batch.name} has no targets; --random-targets draws some"
        )
    works = [_work(model, settings) for _, model in networks]
    found: list[Network] = []
    for index, (name, model) in enumerate(networks):
        done = sum(works[:index])
        with warnings.catch_warnings(record=True) as more:
            warnings.simplefilter("always")
            tick = _ticking(done, works[index], sum(works), name, report)
            result = _trace(model, batch, loss, settings, tick)
        # those of making the networks are told with the first
        notes = [*result.notes, *_warned([*(caught if index == 0 else []), *more])]
        result = replace(result, notes=tuple(dict.fromkeys(notes)))
        found.append(Network(name, result, tuple(standouts(result))))
    failures = [(n.name, sentence) for n in found if (sentence := broken(n.trace))]
    told = " ".join(f"{name}: {sentence}" if len(found) > 1 else sentence for name, sentence in failures)
    return Inspected(tuple(found), batch.description, told or None)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = one_line(str(error).partition("\n")[0], 160)
        raise InspectionError(f"--device {one_line(name)} cannot be used: {reason}") from error
    if device.type == "meta":
        raise InspectionError("--device meta cannot be used: its tensors have shapes and no numbers")
    return device


def _loss(settings: Inspection) -> Loss | None:
    if settings.loss is None:
        return None
    if settings.random_targets:
        random_targets(settings.loss, settings.seed)  # which losses it is known for is told before anything is made
    return find_loss(settings.loss)


def _trace(
    model: nn.Module, batch: data.Batch, loss: Loss | None, settings: Inspection, tick: Callable[[int], None]
) -> Trace:
    targets: Any = None if loss is None else batch.targets
    if settings.random_targets and settings.loss is not None:
        targets = random_targets(settings.loss, settings.seed)
    with naming_the_layer(model, batch.inputs, _advice(settings)):
        result = trace(
            model,
            batch.inputs,
            targets,
            loss,
            layers=settings.layers,
            measures=_MEASURES if loss is None else _WITH_LOSS,
            capture="ops" if settings.capture == "ops" else "modules",  # checked when made
            batch_dim=settings.batch_dim,
            seed=settings.seed,
            progress=tick,
        )
    if result.table.empty:
        raise InspectionError(f"{type(model).__name__} ran through no layer that could be watched; try --capture ops")
    return result


def _advice(settings: Inspection) -> str:
    """How data that does not fit may be made to."""
    known = data.DATASETS.get(settings.data or "")
    takes = set() if known is None else inspect.signature(known).parameters.keys()
    if {"size", "channels"} <= takes:
        return f". Images of another shape: --data {settings.data} --data-kw size=32 --data-kw channels=3"
    return ""


def _work(model: nn.Module, settings: Inspection) -> float:
    """How many layer calls to expect, forward and backward: as many as there are layers."""
    leaves = sum(next(module.children(), None) is None for module in model.modules())
    return max(1, leaves) * (1 if settings.loss is None else 2)


def _ticking(done: float, work: float, total: float, name: str, report: Progress) -> Callable[[int], None]:
    report(done, total, name)
    calls = 0

    def tick(_: int) -> None:
        nonlocal calls
        calls += 1
        # some layers are called often and others never: their number is an estimate
        report(done + min(calls, work), total, name)

    return tick


def _warned(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """What the user's code warned of, each once."""
    told = list(dict.fromkeys(f"{w.category.__name__}: {one_line(str(w.message), 200)}" for w in caught))
    return told[:_WARNINGS] + ([f"and {len(told) - _WARNINGS} more warnings"] if len(told) > _WARNINGS else [])
