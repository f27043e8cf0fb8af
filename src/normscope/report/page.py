"""A `Study` in, one self-contained page out: no file beside it, no network request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import jinja2
import torch

from normscope import __version__, theory
from normscope.report import captions, payload
from normscope.report.output import write_whole
from normscope.report.study import Study
from normscope.report.summary import Expected, Summary, expectations, summarize

_TITLES = {"mlp": "A plain network", "resnet": "A residual network"}
_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("cos_mean", "mean cosine", captions.cosine),
    ("cluster_cosine", "cosine among the others", captions.cosine),
    ("odd_cosine", "cosine of the oddest to the others", captions.cosine),
    ("odd_norm_ratio", "its norm over theirs", captions.number),
    ("effective_rank", "effective rank", captions.number),
    ("scale_growth", "activations, per layer ×", captions.number),
    ("gradient_growth", "squared gradient, per layer back ×", captions.number),
)


def write_page(study: Study, path: str | os.PathLike[str], command: str = "normscope report") -> None:
    """Write the page of ``study`` to ``path``: whole, or not at all.

    Args:
        study: the study.
        path: the file; replaced if it is there.
        command: the command that makes the page again, printed on it.

    Raises:
        OSError: the path cannot be written.
    """
    write_whole(path, render(study, command))


def render(study: Study, command: str = "normscope report") -> str:
    """The page of ``study`` as HTML."""
    from plotly.offline import get_plotlyjs  # a megabyte of Python: loaded when a page is made

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("normscope.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    shown = payload.shown_samples(study)
    sections = [_section(study, model, shown) for model in study.settings.models]
    script = {"sections": [s["payload"] for s in sections], "samples": payload.samples_payload(study, shown)}
    return environment.get_template("page.html.j2").render(
        sections=sections,
        batch=len(study.labels),
        shown=len(shown),
        settings=study.settings,
        command=command,
        version=__version__,
        torch_version=torch.__version__,
        today=date.today().isoformat(),
        names=captions.NAMES,
        columns=[title for _, title, _ in _COLUMNS],
        plotly=get_plotlyjs(),
        # a "</script>" in a name would end the element it stands in
        payload=json.dumps(script, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _section(study: Study, model: str, shown: Sequence[int]) -> dict[str, Any]:
    """What the template says of one model, and under ``payload`` what the script draws."""
    runs = [run for run in study.runs if run.model == model]
    summaries = [summarize(run) for run in runs]
    expected = [e for e in expectations(model, len(study.labels)) if e.norm in study.settings.norms]
    labels = study.labels.tolist()
    drawn = payload.section_payload(model, runs, expected, shown)
    return {
        "id": model,
        "title": _TITLES[model],
        "subtitle": _subtitle(study, model),
        "networks": [
            {"norm": s.norm, "name": captions.NAMES[s.norm], "fate": captions.fate(s, labels)} for s in summaries
        ],
        "rows": [_row(s, expected) for s in summaries],
        "charts": _charts(model, summaries, expected, len(labels)),
        "slider_end": len(drawn["stops"]) - 1,
        "sources": sorted({e.source for e in expected}),
        "payload": drawn,
    }


def _subtitle(study: Study, model: str) -> str:
    s = study.settings
    if model == "mlp":
        return f"{s.depth} layers of {s.width} units: linear, normalization, ReLU. He initialization."
    return (
        f"ResNet-{s.resnet_depth} for 32×32 images: residual blocks of two convolutions, projection shortcuts. "
        "Xavier initialization."
    )


def _charts(model: str, summaries: Sequence[Summary], expected: Sequence[Expected], batch: int) -> list[dict[str, str]]:
    gradient = captions.gradient(summaries, expected)
    if model == "resnet":
        gradient += captions.skip_connections(summaries, theory.gradient_growth(batch))
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


def _row(summary: Summary, expected: Sequence[Expected]) -> dict[str, Any]:
    """One line of the table: each measured value, and beside it what is expected, if anything is."""
    beside = {e.quantity: e for e in expected if e.norm == summary.norm}
    cells = [
        {
            "value": form(getattr(summary, key)),
            "expected": form(beside[key].value) if key in beside else "",
            "source": beside[key].source if key in beside else "",
        }
        for key, _, form in _COLUMNS
    ]
    return {"norm": summary.norm, "name": captions.NAMES[summary.norm], "cells": cells}
