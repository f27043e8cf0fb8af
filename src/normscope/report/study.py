"""The main job: a batch of digits travels through an MLP and a ResNet, in four variants of normalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from normscope import data, models
from normscope.tracing import Trace, preserved, trace, watched_layers

NORMS = ("batch", "recenter", "rescale", "none")
MODELS = ("mlp", "resnet")
# the layers along which the batch is watched: what each block hands to the next
_STREAM = {"mlp": ("blocks.*.activation",), "resnet": ("stem.activation", "stage*.*.activation2")}
_DIGITS = 1797  # in scikit-learn's set
_ELEMENTS_PER_TICK = 20_000  # below this many, a layer costs its overhead; above, its elements


@dataclass(frozen=True)
class Settings:
    """What the main job runs. Checked when made.

    Args:
        seed: seed of the batch and of the weights.
        batch: number of digits.
        depth: hidden layers of the MLP.
        width: units in each of them.
        resnet_depth: layers of the CIFAR ResNet, 6 m + 2.
        models: which of "mlp", "resnet".
        norms: which of "batch", "recenter", "rescale", "none".

    Raises:
        ValueError: a setting that cannot run; says which and what is possible.
    """

    seed: int = 0
    batch: int = 64
    depth: int = 300
    width: int = 256
    resnet_depth: int = 110
    models: tuple[str, ...] = MODELS
    norms: tuple[str, ...] = NORMS

    def __post_init__(self) -> None:
        _at_least("batch", self.batch, 4, "a batch has at least 4 samples: with fewer no point can be odd")
        if self.batch > _DIGITS:
            raise ValueError(f"--batch {self.batch}: there are {_DIGITS} digits")
        _at_least("depth", self.depth, 1, "a network has at least 1 hidden layer")
        _at_least("width", self.width, 1, "a layer has at least 1 unit")
        _at_least("seed", self.seed, 0, "a seed is not negative")
        if self.seed >= 2**32:
            raise ValueError(f"--seed {self.seed}: a seed has 32 bits")
        if self.resnet_depth < 8 or (self.resnet_depth - 2) % 6:
            raise ValueError(f"--resnet-depth {self.resnet_depth}: must be 6 m + 2 with m >= 1, such as 20, 56 or 110")
        _known("model", self.models, MODELS)
        _known("norm", self.norms, NORMS)


@dataclass(frozen=True, eq=False)
class Run:
    """One network of the study: its trace, and the depth (number of the block's last layer) of each row."""

    model: str
    norm: str
    trace: Trace
    depths: list[int]


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
    """
    report = progress or (lambda done, total, what: None)
    images, labels = _batch(settings, size=8, channels=1)
    study = Study(settings, images, labels)
    plans = [(model, norm) for model in settings.models for norm in settings.norms]
    works = {(m, n): _work(m, n, settings) for m, n in plans}
    total, done = sum(works.values()), 0.0
    for model, norm in plans:
        done = _run_one(study, model, norm, lambda d, what: report(d, total, what), done)
    return study


def _run_one(study: Study, model: str, norm: str, report: Callable[[float, str], None], done: float) -> float:
    what = f"{model}, norm {norm}"
    report(done, what)

    def tick(elements: int) -> None:
        nonlocal done
        done += _tick_work(elements)
        report(done, what)

    network = _network(model, norm, study.settings)
    inputs, targets = _inputs(model, study.settings)
    result = trace(network, inputs, targets, layers=_STREAM[model], seed=study.settings.seed, progress=tick)
    study.runs.append(Run(model, norm, result, _depths(model, len(result.table))))
    return done


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


def _at_least(option: str, value: int, least: int, why: str) -> None:
    if value < least:
        raise ValueError(f"--{option} {value}: {why}")


def _known(option: str, chosen: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in chosen:
        if name not in known:
            raise ValueError(f"--{option} {name}: not known; choose from {', '.join(known)}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"--{option}: name at least one of {', '.join(known)}, each once")
