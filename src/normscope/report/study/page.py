"""A `Study` in, one self-contained page out: no file beside it, no network request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from normscope import theory
from normscope.report.claims.section import ShownClaims, claims_context
from normscope.report.norms import NAMES
from normscope.report.output import write_whole
from normscope.report.study import captions, payload
from normscope.report.study.run import Run, Study
from normscope.report.study.summary import Expected, Summary, expectations, summarize
from normscope.report.templating import render_template
from normscope.report.writing import cosine, joined, number

_TITLES = {"mlp": "A plain network", "resnet": "A residual network"}
_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("cos_mean", "mean cosine", cosine),
    ("cluster_cosine", "cosine among the others", cosine),
    ("odd_cosine", "cosine of the oddest to the others", cosine),
    ("odd_norm_ratio", "its norm over theirs", number),
    ("effective_rank", "effective rank", number),
    ("scale_growth", "activations, per layer ×", number),
    ("gradient_growth", "squared gradient, per layer back ×", number),
    ("gradient_ratio", "gradient, first layer over last ×", number),
)
_PARTS = {
    # as the sentence on the page goes on
    "batch": "with both",
    "recenter": "with recentering alone",
    "rescale": "with rescaling alone",
    "none": "with neither",
}


def write_page(
    study: Study,
    path: str | os.PathLike[str],
    command: str = "normscope report",
    claims: ShownClaims | None = None,
) -> None:
    """Write the page of ``study`` to ``path``: whole, or not at all.

    Args:
        study: the study.
        path: the file; replaced if it is there.
        command: the command that makes the page again, printed on it.
        claims: verdicts to show beside it; see `read_claims`.

    Raises:
        OSError: the path cannot be written.
    """
    write_whole(path, render(study, command, claims))


def render(study: Study, command: str = "normscope report", claims: ShownClaims | None = None) -> str:
    """The page of ``study`` as HTML."""
    shown = payload.shown_samples(study)
    sections = [_section(study, model, shown) for model in study.settings.models]
    return render_template(
        "page.html.j2",
        {"sections": [s["payload"] for s in sections], "samples": payload.samples_payload(study, shown)},
        sections=sections,
        batch=len(study.labels),
        shown=len(shown),
        settings=study.settings,
        command=command,
        parts=joined([_PARTS[norm] for norm in study.settings.norms]),
        theory=any(s["theory"] for s in sections),
        names=NAMES,
        claims=None if claims is None else claims_context(claims),
    )


def _section(study: Study, model: str, shown: Sequence[int]) -> dict[str, Any]:
    """What the template says of one model, and under ``payload`` what the script draws."""
    runs = [run for run in study.runs if run.model == model]
    summaries = [summarize(run) for run in runs]
    labels = study.labels.tolist()
    expected = [e for s in summaries for e in expectations(s, len(labels))]
    published = [run for run in runs if run.ln_channel_std]
    drawn = payload.section_payload(model, runs, expected, shown)
    return {
        "id": model,
        "title": _TITLES[model],
        "subtitle": _subtitle(study, model),
        "networks": [{"norm": s.norm, "name": NAMES[s.norm], "fate": captions.fate(s, labels)} for s in summaries],
        "tables": [_end(model, summaries, expected, bool(published)), *([_channels(published)] if published else [])],
        "charts": _charts(model, summaries, expected, len(labels)),
        "slider_end": len(drawn["stops"]) - 1,
        "theory": bool(expected),
        "payload": drawn,
    }


def _subtitle(study: Study, model: str) -> str:
    s = study.settings
    if model == "mlp":
        size = f"{_counted(s.depth, 'layer')} of {_counted(s.width, 'unit')}"
        return f"{size}: linear, normalization, ReLU. He initialization."
    return (
        f"ResNet-{s.resnet_depth} for 32×32 images: residual blocks of two convolutions, projection shortcuts. "
        "Xavier initialization."
    )


def _charts(model: str, summaries: Sequence[Summary], expected: Sequence[Expected], batch: int) -> list[dict[str, str]]:
    gradient = captions.gradient(summaries, expected)
    if model == "resnet":
        gradient += captions.without_skip_connections(summaries, theory.gradient_growth(batch))
    texts = {
        "cos_mean": "1: all samples point the same way; 0: they are orthogonal.",
        "odd_score": captions.score(summaries),
        "cluster_cosine": "Mean cosine of two samples, the oddest one left out.",
        "odd_cosine": captions.oddest(summaries),
        "effective_rank": captions.rank(summaries, batch),
        "rms": captions.scale(summaries),
        "grad_norm": gradient,
        "grad_coherence": captions.coherence(summaries, batch),
    }
    return [{"key": chart.key, "title": chart.title, "caption": texts[chart.key]} for chart in payload.CHARTS]


def _end(model: str, summaries: Sequence[Summary], expected: Sequence[Expected], published: bool) -> dict[str, Any]:
    """The table of the last layer: each measured value, and beside it what is expected, if anything is."""
    beside = {(e.norm, e.quantity): e for e in expected}
    note = "Of the last layer; rates per layer are fitted behind the first quarter of the depth."
    sources = sorted({e.source for e in expected})
    if sources:
        note += f" Theory holds for infinite width and depth: {'; '.join(sources)}."
    if model == "resnet" and not published:
        note += " The papers give numbers for ResNet-110 alone."
    rows = []
    for summary in summaries:
        cells = []
        for key, _, form in _COLUMNS:
            theory_says = beside.get((summary.norm, key))
            cells.append(
                {
                    "value": form(getattr(summary, key)),
                    "beside": f"theory {form(theory_says.value)}" if theory_says else "",
                    "source": theory_says.source if theory_says else "",
                }
            )
        rows.append(_row(summary.norm, cells))
    return {
        "title": "At the end of the network",
        "columns": [title for _, title, _ in _COLUMNS],
        "rows": rows,
        "note": note,
    }


def _channels(runs: Sequence[Run]) -> dict[str, Any]:
    """The table of channels, beside what the paper shows of the same network."""
    rows = []
    for run in runs:
        told = theory.LN_CHANNEL_STD.get(run.norm, ())
        beside = [f"paper {cosine(value)}" for value in told] or [""] * len(run.ln_channel_std)
        cells = [
            {"value": cosine(value), "beside": text, "source": "Bjorck et al. 2018" if text else ""}
            for value, text in zip(run.ln_channel_std, beside, strict=True)
        ]
        rows.append(_row(run.norm, cells))
    return {
        "title": "Spread of the channels",
        "columns": [f"layer {number}" for number in theory.CHANNEL_STD_LAYERS],
        "rows": rows,
        "note": "ln of the standard deviation of a convolution's channels (mean over the channels; layer 110 is the "
        "classifier). Paper: Bjorck et al. 2018, CIFAR-10, read off the plot.",
    }


def _row(norm: str, cells: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"norm": norm, "name": NAMES[norm], "cells": cells}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
