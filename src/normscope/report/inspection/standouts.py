"""What stands out in a trace: sentences computed from its numbers, and a ranking of its layers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.report.grouping import Grouping, grouping
from normscope.report.inspection.gradients import broken_gradients
from normscope.report.inspection.output_gradients import prediction, predicts_one_class
from normscope.report.study.summary import COLLAPSED, rms
from normscope.report.writing import cosine, elide, number
from normscope.tracing import Trace

_NAME = 80  # columns of a layer's name in a sentence
_DEAD = 0.5  # above this share of dead channels a layer is named
_FEW = 0.1  # below this share of the directions that there are, an effective rank is named
_DECADES = 3  # sizes that differ by more are named
_WORST_DECADES = 10  # this far from the median layer, a size counts as much as a layer whose channels are all dead


def standouts(trace: Trace) -> list[str]:
    """Plain sentences on what a reader should look at first; true whatever the numbers are.

    What is not finite comes first. Then dead channels (more than half of a layer's), what became of the batch in the
    last layer (samples apart from a tight cluster, all in one direction, few directions), and sizes of activations and
    gradients that differ by more than three decades through depth. Last a class that is predicted whatever the input.
    """
    found = [broken(trace), _dead(trace), *_end(trace), *_sizes(trace), _one_class(trace)]
    return [sentence for sentence in found if sentence] or [_calm(trace)]


def broken(trace: Trace) -> str | None:
    """The sentence on what is not finite, and where it is first; None if all is finite."""
    first = trace.first_nonfinite
    if first is not None:
        layer, call = first
        return f"NaN or infinity appears first in the output of layer {_called(trace, layer, call)}."
    if trace.loss is not None and not math.isfinite(trace.loss):
        return f"The loss is {number(trace.loss) if math.isinf(trace.loss) else 'NaN'}, every layer's output is finite."
    beyond = np.flatnonzero(broken_gradients(trace.table))
    if len(beyond):
        row = trace.table.iloc[int(beyond[-1])]  # backward, the last layer is the first
        norm = float(row["grad_norm"])  # finite: it is the parameters' gradient that is not
        what = "infinite" if math.isinf(norm) else "NaN" if math.isnan(norm) else "not finite"
        return f"On the way back the gradient is first {what} at layer {_called(trace, row['layer'], row['call'])}."
    return None


def trouble(table: pd.DataFrame) -> pd.DataFrame:
    """How much is wrong with each layer call, for ranking: ``trouble`` from 0 to 1, and ``why``.

    trouble = max(not finite, dead, alike, odd, size, gradient), where
    not finite: 1 if the output is not finite;
    dead: share of dead channels;
    alike: mean cosine of two samples (0 if negative);
    odd: odd-point score;
    size: decades between the output's root mean square and that of the median layer call, over 10, at most 1;
    gradient: the same for the norm of the gradient; 1 if it is not finite.

    ``why`` names the largest. What was not measured counts 0. It is a rule for where to look first and no verdict: a
    layer may be meant to make samples alike.

    Args:
        table: `Trace.table`.

    Returns:
        Frame with the index of ``table``.
    """
    terms = pd.DataFrame(
        {
            "not finite": 1.0 - _column(table, "finite", 1.0),
            "dead": _column(table, "dead_fraction"),
            "alike": _column(table, "cos_mean"),
            "odd": _column(table, "odd_score"),
            "size": _decades_off(rms(table) if {"mean", "std"} <= set(table) else np.full(len(table), math.nan)),
            "gradient": np.where(broken_gradients(table), 1.0, _decades_off(_column(table, "grad_norm", math.nan))),
        },
        index=table.index,
    ).fillna(0.0)
    terms = terms.clip(0.0, 1.0)
    return pd.DataFrame({"trouble": terms.max(axis="columns"), "why": terms.idxmax(axis="columns")})


def _column(table: pd.DataFrame, name: str, otherwise: float = 0.0) -> NDArray[np.float64]:
    values: NDArray[np.float64] = (
        table[name].to_numpy(float) if name in table else np.full(len(table), otherwise, dtype=float)
    )
    return values


def _decades_off(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(values)
    usable = logs[np.isfinite(logs)]
    if not usable.size:
        return np.zeros(len(values))
    off: NDArray[np.float64] = np.abs(logs - np.median(usable)) / _WORST_DECADES
    return off


def _dead(trace: Trace) -> str | None:
    shares = _column(trace.table, "dead_fraction", math.nan)
    many = int(np.sum(shares > _DEAD))
    if not many:
        return None
    row = trace.table.iloc[int(np.nanargmax(shares))]
    most = f"{_called(trace, row['layer'], row['call'])} ({_percent(float(np.nanmax(shares)))})"
    if many == 1:
        return f"More than half of the channels are dead in one layer call: {most}."
    return f"More than half of the channels are dead in {many} of {len(shares)} layer calls, most in {most}."


def _end(trace: Trace) -> list[str]:
    """What became of the batch at the end: in the last layer call whose output has a row a sample."""
    table = trace.table[trace.table["cos_mean"].notna()] if "cos_mean" in trace.table else trace.table[:0]
    if table.empty:
        return []
    last, first = table.iloc[-1], table.iloc[0]
    where = _called(trace, last["layer"], last["call"])
    found = []
    group = _grouped(trace, last["layer"], int(last["call"]))
    if group is not None and group.odd:
        one = len(group.odd) == 1
        found.append(
            f"{'One sample sits' if one else f'{len(group.odd)} samples sit'} apart at the end, in {where}: "
            f"{'sample' if one else 'samples'} {' and '.join(map(str, group.odd))} {'has' if one else 'have'} cosine "
            f"{cosine(group.odd_cosine)} to the others, which have {cosine(group.cluster_cosine)} among themselves."
        )
    if last["cos_mean"] > COLLAPSED:
        found.append(
            f"All samples end up in nearly one direction: mean cosine {_beside_limit(float(last['cos_mean']))} "
            f"in {where}, {cosine(float(first['cos_mean']))} in {_called(trace, first['layer'], first['call'])}."
        )
    limit = min(trace.batch, math.prod(last["shape"]) // trace.batch)  # no more directions than features
    if last["effective_rank"] < _FEW * limit:
        found.append(
            f"At the end, in {where}, the samples use {number(float(last['effective_rank']))} of {limit} directions "
            f"(effective rank)."
        )
    return found


def _grouped(trace: Trace, layer: str, call: int) -> Grouping | None:
    try:
        return grouping(trace.gram(layer, call))
    except KeyError:  # a trace made without Gram matrices
        return None


def _sizes(trace: Trace) -> list[str]:
    table = trace.table
    found = []
    if {"mean", "std"} <= set(table):
        found.append(_span(trace, rms(table), "Sizes of activations", "root mean square"))
    if "grad_norm" in table:
        gradients = table["grad_norm"].to_numpy(float)
        found.append(_span(trace, gradients, "Sizes of gradients", "norm"))
        none = int(np.sum(gradients == 0))
        if none:
            found.append(f"The gradient is exactly zero in {none} of {len(gradients)} layer calls.")
    return [sentence for sentence in found if sentence]


def _one_class(trace: Trace) -> str | None:
    return prediction(trace) if predicts_one_class(trace) else None


def _span(trace: Trace, values: NDArray[np.float64], what: str, size: str) -> str | None:
    usable = np.flatnonzero(np.isfinite(values) & (values > 0))
    if len(usable) < 2:
        return None
    low, high = usable[np.argmin(values[usable])], usable[np.argmax(values[usable])]
    decades = math.log10(values[high]) - math.log10(values[low])
    if decades <= _DECADES:
        return None
    told = []
    for row in sorted((int(low), int(high))):
        layer = trace.table.iloc[row]
        told.append(f"{number(float(values[row]))} in {_called(trace, layer['layer'], layer['call'])}")
    return f"{what} differ by {decades:.1f} decades through depth: {size} {' and '.join(told)}."


def _calm(trace: Trace) -> str:
    """What is said when nothing stands out: the numbers that were looked at."""
    table = trace.table
    looked = ["every output is finite"]
    if _known(table, "dead_fraction"):
        most = float(table["dead_fraction"].max())
        looked.append(f"at most {_percent(most)} of a layer's channels are dead" if most else "no channel is dead")
    if _known(table, "cos_mean"):
        last = table[table["cos_mean"].notna()].iloc[-1]
        looked.append(f"at the end the samples' mean cosine is {_beside_limit(float(last['cos_mean']))}")
    looked.append(f"sizes differ by less than {_DECADES} decades")
    return f"Nothing stands out: {', '.join(looked)}."


def _beside_limit(value: float) -> str:
    """A mean cosine; where two decimals would not tell on which side of the limit it is, with that limit."""
    told = cosine(value)
    return f"{value:.4f} (named above {COLLAPSED})" if told == cosine(COLLAPSED) else told


def _known(table: pd.DataFrame, name: str) -> bool:
    return name in table and bool(table[name].notna().any())


def _called(trace: Trace, layer: str, call: int) -> str:
    """The layer's name, and which of its calls where it has several."""
    several = int((trace.table["layer"] == layer).sum()) > 1
    name = elide(str(layer), _NAME)
    return f"{name} (call {call})" if several else name


def _percent(share: float) -> str:
    return f"{share:.0%}"
