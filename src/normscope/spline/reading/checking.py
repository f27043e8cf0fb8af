"""What was read, held against the model before anybody relies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normscope.loading import LoadingError
from normscope.spline.reading.capture import Subject

if TYPE_CHECKING:
    from normscope.spline.reading.program import Program

_SAMPLES = 4  # neither of the numbers that were recorded
_TOLERANCE = 1e-8  # of the largest number of a layer: far above rounding, far below another computation
_ROUNDING = 1e-12  # of the largest weight or input: what numbers that cancel leave of a layer may be wrong by


def check(program: Program, subject: Subject) -> None:
    """Check that a program computes what the model does, every sample by itself.

    Raises:
        LoadingError: it does not, or there are numbers that are not finite; the message names the layer.
    """
    points = subject.batch(_SAMPLES)
    with torch.no_grad():
        weights = [*subject.model.parameters(), *subject.model.buffers(), points]
        floor = _ROUNDING * max(1.0, *(float(weight.abs().max()) for weight in weights if weight.numel()))
        other = torch.cat([points[:1], -2 * points[1:]])  # of the same shape, so that the first is rounded alike
        everything = zip(
            program.folds,
            program.arguments(points),
            program.arguments(other),
            program.arguments(points[:1]),
            strict=True,
        )
        for fold, many, changed, one in everything:
            if not many.isfinite().all():
                raise LoadingError(f"layer {fold.layer!r} is given numbers that are not finite, by weights or overflow")
            if not (_close(many[:1], changed[:1]) and _close(many[:1], one, floor)):
                raise LoadingError(
                    f"what layer {fold.layer!r} is given for one sample depends on the others of its batch: there is "
                    f"no partition of the space of one input"
                )
        outputs = program.outputs(points)
        if not outputs.isfinite().all():
            raise LoadingError("the model puts out numbers that are not finite, by weights or overflow")
        if not _close(outputs[:1], program.outputs(points[:1]), floor):
            raise LoadingError("the output of one sample depends on the others of its batch")
        if not _close(outputs, subject.outputs(points), floor):
            raise LoadingError(
                "the model computes something else for another batch than when it was read: what it computes may "
                "depend on the input alone, by the same operations for all"
            )


def _close(one: Tensor, two: Tensor, floor: float = 1e-300) -> bool:
    scale = float(two.abs().max()) if two.numel() else 0.0
    return one.shape == two.shape and bool(((one - two).abs() <= max(floor, _TOLERANCE * scale)).all())
