"""The partition of a slice: the window, cut by one fold of the model after another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from normscope.loading import LoadingError
from normscope.spline.cutting.columns import columns_of
from normscope.spline.cutting.folding import Folded, RegionLimit, fold_once, unfolded
from normscope.spline.cutting.partition import Partition
from normscope.spline.cutting.plane import Plane, read_extent, read_plane
from normscope.spline.cutting.values import Values
from normscope.spline.cutting.whole import whole_number
from normscope.spline.reading.program import Fold, Program, read

Progress = Callable[[float, float, str], None]


def partition(
    model: nn.Module | Program,
    plane: Sequence[Any] | Plane | None,
    extent: Sequence[float],
    *,
    batch: Tensor | None = None,
    max_regions: int = 2_000_000,
    progress: Progress | None = None,
    keep_interrupted: bool = False,
) -> Partition:
    """The regions of a window of a plane on which a piecewise affine model is affine.

    The model is evaluated, in float64 and eval mode, at the vertices of what is cut so far. On a region, the argument z
    of the next fold (ReLU and its kin, max pooling) is affine: a unit's line crosses the region where z − kink has both
    signs at its vertices. So no affine map is ever carried along, and no error builds up from fold to fold.

    Args:
        model: any module that is continuous and piecewise affine in its one input; or what `read` makes of it.
        plane: (origin, u, v), arrays of the shape of one input; see `plane_through`. None: the whole input space,
            of two inputs.
        extent: the window (xmin, xmax, ymin, ymax), in coordinates of the plane.
        batch: (n, *input shape): batch normalization uses its statistics, layer by layer. None: running statistics.
        max_regions: where a fold would make more, the partition by the folds before it is returned, with a warning.
        progress: called as (folds done, all folds, what is running).
        keep_interrupted: return the partition by the folds that are done on a KeyboardInterrupt, with a warning;
            otherwise it is raised.

    Returns:
        `Partition`.

    Raises:
        ValueError: a plane, a window or a limit that makes no sense, or a model that is not piecewise affine; says
            which and what to do.
        TypeError: the model is no module, or ``max_regions`` no whole number.

    Source: evaluation at vertices as in Berzins, "Polyhedral complex extraction from ReLU networks using edge
    subdivision", ICML 2023; cutting all faces of a slice at once is normscope's own.
    """
    window = read_extent(extent)
    most = whole_number("max_regions", max_regions, 1)
    if isinstance(model, Program):
        if batch is not None:
            raise ValueError("batch: a program has its statistics already; give the batch to spline.read")
        program, slice_ = model, read_plane(plane, model.input_shape)
    else:
        slice_ = read_plane(plane, None)
        program = _read(model, tuple(slice_.origin.shape), batch)
    folded, note = unfolded(window), ""
    values, total = Values(program, slice_), len(program.folds)
    try:
        with torch.no_grad():
            for done, fold in enumerate(program.folds):
                tick = _ticker(progress, done, total, fold)
                tick(0.0)
                folded = fold_once(folded, columns_of(fold), values, most, tick)
    except RegionLimit:
        note = _limit_note(folded, program.folds, most)
    except KeyboardInterrupt:
        if not keep_interrupted:
            raise
        note = f"interrupted in {_place(folded, program.folds)}"
    if note:
        warnings.warn(f"the partition is not complete: {note}", RuntimeWarning, stacklevel=2)
    if progress is not None:
        progress(len(folded.tolerances), total, f"{folded.complex.faces} regions")
    return Partition(program, slice_, window, folded.tolerances, note, folded.doubtful, _complex=folded.complex)


def _read(model: nn.Module, shape: tuple[int, ...], batch: Tensor | None) -> Program:
    try:
        return read(model, shape, batch=batch)
    except LoadingError as error:
        if "cannot be run" not in str(error):
            raise
        what = f"the plane is one of inputs of shape {shape}"
        raise LoadingError(
            f"{what}, and the model cannot take such: give a plane of the shape of one input ({error})"
        ) from error


def _ticker(progress: Progress | None, done: int, total: int, fold: Fold) -> Callable[[float], None]:
    def tick(share: float) -> None:
        if progress is not None:
            progress(done + share, total, fold.layer)

    return tick


def _limit_note(folded: Folded, folds: tuple[Fold, ...], limit: int) -> str:
    return (
        f"{_place(folded, folds)} would make more than {limit} regions of {folded.complex.faces}: "
        "take a smaller window, or raise max_regions"
    )


def _place(folded: Folded, folds: tuple[Fold, ...]) -> str:
    """The fold that comes next, in words."""
    done = len(folded.tolerances)
    return f"fold {done + 1} of {len(folds)} (layer {folds[done].layer!r})" if done < len(folds) else "the end"
