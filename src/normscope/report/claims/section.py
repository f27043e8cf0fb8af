"""Verdicts in; what the page says of them."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normscope.claims import Part, Verdict, read_figure, read_verdicts
from normscope.report.claims.text import parts_told, percent, sums


@dataclass(frozen=True)
class ShownClaims:
    """Verdicts for a page.

    Attributes:
        verdicts: in the order in which they are shown.
        figures: of each claim that has one, its id and its figure as SVG.
    """

    verdicts: Sequence[Verdict]
    figures: Mapping[str, bytes] = field(default_factory=dict)


def read_claims(folder: str | os.PathLike[str]) -> ShownClaims:
    """What ``normscope verify --output`` kept: of each claim the verdict at the largest scale, and its figure.

    Raises:
        LoadingError: there is no such folder, it holds no verdict, or one is damaged; says which.
    """
    verdicts = read_verdicts(folder)
    found = {verdict.id: read_figure(folder, verdict) for verdict in verdicts}
    return ShownClaims(verdicts, {name: figure for name, figure in found.items() if figure is not None})


def claims_context(shown: ShownClaims) -> dict[str, Any]:
    """What the template is told. Texts are escaped there."""
    return {"sums": sums(shown.verdicts), "verdicts": [_claim(v, shown.figures.get(v.id)) for v in shown.verdicts]}


def _claim(verdict: Verdict, figure: bytes | None) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "mark": {"reproduced": "yes", "not reproduced": "no"}.get(verdict.status, "none"),
        "parts": list(map(_part, verdict.parts)),
        "parts_told": parts_told(verdict),
        # as an image, whose scripts a browser never runs, and whose ids and styles stay its own
        "figure": None if figure is None else "data:image/svg+xml;base64," + base64.b64encode(figure).decode(),
        "sizes": ", ".join(f"{name} {value}" for name, value in verdict.sizes.items()),
        "versions": ", ".join(f"{name} {version}" for name, version in verdict.versions.items()),
        "notes": [] if verdict.measurement is None else list(verdict.measurement.notes),
        "seconds": f"{verdict.seconds:.3g}",
    }


def _part(part: Part) -> dict[str, Any]:
    confidence = part.measured.confidence
    return {
        "name": part.name,
        "measured": str(part.measured),
        "confidence": f"{percent(confidence)} confidence" if confidence is not None else "exact",
        "expected": str(part.expected),
        "holds": part.holds,
    }
