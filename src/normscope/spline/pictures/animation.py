"""A partition layer by layer, as an animated GIF. Needs matplotlib and Pillow: the extras plot and images."""

from __future__ import annotations

import os
from collections.abc import Sequence

from numpy.typing import ArrayLike

from normscope.spline.cutting.partition import Partition
from normscope.spline.pictures.figures import plot
from normscope.spline.pictures.merging import merged_regions
from normscope.system import written_whole

try:
    from PIL import Image
except ImportError as error:
    raise ImportError("animations need Pillow: pip install 'normscope[images]'", name="PIL") from error

_DPI = 110
_LAST = 2.5  # so many times longer the last picture stays


def animate(
    partitions: Partition | Sequence[Partition],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] = (),
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    seconds: float = 1.2,
) -> None:
    """Write a GIF that adds one layer's folds after the other, several partitions side by side; whole, or not at all.

    Args:
        partitions: one, or several of networks with as many layers.
        path: where to.
        names: titles of the partitions.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes.
        seconds: how long each layer is shown; at the end all layers are shown in colours of their own, and longer.

    Raises:
        ImportError: matplotlib or Pillow is not installed.
        ValueError: no partition, not as many names as partitions, or ``seconds`` is not positive.
        OSError: the path cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    several = [partitions] if isinstance(partitions, Partition) else list(partitions)
    if not several:
        raise ValueError("nothing to animate: no partition")
    if names and len(names) != len(several):
        raise ValueError(f"{len(names)} names for {len(several)} partitions")
    if not 0 < seconds < 1000:
        raise ValueError(f"seconds={seconds}: how long each layer is shown, positive")
    deepest = max(1, *(partition.folds_done for partition in several))
    whole = all(partition.complete for partition in several)
    frames = []
    for step in range(deepest + 1):
        figure = Figure(figsize=(3.6 * len(several), 4.0), dpi=_DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(several), squeeze=False)[0]
        for k, (partition, axis) in enumerate(zip(several, axes, strict=True)):
            last = min(step, partition.folds_done - 1)
            single = last if step < deepest and last >= 0 else None
            plot(partition, axis, layer=single, points=points, labels=labels, legend=False)
            count = int(merged_regions(partition, last).max()) + 1 if last >= 0 else len(partition)
            name = f"{names[k]}: " if names else ""
            axis.set_title(f"{name}{count:,} region{'' if count == 1 else 's'}", fontsize="small")
        total = max(len(partition.folds) for partition in several)
        ending = "all layers" if whole else f"the first {deepest} of {total} layers"
        told = ending if step == deepest else f"layer {step + 1} of {total}"
        figure.suptitle(told, fontsize="medium")
        canvas.draw()
        width, height = canvas.get_width_height()
        image = Image.frombytes("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")
        frames.append(image)
    durations = [1000 * seconds] * deepest + [1000 * seconds * _LAST]
    with written_whole(path) as file:
        first, *rest = (frame.quantize(128, dither=Image.Dither.NONE) for frame in frames)
        first.save(file, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, disposal=1)
