"""A probe of gradients as text: a headline, and the columns of its table that are read first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from normscope.loading import one_line
from normscope.tracing.printing import shortened, significant

if TYPE_CHECKING:
    from normscope.tracing.gradient_probe import GradientProbe

_SHOWN = ("layer", "call", "kind", "terms", "kernel_gradient_ratio", "sqrt_terms", "grad_scale", "tail_index",
          "pair_energy", "channel_std")  # fmt: skip
_HEADINGS = {"kernel_gradient_ratio": "a/b", "sqrt_terms": "√terms"}
_ROWS = 40  # more are elided in the middle
_NAME = 36


def as_text(probe: GradientProbe) -> str:
    """Headline, table and where the rest is; of no calls the headline alone."""
    calls = "1 call" if len(probe.table) == 1 else f"{len(probe.table)} calls"
    mode = "train" if probe.training else "eval"
    head = f"GradientProbe: {calls} of layers with a kernel, {mode} mode, loss {probe.loss:.4g}"
    return f"{head}\n{_table(probe)}" if len(probe.table) else head


def _table(probe: GradientProbe) -> str:
    table = probe.table.assign(sqrt_terms=np.sqrt(probe.table["terms"]))
    if not table["call"].any():
        table = table.drop(columns="call")
    shown = table[[name for name in _SHOWN if name in table]].rename(columns=_HEADINGS)
    names = [shortened(one_line(str(name)), _NAME) for name in shown["layer"]]
    width = max(map(len, names))
    shown["layer"] = [name.ljust(width) for name in names]
    shown = shown.rename(columns={"layer": "layer".ljust(width)})
    numbers: dict[str, Callable[..., str]] = {str(name): _number for name in shown if shown[name].dtype.kind == "f"}
    numbers["terms"] = _count  # floats where a call has none
    lines = shown.to_string(index=False, max_rows=_ROWS, na_rep="–", formatters=numbers)
    others = [str(name) for name in probe.table if name not in (*_SHOWN, "call")]
    return f"{lines}\nalso in .table: {', '.join(others)}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else significant(value)


def _count(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0f}"
