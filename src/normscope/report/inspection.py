"""`normscope inspect`: a model of the user's and a batch in, one trace or two out."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from normscope import data
from normscope.loading import load_model, one_line
from normscope.nn import DecomposedBatchNorm, convert
from normscope.report.failing_layer import InspectionError, naming_the_layer
from normscope.report.losses import Loss, find_loss, random_targets
from normscope.report.standouts import broken, standouts
from normscope.tracing import Trace, trace

SWITCHES = {"none": (False, False), "recenter": (True, False), "rescale": (False, True), "batch": (True, True)}
"""The parts of batch normalization, (recenter, rescale), that ``--compare`` has a word for."""

_VARIANTS = {"none": "no norm", "recenter": "recenter only", "rescale": "rescale only", "batch": "batch norm"}
_WARNINGS = 5  # so many different warnings of the user's code are told

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Inspection:
    """What to inspect, and on what. Checked when made.

    Args:
        model: `normscope.loading.load_model`'s spec.
        keywords: keyword arguments of what makes the model.
        weights: a checkpoint to load into it.
        data: `normscope.data.open_data`'s spec; or else ``input_shape``.
        data_options: options of the data.
        input_shape: of one random input: normal numbers, or token ids with ``vocab``.
        vocab: random inputs are integers from 0 to below this.
        batch: number of samples.
        batch_dim: dimension of the inputs, and of every tensor, that is the batch.
        device: where to run.
        mode: ``"train"`` or ``"eval"``, or ``"as made"``.
        loss: a name or spec (`find_loss`): gradients are measured too.
        random_targets: targets are drawn from the seed, not taken from the data.
        layers: glob patterns of the layers to watch.
        capture: ``"modules"``, or ``"ops"`` for functional operations too.
        seed: of the weights, the data, random input and targets, and dropout.
        compare: ``"none"``, ``"recenter"``, ``"rescale"`` or ``"batch"``: the same network with just those parts of
            batch normalization; or the spec of another network.
        compare_keywords: keyword arguments of the other network.

    Raises:
        ValueError: settings that cannot run; says which, and what is possible.
    """

    model: str
    keywords: Mapping[str, object] = field(default_factory=dict)
    weights: str | None = None
    data: str | None = None
    data_options: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    vocab: int | None = None
    batch: int = 32
    batch_dim: int = 0
    device: str = "cpu"
    mode: Literal["as made", "train", "eval"] = "as made"
    loss: str | None = None
    random_targets: bool = False
    layers: tuple[str, ...] = ("*",)
    capture: str = "modules"
    seed: int = 0
    compare: str | None = None
    compare_keywords: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise InspectionError(f"--batch {self.batch}: a batch has at least 2 samples, to compare them")
        if not 0 <= self.seed < 2**32:
            raise InspectionError(f"--seed {self.seed}: a seed is from 0 to 2³² − 1")
        if self.capture not in ("modules", "ops"):
            raise InspectionError(f"--capture {one_line(self.capture)}: not known; choose from modules, ops")
        if (self.data is None) == (self.input_shape is None):
            raise InspectionError(
                "say what the model is to see: --data digits (or a file, a folder of images, file.py:loader), "
                "or --input-shape 3x224x224 for random input; one of the two"
            )
        if self.vocab is not None and (self.input_shape is None or self.vocab < 1):
            raise InspectionError(f"--vocab {self.vocab}: how many token ids there are, for --input-shape")
        if self.data_options and self.data is None:
            raise InspectionError("--data-kw says how --data is opened: there is no --data")
        if self.compare_keywords and (self.compare is None or self.compare in SWITCHES):
            raise InspectionError("--compare-kw goes to the factory that --compare names: there is none")
        if self.random_targets and self.loss is None:
            raise InspectionError("--random-targets are for a loss: add --loss cross_entropy or --loss mse")
        if self.loss is not None and self.data is None and not self.random_targets:
            raise InspectionError(
                f"--loss {one_line(self.loss)}: random input has no targets; --random-targets draws some from the seed"
            )


@dataclass(frozen=True, eq=False)
class Network:
    """One inspected network.

    Attributes:
        name: what it is called on the page.
        trace: what was measured.
        standouts: sentences on what to look at first.
    """

    name: str
    trace: Trace
    standouts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Inspected:
    """What was found.

    Attributes:
        networks: one, or two to compare.
        data: one line on what the networks saw.
        broken: one line on what is not finite and in which layer of which network; None if all is.
    """

    networks: tuple[Network, ...]
    data: str
    broken: str | None


def parse_shape(text: str) -> tuple[int, ...]:
    """The shape of one sample from ``3x224x224``.

    Raises:
        InspectionError: it is not of that form.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InspectionError(
            f"--input-shape {one_line(text)}: write the shape of one sample, without the batch, as 3x224x224"
        )
    return tuple(map(int, parts))


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
        networks = _networks(settings, device)
        batch = _batch(settings, device)
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


