"""`normscope partition`: settings in, partitions out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope import data
from normscope.loading import one_line
from normscope.report.partition.networks import described, networks_of, normalized
from normscope.report.partition.settings import PartitionError, PartitionSettings
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.partition.window import Extent, around, that_can_be_drawn
from normscope.spline import Partition, decision_boundary, partition, plane_through

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
    inputs, labels, told = _data(settings)
    plane, points, place = _plane(settings, inputs)
    classes = 2 if labels is None else max(2, int(labels.max()) + 1)
    networks = networks_of(settings, inputs, classes)
    by_batch = (settings.statistics or ("batch" if settings.model is None else "running")) == "batch"
    shown = labels if settings.samples is None or labels is None else labels[list(settings.samples)]
    mean = inputs.double().mean(0).reshape(2).numpy() if settings.samples is None else None

    def cut(model: nn.Module, extent: Extent, tick: Progress, keep_interrupted: bool = True) -> Partition:
        batch = inputs if by_batch else None
        return _partition(model, plane, extent, batch, settings.max_regions, tick, keep_interrupted)

    ready: Partition | None = None

    if settings.extent is not None:
        extent = settings.extent
    elif settings.samples is None:
        extent = around(points)
    else:
        looking = partial(report, 0, len(networks), "looking for a window")
        extent, window, ready = that_can_be_drawn(
            points,
            lambda window: cut(networks[0][1], window, lambda *_: looking(), keep_interrupted=False),
            settings.max_regions,
        )
        place = f"{place}, {window}"
    panels: list[Panel] = []
    stopped: list[str] = []
    for index, (name, model) in enumerate(networks):
        begun = time.perf_counter()

        def tick(done: float, total: float, what: str, index: int = index, name: str = name) -> None:
            report(index + done / max(total, 1), len(networks), one_line(f"{name}: {what}", 80))

        try:
            found = ready if index == 0 and ready is not None else cut(model, extent, tick)
        except KeyboardInterrupt:
            if not panels:
                raise
            stopped.append(f"interrupted: {len(panels)} of {len(networks)} pictures are drawn")
            break
        boundary = _boundary(found)
        panels.append(Panel(name, found, points, shown, mean, boundary, time.perf_counter() - begun))
        if not found.complete:
            stopped.append(_stopped(name, found, len(panels), len(networks), settings))
            if "interrupted" in found.note:
                break
    statistics = ""
    if any(normalized(model) for _, model in networks):
        whose = f"of the {len(inputs)} samples" if by_batch else "that they hold (running statistics)"
        statistics = f"Batch norms use the statistics {whose}"
        if not by_batch and all(map(_untrained, (model for _, model in networks))):
            statistics += "; these are the initial ones, which do nothing: --statistics batch takes the data's"
    return Partitioned(
        tuple(panels), described(settings), told, place, statistics, settings.model is None, _together(stopped)
    )  # fmt: skip


def _untrained(model: nn.Module) -> bool:
    """Whether no batch norm has seen a batch."""
    counts = [buffer for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]
    return all(not int(count) for count in counts)


def _data(settings: PartitionSettings) -> tuple[Tensor, NDArray[np.int64] | None, str]:
    """Inputs (n, …), their classes if they have any, and one line on them."""
    opened = data.open_data(
        settings.data, batch=settings.batch, seed=settings.seed, **dict(settings.data_options)
    )  # fmt: skip
    inputs, targets = opened.inputs, opened.targets
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise PartitionError(
            f"--data {one_line(settings.data)}: a partition is of one input of real numbers, and these are "
            f"{'several inputs' if not isinstance(inputs, Tensor) else 'whole numbers'}"
        )
    labels = None
    if isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point():
        labels = targets.to(torch.int64).numpy()
    return inputs, labels if labels is None or labels.min() >= 0 else None, opened.description


def _plane(
    settings: PartitionSettings, inputs: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor] | None, NDArray[np.float64], str]:
    """The plane, the data in its coordinates, and one line on it."""
    shape = tuple(inputs.shape[1:])
    if settings.samples is None:
        if inputs[0].numel() != 2:
            told = "×".join(map(str, shape))
            raise PartitionError(
                f"--data {one_line(settings.data)}: samples of shape {told} are not 2-D; "
                "a picture is of the plane through three of them: --samples 0,1,2"
            )
        points = inputs.double().reshape(-1, 2).numpy()
        directions = torch.eye(2, dtype=torch.float64).reshape(2, *shape)
        plane = None if shape == (2,) else (torch.zeros(shape, dtype=torch.float64), directions[0], directions[1])
        return plane, points, "The picture is the whole input space, which is 2-D, in a window"
    told = ",".join(map(str, settings.samples))
    try:
        found, where = plane_through(*(inputs[number] for number in settings.samples))
    except ValueError as error:
        raise PartitionError(f"--samples {told}: {error}") from error
    return found, where, f"The picture is of the plane through samples {told.replace(',', ', ')}, the dots"


def _partition(
    model: nn.Module,
    plane: tuple[Tensor, Tensor, Tensor] | None,
    extent: Sequence[float],
    batch: Tensor | None,
    limit: int,
    tick: Progress,
    keep_interrupted: bool,
) -> Partition:
    with warnings.catch_warnings():
        # what is not complete is told on the page, in the terminal and by the exit code
        warnings.filterwarnings("ignore", message="the partition is not complete", category=RuntimeWarning)
        return partition(
            model, plane, extent, batch=batch, max_regions=limit, progress=tick, keep_interrupted=keep_interrupted
        )  # fmt: skip


def _boundary(found: Partition) -> NDArray[np.float64]:
    if not found.complete or len(found.program.output_shape) != 1:
        return np.empty((0, 2, 2))
    return decision_boundary(found).segments


def _stopped(name: str, found: Partition, done: int, total: int, settings: PartitionSettings) -> str:
    first = {0: "none", 1: "the first"}.get(found.folds_done, f"the first {found.folds_done}")
    layers = f"{first} of {len(found.folds)} layers"
    if "interrupted" in found.note:
        missing = f"; {done} of {total} pictures" if total > 1 else ""
        return f"interrupted: {name} is drawn with {layers}{missing}"
    return f"{name} has more than {settings.max_regions:,} regions and is drawn with {layers}"


def _together(stopped: Sequence[str]) -> str | None:
    """What is not done in all pictures, and what to do about it."""
    if not stopped:
        return None
    limited = any("more than" in sentence for sentence in stopped)
    advice = ": raise --max-regions, or take a smaller window with --extent" if limited else ""
    return "; ".join(stopped) + advice
