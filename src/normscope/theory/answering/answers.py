"""Answers about fixed points as text for a terminal, and as LaTeX for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from normscope.theory.answering.question import Question, gradient, layer_name
from normscope.theory.answering.tables import Table, cosine, fits, latex_table, number, text_table, wrapped
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.phases.basins import Basins
from normscope.theory.phases.transitions import Transition

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 12  # eigenvalues of a point
_COMMENT = 100  # columns of a comment in LaTeX

_POINTS = (
    "Each row is a Gram matrix of the batch that one layer of infinite width leaves as it is{scale}; its points fall "
    "into groups of the given sizes, within which they can be exchanged. cos within: cosine of two points of one "
    "group, group by group; across: of two groups; norms: of the first group over the last."
)
_BEHAVIOUR = (
    "rate: largest modulus of the eigenvalues of the layer's derivative{scale}, so what one layer leaves of a small "
    "deviation; layers: number of layers in which it shrinks by a factor e = 2.72 (– where it does not). gradient: "
    "factor of the squared gradient norm per layer, towards the input, for weights that keep the activations' size "
    "(– where infinite or not defined). attracts: every small deviation shrinks; saddle: exactly one direction grows, "
    "so that it divides batches; repels: several grow; neutral: none grows and not all shrink."
)
_SHRINKS = "Every batch shrinks to 0: |φ(x) − φ(0)| ≤ |x|, so that a layer leaves less of its variance."
_NOTHING = "Batches collapse, grow without bound, or go on changing."
_PHASES = (
    "A row is a batch size n. rate: largest modulus of the eigenvalues of the layer's derivative modulo scale, below 1 "
    "where all small deviations shrink; at 1 they shrink like a power of the depth. Batches of one group and of groups "
    "(1, n − 1) and (2, n − 2) were searched."
)


def answer_text(question: Question, width: int) -> list[str]:
    """The fixed points, what they do, and the spectra of those that attract or divide.

    Args:
        question: what was asked.
        width: columns of the screen.
    """
    points = question.fixed_points
    head = wrapped(f"Fixed points of {question.title}: {_counted(points)}.", width)
    if not points:
        return [*head, *wrapped(_SHRINKS if question.shrinks else _NOTHING, width)]
    shape, behaviour = _shape(points), _behaviour(question)
    both = _joined(shape, behaviour)
    scale = " (up to scale)" if points[0].scale_free else ""
    tables = text_table(both) if fits(both, width) else [*text_table(behaviour), "", *text_table(shape)]
    lines = [*head, "", *tables, ""]
    lines += wrapped(_POINTS.format(scale=scale), width)
    lines += wrapped(_BEHAVIOUR.format(scale=scale.replace("up to", "modulo")), width)
    for i, point in enumerate(points):
        if point.family:
            lines += wrapped(f"{i + 1}: one of {point.family}.", width, "", "   ")
    return [*lines, "", *_spectra(points, width)]


def answer_latex(question: Question) -> list[str]:
    """A tabular with a row for every fixed point."""
    points = question.fixed_points
    scale = " (up to scale)" if points and points[0].scale_free else ""
    told = [f"Fixed points of {question.title}. Needs the package booktabs."]
    told += wrapped(_POINTS.format(scale=scale), _COMMENT)
    told += wrapped(_BEHAVIOUR.format(scale=scale.replace("up to", "modulo")), _COMMENT)
    return latex_table(_joined(_shape(points), _behaviour(question)), told)


def phase_table(diagram: pd.DataFrame) -> Table:
    """A row for every setting: what attracts there, and how many other fixed points were found."""
    rows = []
    for (recenter, rescale, phi, n), there in diagram.groupby(["recenter", "rescale", "activation", "n"], sort=False):
        attracting = there[there["attraction"].isin(["exponential", "algebraic"])]
        columns = (attracting[name] for name in ("kind", "sizes", "rate"))
        told = [f"{kind} {_sizes(sizes)} {number(rate, 4)}" for kind, sizes, rate in zip(*columns, strict=True)]
        neutral = there[there["attraction"] == "neutral"]
        told += [f"neutral: {kind}" for kind in dict.fromkeys(neutral["kind"])]
        others = there[(there["attraction"] == "none") & (there["kind"] != "none")]
        saddles = int(others["saddle"].sum())
        name = layer_name(bool(recenter), bool(rescale), str(phi))
        rows.append([name, str(n), ", ".join(told) or "nothing", str(saddles), str(len(others) - saddles)])
    return ("layer", "n", "what attracts, with its rate", "saddles", "repelling"), rows


def phase_text(diagram: pd.DataFrame, found: Sequence[tuple[str, Transition]], width: int) -> list[str]:
    """The phase table, layer by layer, and below it where what attracts changes."""
    heads, rows = phase_table(diagram)
    lines: list[str] = []
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row[1:] for row in rows if row[0] == name]
        lines += [name[0].upper() + name[1:], *_clipped((heads[1:], mine), width), ""]
    lines += wrapped(_PHASES, width)
    return [*lines, "", *transition_text(found, width)]


def transition_text(found: Sequence[tuple[str, Transition]], width: int) -> list[str]:
    """Where fixed points are born, vanish, meet or change stability, a line or two each."""
    if not found:
        return wrapped("No fixed point of these groups is born, vanishes or changes stability in this range.", width)
    lines = wrapped("Where fixed points change (parameter solved for as a real number):", width)
    for name, t in found:
        value = f"{t.parameter} = {number(t.value, 10)} ± {t.error:.0e}"
        sides = f"below: {t.below}; above: {t.above}"
        lines += wrapped(f"{name}: {t.kind} at {value}, {t.family}; {sides}.", width, "  · ", "    ")
    return lines


def phase_latex(diagram: pd.DataFrame, found: Sequence[tuple[str, Transition]]) -> list[str]:
    """The phase table as a tabular, and the transitions as another."""
    heads = ("layer", "parameter", "value", "kind", "of", "below", "above")
    rows = [(name, t.parameter, number(t.value, 10), t.kind, t.family, t.below, t.above) for name, t in found]
    second = ["", *latex_table((heads, rows))] if rows else []
    return [*latex_table(phase_table(diagram), ["Phase diagram. Needs the package booktabs."]), *second]


def basin_text(basins: Basins, law: str, width: int) -> list[str]:
    """Shares of the batches that came to each fixed point that attracts."""
    heads = ("where batches end", "batches", "share", "95 % interval", "median layers")
    rows = []
    for row in basins.table().to_dict("records"):
        name = f"{row['kind']} {_sizes(row['sizes'])}" if row["sizes"] else str(row["kind"])
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        rows.append([name, str(row["count"]), f"{row['share']:.3f}", interval, number(row["median_layers"], 4)])
    told = f"{law}; followed until a batch is near a fixed point that attracts. Intervals: Wilson."
    return [*text_table((heads, rows)), *wrapped(told, width)]


def _counted(points: Sequence[FixedPoint]) -> str:
    behaviours = [_does(point) for point in points]
    words = [f"{behaviours.count(w)} {t}" for w, t in _TOLD.items() if w in behaviours]
    return f"{len(points)} found, {', '.join(words)}" if points else "none found"


_TOLD = {
    "attracts": "attracting",
    "attracts slowly": "attracting like a power of the depth",
    "neutral": "neutral",
    "saddle": "dividing (saddles)",
    "repels": "repelling",
}


def _does(point: FixedPoint) -> str:
    if point.stable:
        return "attracts"
    if point.saddle:
        return "saddle"
    if point.unstable_directions:
        return "repels"
    return "attracts slowly" if point.attraction == "algebraic" else "neutral"


def _name(i: int, point: FixedPoint) -> str:
    return f"{i + 1} {point.kind} {_sizes(point.sizes)}"


def _sizes(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, sizes))})"


def _shape(points: Sequence[FixedPoint]) -> Table:
    rows = []
    for i, point in enumerate(points):
        gaps, m = point.groups.one_minus_cosines, len(point.sizes)
        within = ["–" if k == 1 else cosine(gaps[g, g]) for g, k in enumerate(point.sizes)]
        across = [cosine(gaps[g, h]) for g in range(m) for h in range(g + 1, m)]
        norms = "–" if m == 1 else " : ".join(number(r, 5) for r in (*point.norm_ratios[:-1], 1))
        rows.append([_name(i, point), ", ".join(within), ", ".join(across) or "–", norms])
    return ("fixed point", "cos within", "across", "norms"), rows


def _behaviour(question: Question) -> Table:
    rows = []
    for i, point in enumerate(question.fixed_points):
        layers = number(point.layers_to_shrink, 4) if point.stable else "–"
        growth = number(gradient(question.layer, point), 4)
        rows.append([_name(i, point), _does(point), _rate(point.rate), layers, growth])
    return ("fixed point", "behaviour", "rate", "layers", "gradient"), rows


def _rate(rate: float) -> str:
    """With as many digits as it takes to tell it from 1."""
    gap = abs(rate - 1)
    digits = 5 if not 0 < gap < 1e-4 else min(2 - int(np.floor(np.log10(gap))), 14)
    return number(rate, digits)


def _joined(left: Table, right: Table) -> Table:
    heads = (*left[0], *right[0][1:])
    return heads, [[*a, *b[1:]] for a, b in zip(left[1], right[1], strict=True)]


def _spectra(points: Sequence[FixedPoint], width: int) -> list[str]:
    lines = ["Eigenvalues × how many directions have them, of the fixed points that attract or divide:"]
    lines = wrapped(lines[0], width)
    for i, point in enumerate(points):
        if not (point.unstable_directions == 0 or point.saddle):
            continue
        listed = [
            f"{_eigenvalue(value)} × {count}" for value, count in zip(point.spectrum, point.multiplicities, strict=True)
        ]
        more = len(listed) - _LISTED
        told = ", ".join(listed[:_LISTED]) + (f" and {more} more" if more > 0 else "")
        between = f" (between {' and '.join(point.between)})" if point.between else ""
        lines += wrapped(f"{i + 1}{between}: {told}", width, "  ", "     ")
    left = sum(not (point.unstable_directions == 0 or point.saddle) for point in points)
    return [*lines, f"  Those of the {left} others: --json."] if left else lines


def _eigenvalue(value: complex) -> str:
    if abs(np.imag(value)) > 1e-12:
        return f"{number(np.real(value))} + {number(abs(np.imag(value)))}i"
    return _rate(float(np.real(value)))


def _clipped(table: Table, width: int) -> list[str]:
    """A text table whose second column is wrapped to the width."""
    heads, rows = table
    others = (heads[0], *heads[2:]), [[row[0], *row[2:]] for row in rows]
    space = max(30, width - len(text_table(others)[1]) - 3)
    spread: list[list[str]] = []
    for row in rows:
        first, *more = wrapped(row[1], space)
        spread += [[row[0], first, *row[2:]], *(["", part, *[""] * (len(row) - 2)] for part in more)]
    return text_table((heads, spread))
