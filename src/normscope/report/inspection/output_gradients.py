"""What the gradient by a classifier's outputs tells: its numbers, and a line on what to expect of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from normscope.report.writing import cosine
from normscope.tracing import Trace

_DASH = "–"


class OutputRow(NamedTuple):
    """One number of each network.

    Attributes:
        title: what it is.
        values: of each network, as text.
        meaning: one line: what its extremes mean.
    """

    title: str
    values: tuple[str, ...]
    meaning: str


def output_rows(traces: Sequence[Trace]) -> list[OutputRow]:
    """The numbers of `Trace.output_gradients` for readers; none where no trace has any."""
    found = [trace.output_gradients for trace in traces]
    if not any(found):
        return []
    meanings = output_meanings(traces)
    return [OutputRow(_TITLES[key], tuple(_text(key, numbers) for numbers in found), meanings[key]) for key in _TITLES]


def output_meanings(traces: Sequence[Trace]) -> dict[str, str]:
    """One line on each number of `Trace.output_gradients`, with the values that its number of classes K lets expect.

    Where networks differ in K, or nothing was measured, K stays a letter.
    """
    counts = {int(trace.output_gradients["classes"]) for trace in traces if trace.output_gradients}
    none, even, always = _expected(counts.pop()) if len(counts) == 1 else ("1/(K − 1)", "1/K", "K/(2K − 2)")
    return {
        "largest_share": "Share of the samples of other classes that have it as their largest wrong one. "
        f"100%: it is preferred whatever the input; about {none}: none is.",
        "positive_share": "Share of the largest class in what is predicted wrongly. "
        f"100%: all goes to one class; {even}: it is spread evenly.",
        "cosine": "Of two samples' rows, the true classes left out. "
        "Near 1: the same prediction whatever the input, or all classes as likely; the correlation tells which.",
        "correlation": "The same, of the rows less their means. "
        "1: one order of preference for all inputs; 0: each input has its own.",
        "rank_one_energy": "Share of the gradient that one column times one row explains, true classes included. "
        f"{none}: all classes are as likely; {always}: one class is predicted with certainty (of balanced labels).",
    }


_TITLES = {
    "largest_share": "Largest wrong class",
    "positive_share": "Weight of one class",
    "cosine": "Mean cosine",
    "correlation": "Mean correlation",
    "rank_one_energy": "Rank-one energy",
}


def _expected(classes: int) -> tuple[str, str, str]:
    """1/(K − 1), 1/K, K/(2K − 2).

    With balanced labels the rows of a gradient of equal probabilities, 1/K − e_y, have K − 1 equal singular values;
    those of a certain prediction c, e_c − e_y, have squares K, 1 (K − 2 times) and 0.
    """
    return (
        f"{1 / (classes - 1):.0%} (1/{classes - 1})",
        f"{1 / classes:.0%} (1/{classes})",
        f"{classes / (2 * classes - 2):.0%}",
    )


def _text(key: str, numbers: Mapping[str, float]) -> str:
    if not numbers:
        return _DASH
    value = numbers[key]
    if key in ("cosine", "correlation"):
        return cosine(value)
    share = f"{value:.0%}" if value == value else _DASH
    return f"{share} (class {numbers['largest_class']:.0f})" if key == "largest_share" else share
