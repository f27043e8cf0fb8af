"""Figures of the theory, in matplotlib. Imported when the first is drawn: matplotlib is an optional extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from normscope.system import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from normscope.theory.answering.question import layer_name
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.phases.indicative import TwoGroups

try:
    from matplotlib import pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, NullLocator, ScalarFormatter
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'normscope[plot]'", name="matplotlib") from error

if TYPE_CHECKING:
    import pandas as pd

    from normscope.theory.phases.transitions import Transition

# told apart with any colour vision; the marker says it once more
_STYLES = {
    "symmetric": (BLUE, "o"),
    "odd": (VERMILLION, "^"),
    "groups": (GREEN, "s"),
    "cluster": (BLACK, "D"),
}
_LONG = 400
_NEAR_ONE = 0.01


def plot_fixed_points(points: Sequence[FixedPoint], ax: Axes | None = None) -> Axes:
    """Spectral radius of each fixed point against the mean cosine of its batch; filled where it attracts.

    The axis is logarithmic in the distance from 1, and linear where that is below 1 %.

    Args:
        points: of one layer and batch size.
        ax: where to draw; by default in a new figure.

    Raises:
        ValueError: no points.
    """
    if not points:
        raise ValueError("no fixed points to draw")
    axis = _axes(ax, (7.0, 4.4))
    rates = np.array([point.rate for point in points])
    gaps = rates[np.isfinite(rates)] - 1
    top, bottom = max(0.02, 2 * float(gaps.max(initial=0))), min(-0.02, 2 * float(gaps.min(initial=0)))
    for point, rate in sorted(zip(points, rates, strict=True), key=lambda one: -one[1]):  # what attracts is on top
        colour, marker = _STYLES[point.kind]
        attracts = point.attraction in ("exponential", "algebraic")
        height = rate - 1 if np.isfinite(rate) else top
        shape = marker if np.isfinite(rate) else r"$\uparrow$"
        face = colour if attracts else "white"
        axis.plot(
            _mean_cosine(point),
            height,
            marker=shape,
            linestyle="",
            color=colour,
            markerfacecolor=face,
            markersize=8,
            clip_on=False,
        )
    axis.axhline(0, color="#888888", linewidth=0.8, linestyle="--")
    axis.set_yscale("symlog", linthresh=_NEAR_ONE)
    axis.set_ylim(bottom, top)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda gap, _: f"{1 + gap:.4g}"))
    axis.set_xlabel("mean cosine of the batch's pairs")
    axis.set_ylabel("spectral radius (below 1: attracts)")
    axis.grid(visible=True, alpha=0.3)
    kinds = dict.fromkeys(point.kind for point in points)
    handles = [Line2D([], [], linestyle="", marker=_STYLES[k][1], color=_STYLES[k][0], label=k) for k in kinds]
    handles.append(
        Line2D([], [], linestyle="", marker="o", color="#555555", markerfacecolor="white", label="does not attract")
    )
    if not np.all(np.isfinite(rates)):
        handles.append(Line2D([], [], linestyle="", marker=r"$\uparrow$", color="#555555", label="infinite"))
    axis.legend(handles=handles, fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return axis


def plot_phase(
    diagram: pd.DataFrame, transitions: Sequence[Transition] = (), ax: Axes | None = None, *, title: str = ""
) -> Axes:
    """Rates of the attracting fixed points of a `phase_diagram` against the batch size, and births as vertical lines.

    Args:
        diagram: of one combination and activation.
        transitions: in n; those at which what attracts changes are drawn.
        ax: where to draw; by default in a new figure.
        title: above it.

    Raises:
        ValueError: the diagram holds more than one combination.
    """
    if len(diagram[["recenter", "rescale", "activation"]].drop_duplicates()) != 1:
        raise ValueError("one combination of recentering, rescaling and activation at a time: filter the diagram first")
    axis = _axes(ax, (6.4, 4.0))
    there = diagram[diagram["attraction"] != "none"]
    first = there["sizes"].map(lambda sizes: sizes[0] if len(sizes) > 1 else 0)
    for kind, k in sorted(set(zip(there["kind"], first, strict=True))):
        rows = there[(there["kind"] == kind) & (first == k)]
        name = kind if k <= 1 else f"group of {k}"
        colour, marker = _STYLES[kind]
        axis.plot(rows["n"], rows["rate"], marker=marker, color=colour, linewidth=1, markersize=5, label=name)
    for transition in transitions:
        if transition.parameter == "n" and transition.attracts:
            axis.axvline(transition.value, color="#888888", linestyle=":", linewidth=1)
            label = f"n = {transition.value:.4g}"
            place = axis.get_xaxis_transform()
            axis.text(transition.value, 0.02, label, rotation=90, fontsize="x-small", ha="right", transform=place)
    sizes = sorted(diagram["n"].unique())
    axis.set_xscale("log")
    ticks = [n for i, n in enumerate(sizes) if i == 0 or n > 1.15 * sizes[i - 1]]
    axis.set_xticks(ticks)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(sizes[0] * 0.9, sizes[-1] * 1.1)
    axis.set_xlabel("batch size n")
    axis.set_ylabel("spectral radius where it attracts")
    axis.grid(visible=True, alpha=0.3)
    if len(there):
        axis.legend(fontsize="small", frameon=False)
    else:
        axis.text(0.5, 0.5, "nothing attracts", ha="center", transform=axis.transAxes)
    axis.set_title(title, fontsize="medium")
    return axis


def plot_phases(diagram: pd.DataFrame, transitions: Sequence[tuple[str, Transition]]) -> Figure:
    """`plot_phase` for each combination of a `phase_diagram`, in one figure."""
    cells = diagram[["recenter", "rescale", "activation"]].drop_duplicates().to_records(index=False)
    columns = min(2, len(cells))
    rows = -(-len(cells) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.6 * columns, 3.6 * rows), squeeze=False, layout="constrained")
    for axis, (recenter, rescale, phi) in zip(axes.flat, cells, strict=False):
        mine = (diagram["recenter"] == recenter) & (diagram["rescale"] == rescale) & (diagram["activation"] == phi)
        name = layer_name(bool(recenter), bool(rescale), str(phi))
        plot_phase(diagram[mine], [change for of, change in transitions if of == name], axis, title=name)
    for axis in axes.flat[len(cells) :]:
        axis.set_visible(False)
    return figure


def plot_portrait(
    model: TwoGroups, ax: Axes | None = None, *, starts: ArrayLike | None = None, depth: int = _LONG
) -> Axes:
    """The two-group model: for one number the map and its cobweb, for two the field of changes, nullclines and paths.

    Args:
        model: the model.
        ax: where to draw; by default in a new figure.
        starts: (paths, dimension), of trajectories; by default four.
        depth: their layers.
    """
    axis = _axes(ax, (5.6, 5.2))
    if starts is None:
        starts = [[0.03], [0.97]] if model.dimension == 1 else [[0.1, 0.9], [0.9, 0.1], [0.9, 0.9], [0.05, 0.3]]
    paths = model.trajectory(np.asarray(starts, dtype=np.float64), depth)
    (_draw_line if model.dimension == 1 else _draw_plane)(axis, model, paths)
    for point in model.fixed_points:
        colour, marker = _STYLES[point.kind]
        place = model.place(point)
        if model.dimension == 1 and place[0] == 0:
            continue  # beyond the end of a logarithmic axis
        x, y = (place[0], place[0]) if model.dimension == 1 else place
        face = colour if point.stable else "white"
        style: dict[str, Any] = {"linestyle": "", "markersize": 8, "zorder": 5, "clip_on": False}
        label = f"{point.kind} {point.sizes}, {'attracts' if point.stable else 'saddle' if point.saddle else 'repels'}"
        label = "_nolegend_" if label in axis.get_legend_handles_labels()[1] else label
        axis.plot([x], [y], marker=marker, color=colour, markerfacecolor=face, label=label, **style)
    if model.dimension == 2:
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_aspect("equal")
    axis.legend(
        fontsize="x-small", frameon=True, framealpha=0.9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2
    )
    return axis


def _draw_line(axis: Axes, model: TwoGroups, paths: Any) -> None:
    places = [float(model.place(point)[0]) for point in model.fixed_points]
    # an odd point's cluster is so tight that only a logarithm shows it
    low = min([0.01, *(place / 10 for place in places if place > 0)])
    s = 1 / (1 + np.exp(-np.linspace(np.log(low), np.log(99), 400)))
    after = model.step(s[:, None])[:, 0]
    axis.plot(s, s, color="#888888", linewidth=0.8)
    axis.set_xscale("logit")
    axis.set_yscale("logit")
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_locator(NullLocator())
    axis.plot(s, after, color=BLUE, linewidth=1.4)
    for path in np.moveaxis(paths[..., 0], 0, -1):
        axis.plot(
            np.repeat(path, 2)[:-1], np.concatenate([[path[0]], np.repeat(path[1:], 2)]), color=ORANGE, linewidth=0.7
        )
    axis.set_xlabel(f"spread s of the group of {model.sizes[1]}")
    axis.set_ylabel("one layer later")


def _draw_plane(axis: Axes, model: TwoGroups, paths: Any) -> None:
    grid, change = model.field(61)
    x, y = grid[:, 0, 0], grid[0, :, 1]
    axis.streamplot(
        x, y, change[..., 0].T, change[..., 1].T, color="#bbbbbb", linewidth=0.6, arrowsize=0.7, density=1.1
    )
    for part, colour in ((0, PURPLE), (1, SKY)):
        axis.contour(x, y, change[..., part].T, levels=[0], colors=colour, linewidths=1.1)
        axis.plot([], [], color=colour, linewidth=1.1, label=f"s of the group of {model.sizes[part]} stays")
    for path in np.moveaxis(paths, 0, 1):
        axis.plot(path[:, 0], path[:, 1], color=ORANGE, linewidth=1.2)
    axis.set_xlabel(f"spread s of the group of {model.sizes[0]}")
    axis.set_ylabel(f"spread s of the group of {model.sizes[1]}")


def _mean_cosine(point: FixedPoint) -> float:
    k = point.groups.sizes
    pairs = np.outer(k, k) - np.diag(k)
    cosines = np.where(pairs > 0, 1 - point.groups.one_minus_cosines, 0.0)
    return float(np.sum(pairs * cosines) / np.sum(pairs))


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    _, axis = plt.subplots(figsize=size, layout="constrained")
    return axis
