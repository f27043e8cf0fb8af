"""The samples of a partition, and the plane through them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import data
from normscope.loading import one_line
from normscope.report.partition.misfit import features
from normscope.report.partition.settings import PartitionError, PartitionSettings, numbered
from normscope.spline import plane_through

_SAMPLES = 200  # at most, if nobody asks for a number

SlicePlane = tuple[Tensor, Tensor, Tensor]


def open_samples(settings: PartitionSettings) -> tuple[Tensor, NDArray[np.int64] | None, str]:
    """Inputs (n, …), their classes if they have any, and one line on them.

    Raises:
        ValueError: there are no such data, too few of them, or no points in a space of real numbers.
    """
    opened = data.open_data(
        settings.data, batch=settings.batch or _SAMPLES, seed=settings.seed, fewer=settings.batch is None,
        **dict(settings.data_options),
    )  # fmt: skip
    inputs, targets = opened.inputs, opened.targets
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise PartitionError(
            f"--data {one_line(settings.data)}: a partition is of one input of real numbers, and these are "
            f"{'several inputs' if not isinstance(inputs, Tensor) else 'whole numbers'}"
        )
    if len(inputs) < 2:
        raise PartitionError(f"--data {one_line(settings.data)}: it holds one sample, and a partition needs at least 2")
    labels = None
    if isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point():
        labels = targets.to(torch.int64).numpy()
    return inputs, labels if labels is None or labels.min() >= 0 else None, opened.description


def open_plane(settings: PartitionSettings, inputs: Tensor) -> tuple[SlicePlane | None, NDArray[np.float64], str]:
    """The plane (None: the input space itself), the data in its coordinates, and one line on it.

    Raises:
        ValueError: the input space is no plane and no three samples are named, or there is no plane through these.
    """
    shape = tuple(inputs.shape[1:])
    if settings.samples is None:
        if inputs[0].numel() != 2:
            raise PartitionError(
                f"--data {one_line(settings.data)}: samples of {features(shape)} are not 2-D; "
                "a picture is of the plane through three of them: --samples 0,1,2"
            )
        points = inputs.double().reshape(-1, 2).numpy()
        directions = torch.eye(2, dtype=torch.float64).reshape(2, *shape)
        plane = None if shape == (2,) else (torch.zeros(shape, dtype=torch.float64), directions[0], directions[1])
        return plane, points, "The picture is the whole input space, which is 2-D, in a window"
    told = ",".join(map(str, settings.samples))
    if max(settings.samples) >= len(inputs):
        if settings.batch is None and len(inputs) == _SAMPLES:
            raise PartitionError(
                f"--samples {told}: {_SAMPLES} samples are opened by default, numbers 0 to {_SAMPLES - 1}: "
                f"--batch {max(settings.samples) + 1} opens more"
            )
        raise PartitionError(f"--samples {told}: {numbered(len(inputs))}")
    try:
        found, where = plane_through(*(inputs[number] for number in settings.samples))
    except ValueError as error:
        raise PartitionError(f"--samples {told}: {error}") from error
    return found, where, f"The picture is of the plane through samples {told.replace(',', ', ')}, the dots"
