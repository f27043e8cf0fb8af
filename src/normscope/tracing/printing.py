"""A trace as a reader wants it: a headline, what must be known, and a table of three digits."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from normscope.loading import one_line
from normscope.tracing.lookup import finite_rows, own_columns

if TYPE_CHECKING:
    from normscope.tracing.result import Trace

_ROWS = 40  # more are elided in the middle
_NAME_WIDTHS = (40, 28, 16)  # of a layer's name: as the terminal allows
_HEADING_WIDTH = 14
_SHOWN = (
    "layer", "call", "kind", "shape", "mean", "std", "dead_fraction", "cos_mean", "effective_rank", "odd_index",
    "odd_score", "grad_norm", "grad_coherence", "kernel_gradient_ratio", "kernel_sqrt_terms",
)  # fmt: skip
# what a narrow terminal does without, first to last
_DISPENSABLE = ("grad_coherence", "odd_index", "shape", "dead_fraction", "mean", "kind", "effective_rank",
                "kernel_sqrt_terms", "kernel_gradient_ratio", "std")  # fmt: skip
_OF_OUTPUTS = (("cosine", "cosine"), ("correlation", "correlation"), ("rank-one energy", "rank_one_energy"))
_AT_THE_LEFT = ("layer", "kind", "shape")
_ROUNDING = 1e-6  # of a mean, relative to the standard deviation: some units in the last place of float32
_UNDEFINED = "–"  # all signs here are of those that every terminal has


class Column(NamedTuple):
    """A printed column: its name in the table, and a text for each printed row."""

    name: str
    cells: list[str]

    @property
    def heading(self) -> tuple[str, str]:
        """Its name on two lines, broken where that makes it narrowest."""
        words = one_line(self.name).split("_")
        breaks = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(len(words))]
        above, below = min(breaks, key=lambda pair: max(map(len, pair)))
        return elided(above, _HEADING_WIDTH), elided(below, _HEADING_WIDTH)

    @property
    def side(self) -> str:
        """Where its texts are aligned."""
        return "left" if self.name in _AT_THE_LEFT else "right"

    @property
    def lines(self) -> list[str]:
        """Heading and cells, aligned."""
        texts = [*self.heading, *self.cells]
        width = max(map(len, texts))
        return [text.ljust(width) if self.side == "left" else text.rjust(width) for text in texts]


def as_text(trace: Trace, width: int) -> str:
    """Headline, remarks and table, ``width`` characters wide or narrower where that can be done."""
    rows, gap = _printed_rows(trace)
    columns = _fitting(trace, rows, width) if rows else []
    table = _joined(columns) if rows else []
    if gap is not None:
        table.insert(len(table) - len(rows) + gap, _more(trace, rows))
    return "\n".join(
        [*_filled([headline(trace), *remarks(trace)], width), *table, *_filled(_not_printed(trace, columns), width)]
    )


def as_html(trace: Trace) -> str:
    """The same for a notebook. Every text from the model is escaped."""
    rows, gap = _printed_rows(trace)
    columns = _columns(trace, rows, _NAME_WIDTHS[0])
    body = [_cells("td", columns, [column.cells[k] for column in columns]) for k in range(len(rows))]
    if gap is not None:
        body.insert(gap, f'<td colspan="{len(columns)}" style="text-align:center">{_more(trace, rows)}</td>')
    head = _cells("th", columns, [" ".join(column.heading).strip() for column in columns])
    lines = "\n".join(f"<tr>{line}</tr>" for line in body)
    table = f"\n<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>\n" if rows else ""
    what, _, rest = headline(trace).rpartition(": ")
    above, below = _paragraphs(remarks(trace)), _paragraphs(_not_printed(trace, columns))
    first = f"<p><b>{html.escape(what)}</b>: {html.escape(rest)}</p>"
    return f'<div class="normscope-trace">{first}{above}{table}{below}</div>'


def headline(trace: Trace) -> str:
    """``Trace of ResNet: 61 layer calls, batch 64, train mode, loss 2.31``."""
    calls = "1 layer call" if len(trace.table) == 1 else f"{len(trace.table)} layer calls"
    mode = "train" if trace.training else "eval"
    loss = "" if trace.loss is None else f", loss {trace.loss:.4g}"
    return f"Trace of {one_line(trace.model)}: {calls}, batch {trace.batch}, {mode} mode{loss}"


def remarks(trace: Trace) -> list[str]:
    """What a reader must know before the numbers: of all outputs, the notes, where the first NaN or infinity is."""
    notes = [f"note: {one_line(note)}" for note in trace.notes]
    told = [*_of_outputs(trace), *notes]
    if trace.first_nonfinite is None:
        return told
    layer, call = trace.first_nonfinite
    return [*told, f"NaN or infinity first in layer {one_line(layer)}{f', call {call}' if call else ''}"]


def significant(value: float) -> str:
    """Three significant digits, or all before the point up to 100,000: 0.0123, 1.50, 417, 23456, 1.23e5."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(float(value))
    mantissa, exponent = f"{value:.2e}".split("e")
    power = int(exponent)  # after rounding: 999.9 has four digits
    return f"{value:.{max(2 - power, 0)}f}" if -4 < power < 5 else f"{mantissa}e{power}"


