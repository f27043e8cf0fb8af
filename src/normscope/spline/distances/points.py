"""What the user gives, checked: points of the input space, layers by name, units to look at."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normscope.loading import suggestion
from normscope.spline.distances.gaps import unit_count
from normscope.spline.reading.program import Program, read


def as_program(model: nn.Module | Program, inputs: Any, batch: Tensor | None) -> tuple[Program, Tensor]:
    """The model as a program, and its inputs as points, (n, *input_shape), float64.

    Raises:
        ValueError: inputs of another shape than the model's, without a sample dimension, or not finite; a batch with
            a program, which has been read already; or the model cannot be read.
        TypeError: inputs are no numbers.
    """
    points = _numbers(inputs)
    if isinstance(model, Program):
        if batch is not None:
            raise ValueError("batch: a program has its statistics already; give the batch to spline.read")
        program = model
    else:
        program = read(model, tuple(points.shape[1:]), batch=batch)
    if tuple(points.shape[1:]) != tuple(program.input_shape):
        expected = ", ".join(["n", *map(str, program.input_shape)])
        raise ValueError(f"inputs have shape {tuple(points.shape)}, this model takes ({expected})")
    return program, points


def _numbers(inputs: Any) -> Tensor:
    if not isinstance(inputs, Tensor):
        array = np.asarray(inputs)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"inputs are a {type(inputs).__name__} of {array.dtype}, no array of numbers")
        inputs = torch.tensor(array)
    if inputs.is_complex():
        raise TypeError("inputs are complex: points of the input space are real")
    points: Tensor = inputs.detach().to("cpu", torch.float64)
    if points.ndim < 2:
        raise ValueError(f"inputs have shape {tuple(points.shape)}: samples come first, (n, ...)")
    wrong = (~torch.isfinite(points)).flatten(1).any(1).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(f"inputs hold nan or infinity: first in sample {wrong[0]}, in {len(wrong)} of {len(points)}")
    return points


def chosen_folds(program: Program, layers: str | Sequence[str] | None) -> list[int]:
    """Indices of the folds whose layer matches one of the names or glob patterns; of all for None.

    Raises:
        ValueError: a pattern matches none, or the model does not fold at all.
    """
    names = [fold.layer for fold in program.folds]
    if not names:
        raise ValueError("this model does not fold: it has no ReLU, max pooling or other kink, and is affine")
    if layers is None:
        return list(range(len(names)))
    patterns = [layers] if isinstance(layers, str) else list(layers)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) or name == pattern for name in names):
            known = list(dict.fromkeys(names))
            raise ValueError(f"layers: no layer {pattern!r} folds in this model{suggestion(pattern, known)}")
    if not patterns:
        raise ValueError("layers: an empty list; None stands for all")
    return [i for i, name in enumerate(names) if any(fnmatchcase(name, p) or name == p for p in patterns)]


def chosen_units(program: Program, folds: Sequence[int], units: int | None, seed: int) -> dict[int, Tensor]:
    """All units of each fold, or ``units`` of those that have more, drawn without replacement, in order.

    Raises:
        ValueError: ``units`` below 1.
    """
    if units is not None and units < 1:
        raise ValueError(f"units is the number looked at in a layer, at least 1, got {units}")
    generator = torch.Generator().manual_seed(seed)
    chosen = {}
    for index in folds:
        count = unit_count(program.folds[index])
        if units is None or units >= count:
            chosen[index] = torch.arange(count)
        else:
            chosen[index] = torch.randperm(count, generator=generator)[:units].sort().values
    return chosen
