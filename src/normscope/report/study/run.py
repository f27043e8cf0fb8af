"""The main job: a batch of digits travels through an MLP and a ResNet, in four variants of normalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from normscope import data, models, theory
from normscope.report.grouping import Grouping, grouping
from normscope.report.study.memory import ensure_fits
from normscope.report.study.settings import Settings
from normscope.tracing import Trace, preserved, trace, watched_layers

# the layers along which the batch is watched: what each block hands to the next
_STREAM = {"mlp": ("blocks.*.activation",), "resnet": ("stem.activation", "stage*.*.activation2")}
_PUBLISHED_DEPTH = 110  # of the one residual network whose channels a paper shows
_ELEMENTS_PER_TICK = 20_000  # below this many, a layer costs its overhead; above, its elements


@dataclass(frozen=True, eq=False)
class Run:
    """One network of the study.

    Attributes:
        model: "mlp" or "resnet".
        norm: its normalization.
        trace: of the layers along which the batch is watched.
        depths: of each row of the trace, the number of the block's last layer.
        groupings: of each row, which samples sit apart.
        ln_channel_std: of a ResNet-110, ln of the channel standard deviation (mean over the channels) of what comes
            out of the layers `normscope.theory.CHANNEL_STD_LAYERS`; of other networks empty.
    """

    model: str
    norm: str
    trace: Trace
    depths: list[int]
    groupings: list[Grouping]
    ln_channel_std: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Study:
    """The runs of the main job, and the batch that travelled through all of them."""

    settings: Settings
    images: Tensor  # shape: (n, 1, 8, 8)
    labels: Tensor  # shape: (n,)
    runs: list[Run] = field(default_factory=list)


def run_study(settings: Settings, progress: Callable[[float, float, str], None] | None = None) -> Study:
    """Run the main job.

    Args:
        settings: what to run.
        progress: called with (work done, all work, what is running); the unit of work is arbitrary.

    Returns:
        The `Study`; one `Run` for each model and norm, in the order of the settings.

    Raises:
        MemoryError: it would not fit into what is free; says what to lower.
    """
    ensure_fits(settings)
    report = progress or (lambda done, total, what: None)
    images, labels = _batch(settings, size=8, channels=1)
    study = Study(settings, images, labels)
    plans = [(model, norm) for model in settings.models for norm in settings.norms]
    works = {(m, n): _work(m, n, settings) for m, n in plans}
    total, done = sum(works.values()), 0.0
    for model, norm in plans:

        def moved(work: float, before: float = done, what: str = f"{model}, norm {norm}") -> None:
            report(before + work, total, what)

        moved(0)
        study.runs.append(_run_one(settings, model, norm, moved))
        moved(works[model, norm])
        done += works[model, norm]
    return study


def _run_one(settings: Settings, model: str, norm: str, moved: Callable[[float], None]) -> Run:
    done = 0.0

    def tick(elements: int) -> None:
        nonlocal done
        done += _tick_work(elements)
        moved(done)

    network = _network(model, norm, settings)
    inputs, targets = _inputs(model, settings)
    result = trace(network, inputs, targets, layers=_STREAM[model], seed=settings.seed, progress=tick)
    calls = zip(result.table["layer"], result.table["call"], strict=True)
    groupings = [grouping(result.gram(layer, call)) for layer, call in calls]
    published = model == "resnet" and settings.resnet_depth == _PUBLISHED_DEPTH
    spread = _ln_channel_std(network, inputs, settings.seed) if published else ()
    return Run(model, norm, result, _depths(model, len(result.table)), groupings, spread)


def _ln_channel_std(network: nn.Module, inputs: Tensor, seed: int) -> tuple[float, ...]:
    convolutions = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    numbered = [*convolutions, "head"]
    layers = [numbered[number - 1] for number in theory.CHANNEL_STD_LAYERS]
    channels = trace(network, inputs, layers=layers, measures=("moments",), seed=seed)
    with np.errstate(divide="ignore"):
        return tuple(float(np.log(channels.channels(layer)["std"].mean())) for layer in layers)


def _network(model: str, norm: str, settings: Settings) -> nn.Module:
    if model == "mlp":
        return models.mlp(64, settings.width, settings.depth, 10, norm=norm, init="he", seed=settings.seed)
    return models.cifar_resnet(settings.resnet_depth, norm, "B", seed=settings.seed)


def _inputs(model: str, settings: Settings) -> tuple[Tensor, Tensor]:
    return _batch(settings, size=8, channels=1) if model == "mlp" else _batch(settings, size=32, channels=3)


def _batch(settings: Settings, size: int, channels: int) -> tuple[Tensor, Tensor]:
    """The batch, sorted by class, so that classes are blocks of the heat map."""
    digits = data.digits(size, channels, count=settings.batch, seed=settings.seed)
    order = torch.argsort(digits.targets, stable=True)
    return digits.inputs[order], digits.targets[order]


def _depths(model: str, rows: int) -> list[int]:
    # a residual block holds two layers, and the stem is the first
    return list(range(1, rows + 1)) if model == "mlp" else list(range(1, 2 * rows, 2))


def _work(model: str, norm: str, settings: Settings) -> float:
    """Work of one run, from the shapes that a forward of two samples shows."""
    network = _network(model, norm, settings)
    inputs, _ = _inputs(model, settings)
    sizes: list[int] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        sizes.append(output.numel() // 2 * settings.batch)

    with preserved(network), torch.no_grad():
        for layer in watched_layers(network, _STREAM[model]).values():
            layer.register_forward_hook(note)
        network(inputs[:2])
    return 2 * sum(map(_tick_work, sizes))  # forward and backward


def _tick_work(elements: int) -> float:
    return 1 + elements / _ELEMENTS_PER_TICK
