"""What the user gives, checked: points of the input space, layers by name, units to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from normscope.loading import LoadingError, describe, suggestion
from normscope.spline.cutting.whole import shortly, whole_number
from normscope.spline.distances.gaps import unit_count
from normscope.spline.given import real_numbers
from normscope.spline.reading.called import folds_matching
from normscope.spline.reading.program import Program, read


def as_program(model: nn.Module | Program, inputs: Any, batch: Tensor | None) -> tuple[Program, Tensor]:
    """The model as a program, and its inputs as points, (n, *input_shape), float64.

    Raises:
        ValueError: inputs of another shape than the model's, without a sample dimension, or not finite; a batch with
            a program, which has been read already; or the model cannot be read.
        TypeError: inputs are no numbers.
    """
    points = real_numbers("inputs", inputs)
    if points.ndim < 2:
        raise ValueError(f"inputs have shape {tuple(points.shape)}: samples come first, (n, ...)")
    if isinstance(model, Program):
        if batch is not None:
            raise ValueError("batch: a program has its statistics already; give the batch to spline.read")
        program = model
    else:
        program = _read(model, points, batch)
    if tuple(points.shape[1:]) != tuple(program.input_shape):
        expected = ", ".join(["n", *map(str, program.input_shape)])
        raise ValueError(f"inputs have shape {tuple(points.shape)}, this model takes ({expected})")
    return program, points


def _read(model: nn.Module, points: Tensor, batch: Tensor | None) -> Program:
    try:
        return read(model, tuple(points.shape[1:]), batch=batch)
    except LoadingError as error:
        if "cannot be run" not in str(error):
            raise
        raise LoadingError(f"inputs have shape {tuple(points.shape)}, and {error}") from error


def chosen_folds(program: Program, layers: str | Sequence[str] | None) -> list[int]:
    """Indices of the folds whose layer matches one of the names or glob patterns; of all for None.

    The name of a fold stands for that fold (``act:1``), but the name of a layer that is called several times for all
    its calls (``act``); see `folds_matching`.

    Raises:
        ValueError: a pattern matches none, or the model does not fold at all.
        TypeError: no names.
    """
    names = [fold.layer for fold in program.folds]
    if not names:
        raise ValueError("this model does not fold: it has no ReLU, max pooling or other kink, and is affine")
    if layers is None:
        return list(range(len(names)))
    if not isinstance(layers, Sequence) or not all(isinstance(pattern, str) for pattern in layers):
        raise TypeError(f"layers are names or glob patterns, not {describe(layers)}")
    patterns = [layers] if isinstance(layers, str) else list(layers)
    if not patterns:
        raise ValueError("layers: an empty list; None stands for all")
    chosen: set[int] = set()
    for pattern in patterns:
        found = folds_matching(program.folds, pattern)
        if not found:
            raise ValueError(f"layers: no layer {shortly(pattern)} folds in this model{suggestion(pattern, names)}")
        chosen.update(found)
    return sorted(chosen)


def chosen_units(program: Program, folds: Sequence[int], units: int | None, seed: int) -> dict[int, Tensor]:
    """All units of each fold, or ``units`` of those that have more, drawn without replacement, in order.

    Raises:
        ValueError: ``units`` below 1.
        TypeError: ``units`` or ``seed`` is no whole number.
    """
    units = None if units is None else whole_number("units", units, 1)
    generator = torch.Generator().manual_seed(whole_number("seed", seed))
    chosen = {}
    for index in folds:
        count = unit_count(program.folds[index])
        if units is None or units >= count:
            chosen[index] = torch.arange(count)
        else:
            chosen[index] = torch.randperm(count, generator=generator)[:units].sort().values
    return chosen
