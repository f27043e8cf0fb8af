"""What was found, as lines of plain text for a terminal of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from normscope.loading import one_line
from normscope.report.inspection.inspected import Inspected, Network
from normscope.report.inspection.layer_table import layer_table
from normscope.report.inspection.output_gradients import output_rows, prediction
from normscope.report.inspection.quantities import quantities_of
from normscope.report.writing import form, sparkline

_LINE = 32  # characters of a line through depth
_ROOMY = 70  # columns of a screen that has space for whole titles
_DEPTH = ("std", "dead_fraction", "cos_mean", "effective_rank", "odd_score", "grad_norm", "grad_coherence",
          "kernel_sqrt_terms", "kernel_gradient_ratio")  # fmt: skip
_EXPLAINED = ("kernel_gradient_ratio",)  # what a title does not say


def lines(
    inspected: Inspected, width: int, *, sort: str | None = None, worst: bool = False, rows: int | None = None
) -> list[str]:
    """A headline, what stands out, what changes through depth, and a row a layer call.

    Args:
        inspected: what was found.
        width: columns of the screen; no line of the table is longer.
        sort: a column to sort by, largest first; with a minus before it, smallest first. Else in forward order.
        worst: sort by `normscope.report.standouts.trouble`, and say why.
        rows: how many rows are shown, 0 for all. By default 40, with the middle left out, and 15 if they are sorted.

    Raises:
        InspectionError: no such column; the message lists those there are.
    """
    traces = [network.trace for network in inspected.networks]
    table = layer_table(traces, width, sort=sort, worst=worst, rows=rows)  # first: it may raise
    text: list[str] = []
    for network in inspected.networks:
        text += _wrapped(_head(network), "", width)
        for note in network.trace.notes:
            text += _wrapped(f"note: {one_line(note)}", "  ", width)
        for sentence in network.standouts:
            text += _wrapped(one_line(sentence, 1000), "  · ", width)
        text.append("")
    text += [*_wrapped(f"Data: {one_line(inspected.data, 1000)}.", "", width), ""]
    if len(traces) > 1:
        for letter, network in zip("AB", inspected.networks, strict=False):
            text += _wrapped(f"{letter}: {network.name}", "", width)
        text.append("")
    return [*text, *_through_depth(inspected.networks, width), "", *_of_outputs(inspected.networks, width), *table]


def _head(network: Network) -> str:
    trace = network.trace
    mode = "train" if trace.training else "eval"
    loss = "" if trace.loss is None else f", loss {form(trace.loss, 'number')}"
    kind = "" if trace.model == network.name else f" ({one_line(trace.model, 60)})"
    return f"{network.name}{kind}: {len(trace.table)} layer calls, batch {trace.batch}, {mode} mode{loss}"


def _wrapped(text: str, bullet: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), initial_indent=bullet, subsequent_indent=" " * len(bullet))


def _through_depth(networks: Sequence[Network], width: int) -> list[str]:
    """First and last value of each quantity, and a line between them."""
    named = {q.key: q for q in quantities_of([n.trace for n in networks])}
    drawn = [named[key] for key in _DEPTH if key in named]
    titles = {q.key: q.title if width >= _ROOMY else q.short for q in drawn}
    label = max(map(cell_len, titles.values()), default=0)
    space = max(4, min(_LINE, width - label - 22))
    text = []
    for quantity in drawn:
        for letter, network in zip("AB", networks, strict=False):
            table = network.trace.table
            known = table[quantity.key].dropna().to_numpy(float) if quantity.key in table else np.empty(0)
            if not known.size:
                continue
            title = titles[quantity.key] if letter == "A" else ""
            which = f"{letter} " if len(networks) > 1 else ""
            first, last = form(known[0], quantity.form), form(known[-1], quantity.form)
            line = sparkline(known, space, logarithmic=quantity.scale == "log")
            text.append(f"  {title:<{label}}  {which}{first:>7} {set_cell_size(line, space)} {last}")
        if quantity.key in _EXPLAINED:
            text += _wrapped(quantity.meaning, "    ", width)
    return ["Through depth, first layer to last:", *text] if text else []


def _of_outputs(networks: Sequence[Network], width: int) -> list[str]:
    """Whether one class is predicted; each number of the gradient by the outputs, and what it means."""
    traces = [network.trace for network in networks]
    rows = output_rows(traces)
    text = []
    for letter, trace in zip("AB", traces, strict=False):
        if sentence := prediction(trace):
            text += _wrapped(f"{letter}: {sentence}" if len(traces) > 1 else sentence, "  · ", width)
    for row in rows:
        letters = zip("AB", row.values, strict=False)
        values = "  ".join(f"{letter} {value}" for letter, value in letters) if len(traces) > 1 else row.values[0]
        text += textwrap.wrap(f"{row.title}  {values}", max(width, 20), initial_indent="  ", subsequent_indent="    ")
        text += _wrapped(row.meaning, "    ", width)
    head = _wrapped("Gradient by the outputs, a row a sample and a column a class:", "", width)
    return [*head, *text, ""] if rows else []
