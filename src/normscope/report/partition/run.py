"""`normscope partition`: settings in, partitions out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normscope.loading import one_line
from normscope.nn import DecomposedBatchNorm
from normscope.report.partition.failing import explaining
from normscope.report.partition.networks import described, networks_of, normalized
from normscope.report.partition.opened import SlicePlane, open_plane, open_samples
from normscope.report.partition.settings import PartitionError, PartitionSettings
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.partition.window import Extent, around, that_can_be_drawn
from normscope.report.partition.words import counted
from normscope.spline import Partition, Program, decision_boundary, partition, read

Progress = Callable[[float, float, str], None]


def run_partition(settings: PartitionSettings, progress: Progress | None = None) -> Partitioned:
    """Make all pictures. After Ctrl-C, or where there are too many regions, what is done by then.

    Args:
        settings: what to draw.
        progress: called with (pictures done, all pictures, what is running).

    Raises:
        ValueError: whatever stands in the way, in one line.
        KeyboardInterrupt: before anything was done.
    """
    report = progress or (lambda done, total, what: None)
    inputs, labels, told = open_samples(settings)
    plane, points, place = open_plane(settings, inputs)
    classes = 2 if labels is None else max(2, int(labels.max()) + 1)
    networks = networks_of(settings, inputs, classes)
    if settings.statistics is not None and not any(normalized(model) for _, model in networks):
        raise PartitionError(
            f"--statistics {settings.statistics} is about batch normalization, and none is left in what is to be "
            "drawn: leave it out"
        )
    by_batch = (settings.statistics or ("batch" if settings.model is None else "running")) == "batch"
    shown = labels if settings.samples is None or labels is None else labels[list(settings.samples)]
    mean = inputs.double().mean(0).reshape(2).numpy() if settings.samples is None else None

    programs, seconds = _programs(networks, inputs, by_batch, settings, report)

    def cut(program: Program, extent: Extent, tick: Progress, keep_interrupted: bool = True) -> Partition:
        return _partition(program, plane, extent, settings.max_regions, tick, keep_interrupted)

    ready: Partition | None = None
    if settings.extent is not None:
        extent = settings.extent
    elif settings.samples is None:
        extent = around(points)
    else:
        looking = partial(report, 0, len(networks), "looking for a window")
        begun = time.perf_counter()
        extent, window, ready = that_can_be_drawn(
            points,
            lambda window: cut(programs[0], window, lambda *_: looking(), keep_interrupted=False),
            settings.max_regions,
        )
        seconds[0] += time.perf_counter() - begun
        place = f"{place}, {window}"
    panels: list[Panel] = []
    stopped: list[str] = []
    for index, (name, _) in enumerate(networks):
        begun = time.perf_counter()

        def tick(done: float, total: float, what: str, index: int = index, name: str = name) -> None:
            report(index + done / max(total, 1), len(networks), one_line(f"{name}: {what}", 80))

        try:
            found = ready if index == 0 and ready is not None else cut(programs[index], extent, tick)
        except KeyboardInterrupt:
            if not panels:
                raise
            stopped.append(f"interrupted: {len(panels)} of {len(networks)} pictures are drawn")
            break
        boundary = _boundary(found)
        seconds[index] += time.perf_counter() - begun
        panels.append(Panel(name, found, points, shown, mean, boundary, seconds[index]))
        if not found.complete:
            stopped.append(_stopped(name, found, len(panels), len(networks), settings))
            if "interrupted" in found.note:
                break
    statistics = ""
    if any(normalized(model) for _, model in networks):
        whose = f"of the {len(inputs)} samples" if by_batch else "that they hold (running statistics)"
        statistics = f"Batch norms use the statistics {whose}"
        if not by_batch and _initial([model for _, model in networks]):
            statistics += "; these are the initial ones, which do nothing: --statistics batch takes the data's"
    sentence = told[:1].upper() + told[1:]
    return Partitioned(
        tuple(panels), described(settings), sentence, place, statistics, settings.model is None, _together(stopped)
    )  # fmt: skip


def _initial(models: Sequence[nn.Module]) -> bool:
    """Whether batch norms hold statistics and all of them are means 0 and variances (or mean squares) 1."""
    held = [
        bool((statistic == start).all())
        for model in models
        for layer in model.modules()
        if isinstance(layer, _BatchNorm | DecomposedBatchNorm)
        for name, start in (("running_mean", 0), ("running_var", 1), ("running_mean_square", 1))
        if (statistic := getattr(layer, name, None)) is not None
    ]
    return bool(held) and all(held)


def _programs(
    networks: Sequence[tuple[str, nn.Module]],
    inputs: Tensor,
    by_batch: bool,
    settings: PartitionSettings,
    report: Progress,
) -> tuple[list[Program], list[float]]:
    """The networks as they are cut, and the seconds that reading each took: all of them, before there is work to lose.

    Raises:
        ValueError: one cannot be read, or not be drawn as asked.
    """
    programs, seconds = [], []
    for name, model in networks:
        report(0, len(networks), one_line(f"{name}: reading", 80))
        begun = time.perf_counter()
        with explaining(name, model, inputs, settings):
            program = read(model, tuple(inputs.shape[1:]), batch=inputs if by_batch else None)
        seconds.append(time.perf_counter() - begun)
        if settings.figure == "class" and len(program.output_shape) > 1:
            shape = "×".join(map(str, program.output_shape))
            raise PartitionError(
                f"--by class: {name} puts out numbers of shape {shape} for an input, not one a class; "
                "choose layers, layer, active or depth"
            )
        programs.append(program)
    return programs, seconds


def _partition(
    program: Program,
    plane: SlicePlane | None,
    extent: Sequence[float],
    limit: int,
    tick: Progress,
    keep_interrupted: bool,
) -> Partition:
    with warnings.catch_warnings():
        # what is not complete is told on the page, in the terminal and by the exit code
        warnings.filterwarnings("ignore", message="the partition is not complete", category=RuntimeWarning)
        return partition(
            program, plane, extent, max_regions=limit, progress=tick, keep_interrupted=keep_interrupted
        )  # fmt: skip


def _boundary(found: Partition) -> NDArray[np.float64]:
    if not found.complete or len(found.program.output_shape) != 1:
        return np.empty((0, 2, 2))
    return decision_boundary(found).segments


def _stopped(name: str, found: Partition, done: int, total: int, settings: PartitionSettings) -> str:
    first = {0: "none", 1: "the first"}.get(found.folds_done, f"the first {found.folds_done}")
    layers = f"{first} of {counted(len(found.folds), 'layer')}"
    if "interrupted" in found.note:
        missing = f"; {done} of {total} pictures" if total > 1 else ""
        return f"interrupted: {name} is drawn with {layers}{missing}"
    return f"{name} has more than {counted(settings.max_regions, 'region')} and is drawn with {layers}"


def _together(stopped: Sequence[str]) -> str | None:
    """What is not done in all pictures, and what to do about it."""
    if not stopped:
        return None
    limited = any("more than" in sentence for sentence in stopped)
    advice = ": raise --max-regions, or take a smaller window with --extent" if limited else ""
    return "; ".join(stopped) + advice
