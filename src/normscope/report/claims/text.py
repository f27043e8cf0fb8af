"""Verdicts and claims as text for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from normscope.claims import SCALES, STATUSES, Claim, Verdict

_SHORT: Final = {"needs more than this machine": "needs more"}
_HEADS: Final = ("CLAIM", "MEASURED", "EXPECTED", "VERDICT")
_GAP: Final = "  "


class _Row(NamedTuple):
    cells: tuple[str, ...]
    below: tuple[str, ...]


def verdict_lines(verdicts: Sequence[Verdict], width: int) -> list[str]:
    """A table of verdicts in ``width`` columns: the numbers of a claim's headline, what it says below; sums."""
    rows = [_verdict_row(verdict) for verdict in verdicts]
    return [*_table(_HEADS, rows, width), "", *_wrapped(sums(verdicts), width, "")]


def claim_lines(claims: Sequence[Claim], width: int) -> list[str]:
    """A table of the claims there are, what they say, and how long each takes on one core, at each scale."""
    heads = ("CLAIM", *(scale.upper() for scale in SCALES))
    rows = [
        _Row((claim.id, *(_duration(claim.seconds[s]) for s in SCALES)), (f"{claim.statement} [{claim.result}]",))
        for claim in claims
    ]
    return _table(heads, rows, width)


def _verdict_row(verdict: Verdict) -> _Row:
    status = _SHORT.get(verdict.status, verdict.status)
    part = verdict.headline
    measured, expected = ("–", "–") if part is None else (str(part.measured), str(part.expected))
    notes = [told] if (told := parts_told(verdict)) else []
    if part is not None and part.measured.confidence is not None:
        notes.append(f"{percent(part.measured.confidence)} confidence")
    if verdict.revised:
        notes.append("revised after a first run")
    said = verdict.statement + (f" [{'; '.join(notes)}]" if notes else "")
    below = (said, f"→ {verdict.reason}") if verdict.reason else (said,)
    return _Row((verdict.id, measured, expected, status), below)


def parts_told(verdict: Verdict) -> str:
    """How many parts there are and which of them is shown; empty where there is one.

    ``4 parts hold, tightest: slope`` or ``2 of 4 parts do not hold, shown: the first``: the reason names those.
    """
    shown, count = verdict.headline, len(verdict.parts)
    if shown is None or count == 1:
        return ""
    failing = sum(not part.holds for part in verdict.parts)
    if not failing:
        return f"{count} parts hold, tightest: {shown.name}"
    return f"{failing} of {count} parts " + ("does not hold" if failing == 1 else "do not hold, shown: the first")


def percent(confidence: float) -> str:
    """A confidence as text: ``99%``, ``99.75%``."""
    return f"{100 * confidence:.4g}%"


def sums(verdicts: Sequence[Verdict]) -> str:
    """How many of each verdict, at which scale, from which seed."""
    counts = [(sum(v.status == status for v in verdicts), status) for status in STATUSES]
    told = ", ".join(f"{count} {status}" for count, status in counts if count)
    scales = sorted({v.scale for v in verdicts}, key=SCALES.index)
    seeds = sorted({v.seed for v in verdicts})
    told += f". Scale {', '.join(scales)}; seed {', '.join(map(str, seeds))}."
    if any(v.reduced for v in verdicts):
        told += " Smaller than at the largest scale: the verdict of each claim says in what."
    return told


def _table(heads: Sequence[str], rows: Sequence[_Row], width: int) -> list[str]:
    """Where a line would be too long, the first cell gets one of its own: ids are for copying, and stay whole."""
    widths = [max(map(cell_len, column)) for column in zip(heads, *(row.cells for row in rows), strict=True)]
    apart = sum(widths) + len(_GAP) * (len(widths) - 1) > width
    lines = _lines(heads, widths, apart)
    for row in rows:
        lines += _lines(row.cells, widths, apart)
        lines += [line for text in row.below for line in _wrapped(text, width, _GAP)]
    return lines


def _lines(cells: Sequence[str], widths: Sequence[int], apart: bool) -> list[str]:
    padded = [cell + " " * (w - cell_len(cell)) for cell, w in zip(cells, widths, strict=True)]
    if apart:
        return [cells[0], (_GAP + _GAP.join(padded[1:])).rstrip()]
    return [_GAP.join(padded).rstrip()]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, max(width, 20), initial_indent=indent, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.0f} h"
    )
