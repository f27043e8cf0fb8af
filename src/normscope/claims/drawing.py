"""The figure of a claim as files."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any

from normscope.claims.claim import Claim, Scale
from normscope.claims.measurement import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = dict[str, bytes]
"""From a file's ending, "png" or "svg", to its bytes."""

_DPI = 160


def can_draw() -> bool:
    """Whether matplotlib is there: the optional extra ``plot``."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(claim: Claim, measurement: Measurement, scale: Scale) -> Figures:
    """The figure of ``claim`` as PNG and SVG; the same measurement gives the same bytes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the claim has no figure.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if claim.figure is None:
        raise ValueError(f"claim {claim.id} has no figure")
    # Figure by itself, without pyplot: nothing global, no screen. Text in the SVG is drawn as paths: it looks the same
    # without our fonts. The salt makes the ids of these the same each time, and different from claim to claim.
    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": claim.id}
    files: Figures = {}
    with rc_context(settings):
        figure = Figure(figsize=claim.figure_size, layout="constrained")
        axes: Axes = figure.add_subplot()
        claim.figure(measurement, axes)
        figure.suptitle(f"{claim.id} ({scale} scale)", fontsize="medium")
        for kind in ("png", "svg"):
            file = io.BytesIO()
            metadata = {"Date": None} if kind == "svg" else {}
            figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata)
            files[kind] = file.getvalue()
    return files
