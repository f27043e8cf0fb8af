"""Figures of a trace, in matplotlib. Imported when the first is drawn: matplotlib is an optional extra."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from normscope.loading import one_line
from normscope.system import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from normscope.tracing.lookup import finite_rows, matching_rows, numbers, numeric_columns, own_columns
from normscope.tracing.printing import elided, headline

try:
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.ticker import Formatter, MaxNLocator, ScalarFormatter
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'normscope[plot]'", name="matplotlib") from error

if TYPE_CHECKING:
    from normscope.tracing.result import Trace

DEFAULT = ("std", "cos_mean", "effective_rank", "odd_score", "grad_norm")
# of known range, drawn on all of it: figures can be laid side by side, and small wiggles look small
_UNIT = ("dead_fraction", "odd_score", "grad_coherence", "grad_shared", "cos_mean", "odd_cosine", "cluster_cosine")
# Okabe and Ito's colours, told apart with any colour vision; the marker says it once more
_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (SKY, "v"), (BLACK, "P"))
_OTHER = ("#888888", "x")
_ALARM = VERMILLION
_NAMES = 30  # layer names along the axis, at most
_NAME_WIDTH = 28
_WIDTH, _HEIGHT, _NAMES_HEIGHT = 8.0, 2.2, 1.4  # inches: of the figure, of one of several panels, of names below

Scale = Literal["linear", "log", "symlog"]


def plot(
    trace: Trace,
    columns: str | Sequence[str] | None,
    ax: Axes | Sequence[Axes] | NDArray[Any] | None,
    layers: str | Sequence[str],
    label: str | None,
) -> Axes | NDArray[Any]:
    """See `Trace.plot`."""
    rows = matching_rows(trace.table, layers)
    names = [columns] if isinstance(columns, str) else _default(trace, rows) if columns is None else list(columns)
    values = [numbers(trace.table, name)[rows] for name in names]  # what raises must do so before a figure is made
    if not names:
        raise ValueError("nothing to draw: name at least one column of numbers")
    axes = _new_axes(len(names)) if ax is None else list(np.ravel(np.array(ax, dtype=object)))
    if len(axes) != len(names):
        raise ValueError(f"{len(names)} columns need as many axes, not {len(axes)}: {', '.join(names)}")
    for axis, name, column in zip(axes, names, values, strict=True):
        _draw(axis, name, column, trace, rows, label)
    _name_layers(axes, trace, rows)
    if ax is None:
        axes[0].figure.suptitle(_plain(headline(trace)), fontsize="medium")
    handles, labels = axes[0].get_legend_handles_labels()
    if label is not None or len(labels) > 1:
        # above the panel it hides no layer; over Axes of the user's there may be a title
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4} if ax is None else {}
        axes[0].legend(handles, labels, fontsize="small", frameon=False, **place)
    return axes[0] if isinstance(columns, str) else np.array(axes, dtype=object)


def plot_cosines(trace: Trace, layer: str, call: int, ax: Axes | None) -> Axes:
    """See `Trace.plot_cosines`."""
    cosines = trace.cosines(layer, call)
    axis = _new_axes(1, width=5.6)[0] if ax is None else ax
    colours = colormaps["RdBu_r"].with_extremes(bad="#9a9a9a")  # grey where a sample has no direction
    image = axis.imshow(cosines, vmin=-1, vmax=1, cmap=colours, interpolation="nearest")
    axis.figure.colorbar(image, ax=axis, label="cosine")
    axis.set_title(_plain(_call_name(layer, call)), fontsize="medium")
    axis.set_xlabel("sample")
    axis.set_ylabel("sample")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(integer=True))
    return axis


def scale_of(name: str, values: NDArray[np.float64]) -> Scale:
    """Logarithmic where positive values span two decades; with negative ones, where the largest is three above most."""
    finite = values[np.isfinite(values)]
    sizes = np.abs(finite[finite != 0])
    if name in _UNIT or not sizes.size:
        return "linear"
    with np.errstate(over="ignore"):
        if (finite < 0).any():
            return "symlog" if sizes.max() / np.median(sizes) >= 1000 else "linear"
        return "log" if sizes.max() / sizes.min() >= 100 else "linear"


def _default(trace: Trace, rows: NDArray[np.intp]) -> list[str]:
    candidates = (*DEFAULT, *own_columns(trace.table))
    there = [name for name in candidates if name in numeric_columns(trace.table)]
    return [name for name in there if np.isfinite(numbers(trace.table, name)[rows]).any()]


def _new_axes(count: int, width: float = _WIDTH) -> list[Axes]:
    """Of a new figure, which pyplot knows: notebooks show it, and ``plt.show()`` and ``plt.savefig`` find it."""
    from matplotlib import pyplot as plt

    height = _NAMES_HEIGHT + (_HEIGHT * count if count > 1 else 1.5 * _HEIGHT)
    _, axes = plt.subplots(count, figsize=(width, height), sharex=True, squeeze=False, layout="constrained")
    return list(axes[:, 0])


def _draw(
    axis: Axes, name: str, values: NDArray[np.float64], trace: Trace, rows: NDArray[np.intp], label: str | None
) -> None:
    # lines across the whole panel are in no data coordinates, and count for nothing
    before = [line for line in axis.get_lines() if line.get_transform() == axis.transData]
    right = axis.get_xlim()[1] if before else 0
    own = _STYLES[len(before) % len(_STYLES)]
    every = np.arange(len(rows))
    # kinds of layers differ more than depths do: one line through all of them would be a zigzag
    groups = _by_kind(trace.table["kind"].iloc[rows].tolist()) if label is None else [(label, own, every)]
    size = 4.5 if len(rows) <= 60 else 2.5 if len(rows) <= 300 else 1.5
    for group, (colour, marker), chosen in groups:
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "linewidth": 0.8}
        axis.plot(every[chosen], values[chosen], label=_legend(group), **style)
    broken = np.flatnonzero(~finite_rows(trace.table, trace._grams)[rows])
    if broken.size:
        axis.axvline(broken[0], color=_ALARM if label is None else own[0], linestyle=":", label="first NaN or infinity")
    _set_scale(axis, name, np.concatenate([values, *(np.asarray(line.get_ydata(orig=False)) for line in before)]))
    axis.set_ylabel(_plain(name))
    axis.grid(visible=True, axis="y", alpha=0.3)
    # all layers, also those at the ends that have no number
    margin = max(0.4, 0.02 * len(rows))
    axis.set_xlim(-margin, max(len(rows) - 1 + margin, right))


def _by_kind(kinds: list[str]) -> list[tuple[str, tuple[str, str], NDArray[np.intp]]]:
    """(name, style, positions) of the most frequent kinds, in the order in which they come; the rest in one."""
    frequent = [kind for kind, _ in Counter(kinds).most_common(len(_STYLES))]
    common = [kind for kind in dict.fromkeys(kinds) if kind in frequent]
    groups = [
        (k, style, np.flatnonzero([kind == k for kind in kinds])) for k, style in zip(common, _STYLES, strict=False)
    ]
    rest = np.flatnonzero([kind not in common for kind in kinds])
    return [*groups, ("other", _OTHER, rest)] if rest.size else groups


def _set_scale(axis: Axes, name: str, values: NDArray[np.float64]) -> None:
    scale = scale_of(name, values)
    if scale == "log":
        axis.set_yscale("log", nonpositive="mask")
    elif scale == "symlog":
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        axis.set_yscale("symlog", linthresh=float(np.median(sizes)))
    else:
        axis.set_yscale("linear")
    if name in _UNIT:
        finite = values[np.isfinite(values)]
        low, high = min(finite.min(initial=0), 0), max(finite.max(initial=1), 1)
        axis.set_ylim(low - 0.04, high + 0.04)


class LayerNames(Formatter):
    """Names of the layers instead of their numbers, also of those that are zoomed to."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The name at ``x``; empty between two layers and beyond the last."""
        place = round(x)
        return _plain(self.names[place]) if place == x and 0 <= place < len(self.names) else ""


