"""What the gradient by a classifier's outputs tells: its numbers, and a line on what to expect of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from normscope.report.writing import cosine
from normscope.tracing import Trace

_DASH = "–"
_ALWAYS = 0.9  # a class that is predicted for more of the samples is predicted whatever the input
_STRONGLY = 0.5  # with more of the weight of what is predicted wrongly it is so strongly
_MOST = 0.5  # of a batch with more samples of that class nothing can be told


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


def prediction(trace: Trace) -> str | None:
    """One sentence: does the network predict one class, whatever the input? None where that was not measured.

    By the outputs themselves: a trained network whose few errors all go to one class has the gradient of one that
    predicts nothing else. How strongly, the gradient tells: by the share of the largest class in what is predicted
    wrongly, and by its rank-one energy, from 1/(K − 1) where all K classes are as likely to K/(2K − 2) where one is
    certain.
    """
    found = trace.output_gradients
    if "predicted_share" not in found:  # a file of before it was measured
        return None
    which = f"class {found['predicted_class']:.0f}"
    share, own = f"{found['predicted_share']:.0%}", f"{found['label_share']:.0%}"
    classes = int(found["classes"])
    even, certain = f"{1 / (classes - 1):.0%}", f"{classes / (2 * classes - 2):.0%}"
    span = f"from {even} (all classes as likely) to {certain} (one certain)"
    energy = f"rank-one energy {found['rank_one_energy']:.0%}, {span}"
    if found["label_share"] > _MOST:
        return (
            f"This batch does not tell whether one class is predicted whatever the input: {own} of the samples belong "
            f"to {which}, which is the largest output of {share}."
        )
    if found["predicted_share"] <= _ALWAYS:
        return (
            f"The network does not predict one class: the most frequent, {which}, is the largest output of {share} of "
            f"the samples, {own} belong to it; {energy}."
        )
    told = f"{which} is the largest output of {share} of the samples, {own} belong to it"
    if predicts_one_class(trace):
        return (
            f"The network predicts one class whatever the input: {told}. It is the largest wrong class of "
            f"{found['largest_share']:.0%} of the others; {energy}."
        )
    return (
        f"The network prefers one class whatever the input, but not by much: {told}. One class gets "
        f"{found['positive_share']:.0%} of what is predicted wrongly; {energy}."
    )


def predicts_one_class(trace: Trace) -> bool:
    """Whether one class is predicted for nearly all samples, of whatever class, and with most of the weight."""
    found = trace.output_gradients
    if "predicted_share" not in found or found["label_share"] > _MOST:
        return False
    return found["predicted_share"] > _ALWAYS and found["positive_share"] > _STRONGLY


def output_meanings(traces: Sequence[Trace]) -> dict[str, str]:
    """One line on each number of `Trace.output_gradients`, with the values that its number of classes K lets expect.

    Where networks differ in K, or nothing was measured, K stays a letter.
    """
    counts = {int(trace.output_gradients["classes"]) for trace in traces if trace.output_gradients}
    none, even, always = _expected(counts.pop()) if len(counts) == 1 else ("1/(K − 1)", "1/K", "K/(2K − 2)")
    return {
        "predicted_share": "Share of the samples whose largest output is the class that is predicted most often. "
        "100%: it is predicted whatever the input.",
        "label_share": "Share of the samples that are of the class that is predicted most often.",
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
    "predicted_share": "Most predicted class",
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
    if key not in numbers:
        return _DASH
    value = numbers[key]
    if key in ("cosine", "correlation"):
        return cosine(value)
    share = f"{value:.0%}" if value == value else _DASH
    of_class = {"predicted_share": "predicted_class", "largest_share": "largest_class"}
    return f"{share} (class {numbers[of_class[key]]:.0f})" if key in of_class else share
