"""Traces in, one self-contained page out: layers along depth, one layer closely, all layers in a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from normscope.loading import one_line
from normscope.report.inspection.inspected import Inspected
from normscope.report.inspection.output_gradients import output_rows, prediction
from normscope.report.inspection.payload import page_quantities, trace_payload
from normscope.report.inspection.standouts import standouts
from normscope.report.output import write_whole
from normscope.report.templating import render_template
from normscope.report.writing import number
from normscope.tracing import Trace

_MOST = 2  # networks on one page


def render_trace(
    traces: Trace | Sequence[Trace],
    title: str | None = None,
    command: str | None = None,
    *,
    names: Sequence[str] | None = None,
    data: str | None = None,
) -> str:
    """The page of one trace, or of two side by side, as HTML: no file beside it, no network request.

    Args:
        traces: one or two traces.
        title: heading of the page; made of the models' names if not given.
        command: the command that makes the page again, printed on it.
        names: what the networks are called; the classes of the models if not given.
        data: one line on what the networks saw.

    Raises:
        ValueError: no trace or more than two, or a trace without layers.
    """
    several = [traces] if isinstance(traces, Trace) else list(traces)
    if not 1 <= len(several) <= _MOST:
        raise ValueError(f"a page shows one trace or two, not {len(several)}")
    if any(trace.table.empty for trace in several):
        raise ValueError("a trace without layers cannot be shown")
    called = _names(several, names)
    quantities = page_quantities(several)
    return render_template(
        "trace.html.j2",
        trace_payload(several, called),
        title=title or f"Inside {' beside '.join(called)}",
        command=command,
        data=data,
        networks=[_described(trace, name) for trace, name in zip(several, called, strict=True)],
        outputs=output_rows(several),
        predictions=[(name, prediction(trace)) for trace, name in zip(several, called, strict=True)],
        charts=[quantity for quantity in quantities if quantity.drawn],
        titles={quantity.key: quantity.title for quantity in quantities},
    )


def write_trace_page(inspected: Inspected, path: str | os.PathLike[str], command: str | None = None) -> None:
    """Write the page of what was found to ``path``: whole, or not at all.

    Raises:
        OSError: the path cannot be written.
    """
    traces = [network.trace for network in inspected.networks]
    names = [network.name for network in inspected.networks]
    write_whole(path, render_trace(traces, command=command, names=names, data=inspected.data))


def _names(traces: Sequence[Trace], names: Sequence[str] | None) -> list[str]:
    if names is not None and len(names) != len(traces):
        raise ValueError(f"{len(names)} names for {len(traces)} traces")
    called = [one_line(str(name), 80) for name in names or [trace.model for trace in traces]]
    counts = Counter(called)
    return [f"{name} {i + 1}" if counts[name] > 1 else name for i, name in enumerate(called)]


def _described(trace: Trace, name: str) -> dict[str, object]:
    loss = "" if trace.loss is None else f", loss {number(trace.loss)}"
    mode = "train" if trace.training else "eval"
    kind = "" if trace.model == name else f"{trace.model}: "
    facts = f"{kind}{len(trace.table)} layer calls, {trace.batch} samples, {mode} mode{loss}, seed {trace.seed}"
    return {"name": name, "facts": facts, "standouts": standouts(trace), "notes": trace.notes}