def _name_layers(axes: Sequence[Axes], trace: Trace, rows: NDArray[np.intp]) -> None:
    """Names below the last panel: of every layer where there is room, else of some."""
    table = trace.table.iloc[rows]
    names = [_call_name(layer, call) for layer, call in zip(table["layer"], table["call"], strict=True)]
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=_NAMES, steps=[1, 2, 5, 10], integer=True))
    last = axes[-1]
    before = last.xaxis.get_major_formatter()
    # one axis cannot bear the names of two networks
    other = not isinstance(before, LayerNames) and bool(last.get_xlabel())
    if other or (isinstance(before, LayerNames) and any(a != b for a, b in zip(before.names, names, strict=False))):
        last.xaxis.set_major_formatter(ScalarFormatter())
        last.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        last.tick_params(axis="x", labelrotation=0)
        last.set_xlabel("number of the layer call")
        return
    if not isinstance(before, LayerNames) or len(names) > len(before.names):
        last.xaxis.set_major_formatter(LayerNames(names))
    last.tick_params(axis="x", labelrotation=90 if len(rows) > 12 else 45, labelsize="small")
    last.set_xlabel("layer, in the order of the forward pass")


def _call_name(layer: str, call: int) -> str:
    return elided(one_line(layer), _NAME_WIDTH) + (f" (call {call})" if call else "")


def _plain(text: str) -> str:
    """Text in which a dollar is a dollar: names must not be read as formulas."""
    return one_line(text).replace("$", r"\$")


def _legend(text: str) -> str:
    """Matplotlib keeps labels that start with an underscore out of legends."""
    plain = _plain(elided(text, _NAME_WIDTH))
    return f" {plain}" if plain.startswith("_") else plain
