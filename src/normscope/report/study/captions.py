"""Plain sentences computed from the numbers, so that they stay true when the numbers change."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normscope.report.norms import NAMES
from normscope.report.study.summary import Expected, Summary
from normscope.report.writing import cosine, joined, number

RECENTERED = ("batch", "recenter")
_LEVEL = 0.01  # a factor per layer within 1 % of 1 is called level
_ORTHOGONAL = 0.1  # below this cosine, "orthogonal"
_SHALLOW = 3  # layers below which no rate per layer is fitted
_NAMED = 3  # so many odd samples are named, more are counted
_HOW = {
    "drawn together": "are drawn together",
    "moved apart": "move apart",
    "as far apart": "stay about as far apart as they were",
}
_CANCELLED = 0.01  # below this coherence, gradients cancel over the batch


def fate(summary: Summary, labels: Sequence[int]) -> str:
    """What became of the batch in one network."""
    have = summary.directions
    if summary.shape == "no direction":
        return _no_direction(have, len(labels))
    lost = "" if have == len(labels) else f"Only {have} of {len(labels)} samples still have a direction. "
    if summary.odd:
        return lost + _apart(summary, labels)
    end = cosine(summary.cos_mean)
    if summary.shape == "collapsed":
        return f"{lost}All {have} samples end up in nearly one direction: mean cosine {end}."
    if summary.depth == 1:
        return f"{lost}Mean cosine {end} behind the only layer."
    start = "" if math.isnan(summary.cos_start) else f"{cosine(summary.cos_start)} at first, "
    return f"{lost}The samples {_HOW[summary.shape]}: mean cosine {start}{end} at the end."


def _no_direction(have: int, batch: int) -> str:
    if have == 1:
        return f"Only 1 of {batch} samples still has a direction: nothing is left to compare."
    return "The activations are zero or not finite at the end: no direction is left to compare."


def _apart(summary: Summary, labels: Sequence[int]) -> str:
    others = summary.directions - len(summary.odd)
    where = f" from layer {summary.odd_from} on"
    tight = f"the other {others} have cosine {cosine(summary.tight_cosine)} among themselves"
    orthogonal = abs(summary.apart_cosine) < _ORTHOGONAL
    if len(summary.odd) > 1:
        apart = "orthogonal" if orthogonal else f"at cosine {cosine(summary.apart_cosine)}"
        named = "they" if len(summary.odd) > _NAMED else f"samples {joined([str(i) for i in summary.odd])}"
        return f"{len(summary.odd)} odd points{where}: {named} are {apart} to the rest, {tight}."
    apart = "is orthogonal to them" if orthogonal else f"has cosine {cosine(summary.apart_cosine)} to them"
    index, length = summary.odd[0], number(summary.odd_norm_ratio)
    return (
        f"One odd point{where}: sample {index} (a {labels[index]}) {apart}, {tight}, and it is {length} times as long."
    )


def rank(summaries: Sequence[Summary], batch: int) -> str:
    """Effective rank at the end of each network."""
    return f"How many directions the {batch} samples still use. At the end {_listed(summaries, 'effective_rank')}."


def scale(summaries: Sequence[Summary]) -> str:
    """What happens to the size of activations per layer."""
    return _per_layer("Per layer", [(s.norm, s.scale_growth) for s in summaries], summaries)


def gradient(summaries: Sequence[Summary], expected: Sequence[Expected]) -> str:
    """What happens to the squared gradient norm per layer, on its way back."""
    notes = [
        f" Theory expects ×{number(e.value)} for {NAMES[e.norm].lower()} ({e.source})."
        for e in expected
        if e.quantity == "gradient_growth"
    ]
    rates = [(s.norm, s.gradient_growth) for s in summaries]
    return _per_layer("Its square, per layer on the way back", rates, summaries) + "".join(notes)


def without_skip_connections(summaries: Sequence[Summary], plain_growth: float) -> str:
    """What theory says of batch norm in a plain network, beside what was measured in a residual one."""
    if all(s.norm != "batch" or math.isnan(s.gradient_growth) for s in summaries):
        return ""
    return f" In a wide plain network with batch norm it would be ×{number(plain_growth)} (Yang et al. 2019)."


def coherence(summaries: Sequence[Summary], batch: int) -> str:
    """How far the samples' gradients agree in sign."""
    chance = number(1 / math.sqrt(batch))
    text = (
        f"1: every sample pulls each unit the same way, whatever the input; {chance}: as independent samples would. "
        f"Medians {_listed(summaries, 'coherence')}."
    )
    cancelled = {s.norm for s in summaries if s.coherence < _CANCELLED}
    if cancelled and cancelled.issubset(RECENTERED):  # where others cancel too, recentering is not why
        text += " Recentering takes the mean over the batch out of every gradient below it, hence no coherence there."
    return text


def oddest(summaries: Sequence[Summary]) -> str:
    """Where the oddest sample is orthogonal to the rest."""
    orthogonal = [s.norm for s in summaries if s.odd and abs(s.odd_cosine) < _ORTHOGONAL]
    text = "Mean cosine of the oddest sample to all others."
    if orthogonal:
        text += f" With {joined([NAMES[norm].lower() for norm in orthogonal])} it ends up orthogonal to them."
    return text


def score(summaries: Sequence[Summary]) -> str:
    """Where points sit apart."""
    rule = "0: no single point leads; 1: a tight cluster and one point orthogonal to it."
    one = [NAMES[s.norm].lower() for s in summaries if len(s.odd) == 1]
    several = [NAMES[s.norm].lower() for s in summaries if len(s.odd) > 1]
    if not one and not several:
        return f"{rule} In none of these networks does a point sit apart at the end."
    if one:
        rule += f" One point sits apart at the end with {joined(one)}."
    if several:
        rule += f" Several sit apart at the end with {joined(several)}."
    return rule


def _per_layer(what: str, rates: Sequence[tuple[str, float]], summaries: Sequence[Summary]) -> str:
    if summaries[0].depth < _SHALLOW:
        return "Too shallow for a rate per layer."
    return f"{what}: {joined([f'{_factor(rate)} with {NAMES[norm].lower()}' for norm, rate in rates])}."


def _factor(rate: float) -> str:
    if math.isnan(rate):
        return "not to be followed"
    return f"×{rate:.2f} (level)" if abs(rate - 1) < _LEVEL else f"×{number(rate)}"


def _listed(summaries: Sequence[Summary], quantity: str) -> str:
    values = [(getattr(s, quantity), NAMES[s.norm].lower()) for s in summaries]
    ordered = sorted(values, key=lambda pair: (math.isnan(pair[0]), -pair[0]))
    return joined([f"{'undefined' if math.isnan(value) else number(value)} with {name}" for value, name in ordered])
