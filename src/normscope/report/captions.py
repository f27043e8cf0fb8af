"""Plain sentences computed from the numbers, so that they stay true when the numbers change."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normscope.report.summary import Expected, Summary

NAMES = {"batch": "Batch norm", "recenter": "Recenter only", "rescale": "Rescale only", "none": "No norm"}
RECENTERED = ("batch", "recenter")
_LEVEL = 0.01  # a factor per layer within 1 % of 1 is called level
_ORTHOGONAL = 0.1  # below this cosine, "orthogonal"
_TAMED = 0.5  # growing less than half as fast as a plain network, gradients are called tamed
_CANCELLED = 0.01  # below this coherence, gradients cancel over the batch


def number(value: float) -> str:
    """Three significant digits; powers of ten where they are shorter; a dash where there is no number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1000:
        return f"{value:#.3g}".rstrip(".").replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{power}".replace("-", "−")


def cosine(value: float) -> str:
    """A cosine to two decimals."""
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def fate(summary: Summary, labels: Sequence[int]) -> str:
    """What became of the batch in one network."""
    if summary.shape == "odd point" and summary.odd_index is not None:
        return _odd_point(summary, labels)
    if summary.shape == "collapsed":
        return f"All {len(labels)} samples end up in nearly one direction: mean cosine {cosine(summary.cos_mean)}."
    if math.isnan(summary.cos_mean):
        return "The activations are zero or not finite at the end: no direction is left to compare."
    return f"The samples stay apart: mean cosine {cosine(summary.cos_mean)} at the end, and no odd one."


def _odd_point(summary: Summary, labels: Sequence[int]) -> str:
    index = summary.odd_index or 0
    where = "" if summary.odd_from is None else f" from layer {summary.odd_from} on"
    apart = (
        "is orthogonal to them"
        if abs(summary.odd_cosine) < _ORTHOGONAL
        else f"has cosine {cosine(summary.odd_cosine)} to them"
    )
    tight = f"the other {len(labels) - 1} have cosine {cosine(summary.cluster_cosine)} among themselves"
    return (
        f"One odd point{where}: sample {index} (a {labels[index]}) {apart}, {tight}, "
        f"and it is {number(summary.odd_norm_ratio)} times as long."
    )


def rank(summaries: Sequence[Summary], batch: int) -> str:
    """Effective rank at the end of each network."""
    return f"How many directions the {batch} samples still use. At the end {_listed(summaries, 'effective_rank')}."


def scale(summaries: Sequence[Summary]) -> str:
    """What happens to the size of activations per layer."""
    return f"Per layer: {_factors([(s.norm, s.scale_growth) for s in summaries])}."


def gradient(summaries: Sequence[Summary], expected: Sequence[Expected]) -> str:
    """What happens to the squared gradient norm per layer, on its way back."""
    notes = [
        f" Theory expects ×{number(e.value)} for {NAMES[e.norm].lower()} ({e.source})."
        for e in expected
        if e.quantity == "gradient_growth"
    ]
    rates = _factors([(s.norm, s.gradient_growth) for s in summaries])
    return f"Its square, per layer on the way back: {rates}." + "".join(notes)


def skip_connections(summaries: Sequence[Summary], plain_growth: float) -> str:
    """What the gradient of batch norm would do in a plain network, where skip connections keep it from doing so."""
    batch = next((s for s in summaries if s.norm == "batch"), None)
    if batch is None or not batch.gradient_growth - 1 < _TAMED * (plain_growth - 1):
        return ""
    return (
        f" Without skip connections theory expects ×{number(plain_growth)} with batch norm (Yang et al. 2019): "
        "they keep gradients from exploding."
    )


def coherence(summaries: Sequence[Summary], batch: int) -> str:
    """How far the samples' gradients agree in sign."""
    chance = number(1 / math.sqrt(batch))
    text = (
        f"1: every sample pulls each unit the same way, whatever the input; {chance}: as independent samples would. "
        f"Medians {_listed(summaries, 'coherence')}."
    )
    cancelled = [s.norm for s in summaries if s.norm in RECENTERED and s.coherence < _CANCELLED]
    if cancelled:
        text += " Recentering takes the mean over the batch out of every gradient below it, hence no coherence there."
    return text


def oddest(summaries: Sequence[Summary]) -> str:
    """Where the oddest sample is orthogonal to the rest."""
    orthogonal = [s.norm for s in summaries if s.shape == "odd point" and abs(s.odd_cosine) < _ORTHOGONAL]
    text = "Mean cosine of the oddest sample to all others."
    if orthogonal:
        text += f" With {_join([NAMES[norm].lower() for norm in orthogonal])} it ends up orthogonal to them."
    return text


def score(summaries: Sequence[Summary]) -> str:
    """Where one point stands out."""
    odd = [s for s in summaries if s.shape == "odd point"]
    rule = "0: no point differs from the rest; 1: a tight cluster and one point orthogonal to it."
    if not odd:
        return f"{rule} In none of these networks does one point stand out at the end."
    return f"{rule} One point stands out at the end with {_join([NAMES[s.norm].lower() for s in odd])}."


def _factors(rates: Sequence[tuple[str, float]]) -> str:
    return _join([f"{_factor(rate)} with {NAMES[norm].lower()}" for norm, rate in rates])


def _factor(rate: float) -> str:
    if math.isnan(rate):
        return "not to be followed"
    return f"×{rate:.2f} (level)" if abs(rate - 1) < _LEVEL else f"×{number(rate)}"


def _listed(summaries: Sequence[Summary], quantity: str) -> str:
    ordered = sorted(summaries, key=lambda s: -getattr(s, quantity))
    return _join([f"{number(getattr(s, quantity))} with {NAMES[s.norm].lower()}" for s in ordered])


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
