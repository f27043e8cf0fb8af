"""Partitions in, one self-contained page out: pictures to zoom into, layer by layer, and their numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from normscope.report.output import write_whole
from normscope.report.partition.facts import Facts
from normscope.report.partition.payload import partition_payload
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.partition.words import facts_of, number, sentences, title
from normscope.report.templating import render_template
from normscope.spline.pictures.colours import class_colours, layer_colours

_CHIPS = 40  # layers with a button of their own
_MARKS = 20  # classes of data points that look different


def write_partition_page(
    partitioned: Partitioned, facts: Sequence[Facts], path: str | os.PathLike[str], command: str | None = None
) -> None:
    """Write the page to ``path``: whole, or not at all.

    Raises:
        OSError: the path cannot be written.
    """
    write_whole(path, render_partition(partitioned, facts, command))


def render_partition(partitioned: Partitioned, facts: Sequence[Facts], command: str | None = None) -> str:
    """The page as HTML: no file beside it, no network request.

    Args:
        partitioned: what to show.
        facts: `partition_facts` of each picture.
        command: the command that makes the page again, printed on it.
    """
    panels = partitioned.panels
    payload = partition_payload(panels, facts)
    classes = max((panel["classes"]["count"] for panel in payload["panels"] if panel["classes"]), default=0)
    deepest = max(panels, key=lambda panel: len(panel.partition.folds))
    names = [fold["name"] for fold in _chips(deepest)]
    return render_template(
        "partition.html.j2",
        payload,
        title=title(partitioned),
        partitioned=partitioned,
        command=command,
        panels=[
            {"name": panel.name, "facts": facts_of(told), "sentences": sentences(panel, told)}
            for panel, told in zip(panels, facts, strict=True)
        ],
        chips=_chips(deepest),
        rows=_rows(names, facts),
        units=any(unit for panel in payload["panels"] for unit in panel["units"]),
        by_layer=payload["byLayer"],
        marks=_marks(panels[0]),
        classes=[{"number": k, "colour": colour} for k, colour in enumerate(class_colours(classes))] if classes else [],
        dots=any(len(panel.points) for panel in panels),
        boundary=any(len(panel.boundary) for panel in panels),
        boundary_shown=not partitioned.reference,
    )


def _marks(panel: Panel) -> list[dict[str, str]]:
    """What the marks of the data stand for; all pictures have the same."""
    found: list[dict[str, str]] = []
    if panel.labels is not None:
        found += [{"label": str(label), "name": f"class {label}"} for label in np.unique(panel.labels)[:_MARKS]]
    elif len(panel.points):
        found.append({"label": "-1", "name": "data"})
    if panel.mean is not None:
        found.append({"label": "mean", "name": "mean"})
    return found


def _chips(panel: Panel) -> list[dict[str, Any]]:
    folds = panel.partition.folds
    colours = layer_colours(len(folds))
    return [
        {
            "fold": k + 1,
            "name": fold.layer,
            "kind": f"{fold.units:,} × {fold.kind}",
            "colour": colour,
            "chip": k < _CHIPS,
        }
        for k, (fold, colour) in enumerate(zip(folds, colours, strict=True))
    ]


def _rows(names: Sequence[str], facts: Sequence[Facts]) -> list[dict[str, Any]]:
    """A row a layer: of each picture its regions by then, and the length of the layer's folds."""
    rows = []
    for k, name in enumerate(names):
        layers = [told.layers[k] if k < len(told.layers) else None for told in facts]
        cells = [
            {"regions": "–", "length": ""}
            if layer is None
            else {"regions": f"{layer.regions:,}", "length": f"folds of length {number(layer.length)}"}
            for layer in layers
        ]
        there = next(layer for layer in layers if layer is not None) if any(layers) else None
        kind = "" if there is None else f"{there.units:,} × {there.kind}"
        rows.append({"number": k + 1, "name": name, "kind": kind, "cells": cells})
    return rows