def elided(text: str, width: int) -> str:
    """``text``, without its middle where it is wider than ``width``."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def shortened(name: str, width: int) -> str:
    """A layer's dotted name in ``width`` characters: words become their first letters, from the left, as few as needed.

    Numbers, which tell layers apart, stay. What is still too long loses its middle.
    """
    parts = name.split(".")
    for place, part in enumerate(parts[:-1]):
        if len(".".join(parts)) <= width:
            break
        if part and not part.isdigit():
            parts[place] = part[0]
    return elided(".".join(parts), width)


def _of_outputs(trace: Trace) -> list[str]:
    found = trace.output_gradients
    if not found:
        return []
    which = f"class {found['largest_class']:.0f}"
    share = f"{which} is the largest wrong one of {significant(100 * found['largest_share'])}% of the samples"
    others = ", ".join(f"{name} {significant(found[key])}" for name, key in _OF_OUTPUTS)
    return [*_predicted(found), f"gradient by the outputs: {share}, {others}"]


def _predicted(found: Mapping[str, float]) -> list[str]:
    if "predicted_share" not in found:  # in files of before it was measured
        return []
    share, own = (f"{significant(100 * found[key])}%" for key in ("predicted_share", "label_share"))
    return [
        f"outputs: class {found['predicted_class']:.0f} is the largest of {share} of the samples, {own} belong to it"
    ]


def _printed_rows(trace: Trace) -> tuple[list[int], int | None]:
    """Positions of the rows that are printed, and after how many of them rows are left out."""
    count = len(trace.table)
    if count <= _ROWS:
        return list(range(count)), None
    half = _ROWS // 2
    return [*range(half), *range(count - half + 1, count)], half


def _more(trace: Trace, rows: list[int]) -> str:
    return f"… {len(trace.table) - len(rows)} more …"


def _fitting(trace: Trace, rows: list[int], width: int) -> list[Column]:
    """As many columns as fit, with layer names as long as can be."""
    columns = _columns(trace, rows, _NAME_WIDTHS[1])
    for name in _DISPENSABLE:
        if _total(columns) > width:
            columns = [column for column in columns if column.name != name]
    kept = [column.name for column in columns]
    tries = [[c for c in _columns(trace, rows, widest) if c.name in kept] for widest in _NAME_WIDTHS]
    return next((columns for columns in tries if _total(columns) <= width), tries[-1])


def _total(columns: list[Column]) -> int:
    return max(map(len, _joined(columns)))


def _joined(columns: list[Column]) -> list[str]:
    above, *lines = ("  ".join(parts).rstrip() for parts in zip(*(column.lines for column in columns), strict=True))
    return [above, *lines] if above else lines  # no heading has two lines


def _columns(trace: Trace, rows: list[int], name_width: int) -> list[Column]:
    table, finite = trace.table, finite_rows(trace.table, trace._grams)
    # a user who adds a measure wants to see it
    names = [n for n in (*_SHOWN, *own_columns(table)) if n in table and _says_something(table, n)]
    columns = [Column(n, [_cell(n, table[n].iloc[k], bool(finite[k]), name_width) for k in rows]) for n in names]
    return [_without_rounding(column, table.iloc[rows]) if column.name == "mean" else column for column in columns]


def _without_rounding(means: Column, table: pd.DataFrame) -> Column:
    """Behind a batch norm the mean is zero but for the rounding of float32, whose digits would draw the eye."""
    pairs = zip(means.cells, table["mean"], table["std"], strict=True)
    return Column("mean", ["~0" if 0 < abs(mean) < _ROUNDING * std else cell for cell, mean, std in pairs])


def _says_something(table: pd.DataFrame, name: str) -> bool:
    values = table[name]
    if name == "call":
        return bool((values != 0).any())
    if name == "odd_index":
        return bool((values >= 0).any())
    return bool(values.notna().any())


def _cell(name: str, value: Any, finite: bool, name_width: int) -> str:
    if isinstance(value, tuple):
        return "×".join(map(str, value)) or "scalar"
    if isinstance(value, str):
        return (shortened if name == "layer" else elided)(one_line(value), name_width)
    if pd.isna(value):
        return _UNDEFINED if finite else "nan"
    if name == "odd_index" and value < 0:
        return _UNDEFINED
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return str(value)
    return significant(float(value)) if pd.api.types.is_float(value) else elided(one_line(str(value)), name_width)


def _not_printed(trace: Trace, columns: list[Column]) -> list[str]:
    """Where to find the columns that are not printed but have something to say."""
    printed = {"call", "finite", "grad_finite", *(column.name for column in columns)}
    others = [n for n in map(str, trace.table) if n not in printed and _says_something(trace.table, n)]
    return [f"also in .table: {', '.join(others)}"] if others else []


def _filled(texts: list[str], width: int) -> list[str]:
    return [textwrap.fill(text, max(width, 2 * _NAME_WIDTHS[-1]), subsequent_indent="  ") for text in texts]


def _cells(tag: str, columns: list[Column], texts: list[str]) -> str:
    pairs = zip(columns, texts, strict=True)
    return "".join(f'<{tag} style="text-align:{c.side}">{html.escape(text)}</{tag}>' for c, text in pairs)


def _paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)
