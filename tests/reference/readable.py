"""What a reader would complain of in a figure: text too small in print, cut off by its border, or over other text."""

from __future__ import annotations

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from normscope.claims import Claim, Measurement

_PRINTED = 174 / 25.4  # inches: both columns of a journal's page
_POINTS = 7.0
_PIXELS = 2.0  # of overlap or beyond the border that nobody sees


def unreadable(claim: Claim, measurement: Measurement) -> list[str]:
    """Complaints, one sentence each, on the figure of a claim as `draw` makes it."""
    figure = Figure(figsize=claim.figure_size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    assert claim.figure is not None
    claim.figure(measurement, figure.add_subplot())
    figure.suptitle(claim.id, fontsize="medium")
    return complaints(figure, canvas)


def complaints(figure: Figure, canvas: FigureCanvasAgg) -> list[str]:
    """The same of any figure with its canvas."""
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    boxes = [(text, text.get_window_extent(renderer)) for text in _shown(figure)]
    shrunk = min(1.0, _PRINTED / figure.get_figwidth())
    found = [f"{text.get_text()!r} is small" for text, _ in boxes if shrunk * text.get_fontsize() < _POINTS]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in boxes:
        if min(box.x0, box.y0, width - box.x1, height - box.y1) < -_PIXELS:
            found.append(f"{text.get_text()!r} is cut off")
    for (one, a), (other, b) in combinations(boxes, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if min(across, up) > _PIXELS:
            found.append(f"{one.get_text()!r} is over {other.get_text()!r}")
    return found


def _shown(figure: Figure) -> list[Text]:
    """All text that is drawn: matplotlib also keeps labels of ticks that are out of sight."""
    axes = [axis for ax in figure.axes for axis in (ax, *ax.child_axes) if isinstance(axis, Axes)]
    hidden = {text for ax in axes for text in _hidden(ax)}
    found = (text for text in figure.findobj(Text) if isinstance(text, Text))
    return [text for text in found if text.get_visible() and text.get_text().strip() and text not in hidden]


def _hidden(ax: Axes) -> list[Text]:
    texts = []
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not (ax.axison and low <= tick.get_loc() <= high):
                texts += _labels(tick)
        if not ax.axison:
            texts += [axis.label, axis.get_offset_text()]
    return texts


def _labels(tick: Tick) -> list[Text]:
    return [tick.label1, tick.label2]
