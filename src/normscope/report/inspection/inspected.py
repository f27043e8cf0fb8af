"""What an inspection found: one trace or two, and their numbers as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from normscope.report.inspection.output_gradients import output_meanings
from normscope.report.inspection.quantities import quantities_of
from normscope.tracing import Trace


@dataclass(frozen=True, eq=False)
class Network:
    """One inspected network.

    Attributes:
        name: what it is called on the page.
        trace: what was measured.
        standouts: sentences on what to look at first.
    """

    name: str
    trace: Trace
    standouts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Inspected:
    """What was found.

    Attributes:
        networks: one, or two to compare.
        data: one line on what the networks saw.
        broken: one line on what is not finite and in which layer of which network; None if all is.
    """

    networks: tuple[Network, ...]
    data: str
    broken: str | None


def numbers(inspected: Inspected) -> dict[str, Any]:
    """What was found as plain data for JSON: every layer call of every network; what is undefined is null."""
    return {
        "data": inspected.data,
        "broken": inspected.broken,
        "meanings": _meanings([network.trace for network in inspected.networks]),
        "networks": [
            {
                "name": network.name,
                "model": network.trace.model,
                "batch": network.trace.batch,
                "mode": "train" if network.trace.training else "eval",
                "loss": _plain(network.trace.loss),
                "seed": network.trace.seed,
                "notes": list(network.trace.notes),
                "output_gradients": {key: _plain(value) for key, value in network.trace.output_gradients.items()},
                "standouts": list(network.standouts),
                "layers": [
                    {str(key): _plain(value) for key, value in row.items()}
                    for row in network.trace.table.to_dict("records")
                ],
            }
            for network in inspected.networks
        ],
    }


def _meanings(traces: Sequence[Trace]) -> dict[str, str]:
    """One line on each number that the traces have."""
    columns = {quantity.key: quantity.meaning for quantity in quantities_of(traces) if quantity.meaning}
    return columns | (output_meanings(traces) if any(trace.output_gradients for trace in traces) else {})


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
