"""Partitions as lines of plain text for a terminal of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from normscope.report.partition.facts import Facts
from normscope.report.partition.study import Partitioned
from normscope.report.partition.words import facts_of, sentences
from normscope.report.writing import elide, short_path

_ROWS = 40  # layers; of more the middle is left out
_LAYER = 28


def partition_lines(partitioned: Partitioned, facts: Sequence[Facts], width: int) -> list[str]:
    """What was found: a paragraph a picture, and the number of regions layer by layer.

    Args:
        partitioned: what was found.
        facts: `partition_facts` of each picture.
        width: columns of the screen; no line is longer, unless it has fewer than 20.
    """
    about = [partitioned.network, partitioned.plane, partitioned.data, partitioned.statistics]
    text = _wrapped(". ".join(part for part in about if part) + ".", "", width)
    for panel, told in zip(partitioned.panels, facts, strict=True):
        text += ["", *_wrapped(f"{panel.name}: {facts_of(told)} in {told.seconds:.1f} s", "", width)]
        for sentence in sentences(panel, told):
            text += _wrapped(sentence.replace(", ×", ""), "  · ", width)
    return [*text, "", *_table(partitioned, facts, width)] if any(told.layers for told in facts) else text


def _table(partitioned: Partitioned, facts: Sequence[Facts], width: int) -> list[str]:
    deepest = max(facts, key=lambda told: len(told.layers))
    names = [panel.name for panel in partitioned.panels]
    counts = [[f"{layer.regions:,}" for layer in told.layers] for told in facts]
    wide = [max(map(cell_len, [name, *column])) for name, column in zip(names, counts, strict=True)]
    number = len(str(len(deepest.layers)))
    first = min(_LAYER, max([5, *(cell_len(layer.layer) for layer in deepest.layers)]))
    first = max(8, min(first, width - number - 2 - sum(w + 2 for w in wide)))
    if number + 2 + first + sum(w + 2 for w in wide) > width:
        room = max(4, (width - number - 2 - first) // max(1, len(names)) - 2)
        wide = [min(w, room) for w in wide]
    head = f"{'':{number}}  {'layer':{first}}" + "".join(
        f"  {elide(n, w):>{w}}" for n, w in zip(names, wide, strict=True)
    )
    rows = ["Regions by layer and those before:", head]
    shown = list(range(len(deepest.layers)))
    if len(shown) > _ROWS:
        shown = [*shown[: _ROWS // 2], -1, *shown[-_ROWS // 2 :]]
    for k in shown:
        if k < 0:
            rows.append(f"… {len(deepest.layers) - _ROWS} more …")
            continue
        cells = [column[k] if k < len(column) else "–" for column in counts]
        name = short_path(deepest.layers[k].layer, first)
        rows.append(
            f"{k + 1:>{number}}  {name:{first}}"
            + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, wide, strict=True))
        )
    return rows


def _wrapped(text: str, bullet: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), initial_indent=bullet, subsequent_indent=" " * len(bullet))
