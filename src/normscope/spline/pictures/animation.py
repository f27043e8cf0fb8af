"""A partition layer by layer, as an animated GIF. Needs matplotlib and Pillow: the extras plot and images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from normscope.spline.cutting.partition import Partition
from normscope.spline.pictures.merging import merged_regions
from normscope.spline.pictures.picture import Picture, count_of, legend_below, line_width, picture_of, plain
from normscope.system import written_whole

try:
    from PIL import Image
except ImportError as error:
    raise ImportError("animations need Pillow: pip install 'normscope[images]'", name="PIL") from error

_DPI = 110
_LAST = 2.5  # so many times longer the last picture stays
_NAME = 40  # characters of a title


def animate(
    partitions: Partition | Sequence[Partition],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] = (),
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    seconds: float = 1.2,
    linewidth: float | None = None,
) -> None:
    """Write a GIF that adds one layer's folds after the other, several partitions side by side; whole, or not at all.

    Args:
        partitions: one, or several of networks with as many layers.
        path: where to.
        names: titles of the partitions.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes.
        mean: (2,), the mean of the data, drawn as ×.
        seconds: how long each layer is shown; at the end all layers are shown in colours of their own, and longer.
        linewidth: of folds, in points, in all frames; by default thinner the more there are in the fullest.

    Raises:
        ImportError: matplotlib or Pillow is not installed.
        ValueError: no partition, not as many names as partitions, ``seconds`` that is not positive, or data as in
            `normscope.spline.pictures.figures.plot`.
        OSError: the path cannot be written.
    """
    several = [partitions] if isinstance(partitions, Partition) else list(partitions)
    if not several:
        raise ValueError("nothing to animate: no partition")
    if names and len(names) != len(several):
        raise ValueError(f"{len(names)} names for {len(several)} partitions")
    if not 0 < seconds < 1000:
        raise ValueError(f"seconds={seconds}: how long each layer is shown, positive")
    shown: dict[str, Any] = {"points": points, "labels": labels, "mean": mean}
    shown["linewidth"] = line_width(several) if linewidth is None else linewidth
    deepest = max(partition.folds_done for partition in several)
    total = max(len(partition.folds) for partition in several)
    whole = all(partition.complete for partition in several)
    if not deepest:
        ending = "no layer done yet" if total else "no layer folds"
    else:
        ending = "all layers" if whole else f"the first {deepest} of {total} layers"
    frames = []
    for step in range(deepest + 1):
        pictures = []
        for partition in several:
            last = min(step, partition.folds_done - 1)
            pictures.append(picture_of(partition, layer=last if step < deepest and last >= 0 else None, **shown))
        frames.append(_frame(pictures, names, f"layer {step + 1} of {total}" if step < deepest else ending))
    durations = [1000 * seconds] * deepest + [1000 * seconds * _LAST]
    with written_whole(path) as file:
        first, *rest = (frame.quantize(128, dither=Image.Dither.NONE) for frame in frames)
        first.save(file, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, disposal=1)


def _frame(pictures: Sequence[Picture], names: Sequence[str], told: str) -> Image.Image:
    """The pictures side by side."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.size": 9}):
        figure = Figure(figsize=(3.6 * len(pictures), 4.6), dpi=_DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(pictures), squeeze=False)[0]
        for k, (picture, axis) in enumerate(zip(pictures, axes, strict=True)):
            picture.draw(axis)
            count = int(merged_regions(picture.partition, picture.last).max()) + 1
            name = f"{plain(names[k], _NAME)}\n" if names else ""
            axis.set_title(f"{name}{count_of(count)}", fontsize="medium")
            axis.label_outer()
        legend_below(figure, pictures[0].data_handles())
        figure.suptitle(told, fontsize="large")
        figure.draw_without_rendering()  # a first time: the layout needs the sizes of its texts
        canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombytes("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")