def numbers(inspected: Inspected) -> dict[str, Any]:
    """What was found as plain data for JSON: every layer call of every network; what is undefined is null."""
    return {
        "data": inspected.data,
        "broken": inspected.broken,
        "networks": [
            {
                "name": network.name,
                "model": network.trace.model,
                "batch": network.trace.batch,
                "mode": "train" if network.trace.training else "eval",
                "loss": _plain(network.trace.loss),
                "seed": network.trace.seed,
                "notes": list(network.trace.notes),
                "standouts": list(network.standouts),
                "layers": [
                    {str(key): _plain(value) for key, value in row.items()}
                    for row in network.trace.table.to_dict("records")
                ],
            }
            for network in inspected.networks
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = one_line(str(error).partition("\n")[0], 160)
        raise InspectionError(f"--device {one_line(name)} cannot be used: {reason}") from error
    return device


def _loss(settings: Inspection) -> Loss | None:
    if settings.loss is None:
        return None
    return random_targets(settings.loss, settings.seed) if settings.random_targets else find_loss(settings.loss)


def _networks(settings: Inspection, device: torch.device) -> list[tuple[str, nn.Module]]:
    """The networks by name, in their mode and on their device."""
    model = load_model(settings.model, settings.keywords, settings.weights, seed=settings.seed)
    _require_layers(model, settings)
    name = _name(settings.model)
    networks = [(name, model)]
    if settings.compare in SWITCHES:
        networks.append((f"{name}, {_VARIANTS[settings.compare]}", _variant(model, settings.compare)))
    elif settings.compare is not None:
        other = load_model(settings.compare, settings.compare_keywords, seed=settings.seed)
        _require_layers(other, settings)
        networks.append((_name(settings.compare), other))
        networks = _distinct(networks, settings)
    for _, network in networks:
        with naming_the_layer(network, ()):
            network.to(device)
        if settings.mode != "as made":
            network.train(settings.mode == "train")
    return networks


def _require_layers(model: nn.Module, settings: Inspection) -> None:
    holds = next(model.children(), None) is not None or any(True for _ in model.parameters())
    if not holds and settings.capture == "modules":
        raise InspectionError(
            f"{type(model).__name__} has no layers: it holds no modules and no parameters; "
            "what its forward computes by functions is seen with --capture ops"
        )


def _variant(model: nn.Module, which: str) -> nn.Module:
    recenter, rescale = SWITCHES[which]
    try:
        other = convert(model, recenter, rescale)
    except TypeError as error:
        raise InspectionError(f"--compare {which}: {one_line(str(error))}") from error
    if not any(isinstance(layer, DecomposedBatchNorm) for layer in other.modules()):
        raise InspectionError(
            f"--compare {which} changes the batch normalization of the model, and {type(model).__name__} has none; "
            "name another factory to compare with"
        )
    return other


def _name(spec: str) -> str:
    return one_line(spec.rpartition(":")[2], 60)


def _distinct(networks: Sequence[tuple[str, nn.Module]], settings: Inspection) -> list[tuple[str, nn.Module]]:
    """Names that tell two factories of one name apart: by their keywords, or else by their numbers."""
    (first, a), (second, b) = networks
    if first != second:
        return list(networks)
    keywords = [one_line(", ".join(f"{k}={v}" for k, v in kw.items()), 40)
                for kw in (settings.keywords, settings.compare_keywords)]  # fmt: skip
    if keywords[0] != keywords[1]:
        return [(f"{first}({keywords[0]})", a), (f"{second}({keywords[1]})", b)]
    return [(f"{first} 1", a), (f"{second} 2", b)]


def _batch(settings: Inspection, device: torch.device) -> data.Batch:
    if settings.data is not None:
        opened = data.open_data(settings.data, batch=settings.batch, seed=settings.seed, **dict(settings.data_options))
    else:
        opened = _random_batch(settings)
    dimension = settings.batch_dim

    def placed(value: Tensor) -> Tensor:
        if not -value.dim() <= dimension < value.dim():
            raise InspectionError(f"--batch-dim {dimension}: the inputs have {value.dim()} dimensions, from 0 on")
        return value.movedim(0, dimension).to(device)

    inputs = tree_map(placed, opened.inputs)
    targets = opened.targets if opened.targets is None else tree_map(lambda value: value.to(device), opened.targets)
    return data.Batch(inputs, targets, opened.name, opened.description)


def _random_batch(settings: Inspection) -> data.Batch:
    generator = torch.Generator().manual_seed(settings.seed)
    shape = (settings.batch, *(settings.input_shape or ()))
    told = "×".join(map(str, shape[1:]))
    if settings.vocab is not None:
        tokens = torch.randint(settings.vocab, shape, generator=generator)
        description = f"{settings.batch} random inputs of shape {told}: token ids 0 … {settings.vocab - 1}"
        return data.Batch(tokens, None, "random", f"{description}, equally likely, seed {settings.seed}")
    description = f"{settings.batch} random inputs of shape {told}: independent normal numbers, mean 0, variance 1"
    normal = torch.randn(shape, generator=generator)
    return data.Batch(normal, None, "random", f"{description}, seed {settings.seed}")


def _trace(
    model: nn.Module, batch: data.Batch, loss: Loss | None, settings: Inspection, tick: Callable[[int], None]
) -> Trace:
    targets = batch.targets if loss is not None and not settings.random_targets else None
    with naming_the_layer(model, batch.inputs, _advice(settings)):
        result = trace(
            model,
            batch.inputs,
            targets,
            loss,
            layers=settings.layers,
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
