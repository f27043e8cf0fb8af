"""Tables for a terminal and for LaTeX."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads of the columns, and rows."""

_GAP = 2
_TOGETHER = "\N{NO-BREAK SPACE}"  # at which no line is broken
_SHORT = re.compile(r"\([^()]{1,16}\)|\S+ [×=±] \S+( ± \S+)?")
_LATEX = {"−": "$-$", "×": r"$\times$", "–": "--", "∞": r"$\infty$", "±": r"$\pm$", "…": r"\dots{}"}
_SPECIAL = {c: "\\" + c for c in "&%$#_{}"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def fits(table: Table, width: int) -> bool:
    """Whether a line holds a row."""
    return sum(_widths(table)) + _GAP * (len(table[0]) - 1) <= width


def text_table(table: Table) -> list[str]:
    """Lines: heads, a rule, rows; the first column and words to the left, numbers to the right."""
    heads, rows = table
    widths, left = _widths(table), _words(table)

    def line(cells: Sequence[str]) -> str:
        placed = [c.ljust(w) if words else c.rjust(w) for c, w, words in zip(cells, widths, left, strict=True)]
        return (" " * _GAP).join(placed).rstrip()

    return [line(heads), "─" * (sum(widths) + _GAP * (len(widths) - 1)), *map(line, rows)]


def latex_table(table: Table, comment: Sequence[str] = ()) -> list[str]:
    """Lines of a tabular that needs the package booktabs, with what it shows as a comment above it."""
    heads, rows = table
    lines = [f"% {line}" for line in comment]
    columns = "".join("l" if words else "r" for words in _words(table))
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [_latex_row(heads), r"\midrule", *(_latex_row(row) for row in rows)]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """``text`` in lines of ``width``, with indents."""
    wrapper = textwrap.TextWrapper(max(width, 30), first, rest, break_long_words=False, break_on_hyphens=False)
    whole = _SHORT.sub(lambda found: found[0].replace(" ", _TOGETHER), text)
    return [line.replace(_TOGETHER, " ") for line in wrapper.wrap(whole)]


def number(value: float, digits: int = 5) -> str:
    """A number with so many digits; – for nan."""
    if value != value:
        return "–"
    if abs(value) == float("inf"):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def cosine(one_minus: float) -> str:
    """A cosine from 1 − cosine: near 1 it is the difference that tells."""
    if one_minus == 0:
        return "1"
    if 0 < one_minus < 1e-3:
        return f"1 − {one_minus:.1e}".replace("e-0", "e-").replace("e-", "e−")
    return "0" if abs(1 - one_minus) < 1e-12 else f"{1 - one_minus:.4f}".replace("-", "−")


def _widths(table: Table) -> list[int]:
    heads, rows = table
    return [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]


def _words(table: Table) -> list[bool]:
    """Which columns hold words: the first, and those with a cell that starts with a letter."""
    return [i == 0 or any(row[i][:1].isalpha() for row in table[1]) for i in range(len(table[0]))]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join("".join(_SPECIAL.get(c, _LATEX.get(c, c)) for c in cell) for cell in cells) + r" \\"
