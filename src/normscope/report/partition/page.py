"""Partitions in, one self-contained page out: pictures to zoom into, layer by layer, and their numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from normscope.report.output import write_whole
from normscope.report.partition.facts import Facts
from normscope.report.partition.payload import partition_payload
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.partition.words import facts_of, number, sentences, title
from normscope.report.templating import render_template
from normscope.spline.pictures.colours import class_colours, layer_colours

_CHIPS = 40  # layers with a button of their own


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
        classes=[{"number": k, "colour": colour} for k, colour in enumerate(class_colours(classes))] if classes else [],
        fewest=min(panel["activeRange"][0] for panel in payload["panels"]),
        most=max(panel["activeRange"][1] for panel in payload["panels"]),
        dots=any(len(panel.points) for panel in panels),
        mean=any(panel.mean is not None for panel in panels),
        boundary=any(len(panel.boundary) for panel in panels),
        boundary_shown=not partitioned.reference,
    )


def _chips(panel: Panel) -> list[dict[str, Any]]:
    folds = panel.partition.folds
    colours = layer_colours(len(folds))
    return [
        {"fold": k + 1, "name": fold.layer, "colour": colour, "chip": k < _CHIPS}
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
