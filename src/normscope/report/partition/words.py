"""Sentences on a partition, computed from its numbers."""

from __future__ import annotations

from normscope.report.partition.facts import Facts
from normscope.report.partition.study import Panel, Partitioned
from normscope.report.writing import number

__all__ = ["counted", "facts_of", "number", "sentences", "title"]

_REGIONS = 5  # of fewer the areas tell nothing
_FEW = 10  # so many data points are needed to speak of half of them


def title(partitioned: Partitioned) -> str:
    """Heading of the page."""
    if partitioned.reference:
        return "How a network folds its input space"
    return f"How {partitioned.network.partition(':')[0]} folds its input space"


def facts_of(facts: Facts) -> str:
    """The picture in one line."""
    layers = len(facts.layers)
    done = (
        ""
        if facts.complete
        else f", the first {counted(layers, 'layer')} only"
        if layers
        else ", not cut by any layer yet"
    )
    return f"{counted(facts.regions, 'region')}{done}"


def sentences(panel: Panel, facts: Facts) -> list[str]:
    """What is to be seen, as far as it was computed."""
    told = []
    if facts.central is not None and facts.lines:
        told.append(_lines(facts, facts.lines))
    if facts.complete and facts.regions == 1:
        told.append(_uncut(facts))
    if facts.regions >= _REGIONS:
        told.append(_areas(facts))
    return told


def _uncut(facts: Facts) -> str:
    if not facts.layers:
        return "The network has nothing that folds: it is affine."
    return "No fold crosses the window: the network is affine on it."


def _lines(facts: Facts, lines: int) -> str:
    central = facts.central
    head = f"{counted(lines, 'line')} of the first layer cross{'es' if lines == 1 else ''} the window"
    if central == lines:
        which = "it goes" if lines == 1 else "all go" if lines > 2 else "both go"
        return f"{head}; {which} through the mean of the data, ×."
    if central:
        return f"{head}; {central} of them {'goes' if central == 1 else 'go'} through the mean of the data, ×."
    return f"{head}; none goes through the mean of the data, ×: the farthest is {number(facts.farthest)} away from it."


def _areas(facts: Facts) -> str:
    half = f"Half of the window lies in regions larger than {number(facts.half_area)}"
    if facts.points < _FEW:
        return f"{half}."
    return f"{half}, half of {counted(facts.points, 'data point')} in regions larger than {number(facts.data_area)}."


def counted(count: int, what: str) -> str:
    """So many of something: ``1 layer``, ``1,200 layers``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
