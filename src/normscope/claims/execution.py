"""One claim, measured and judged, in this process."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from normscope.claims.claim import Claim, NeedsMore, Scale
from normscope.claims.drawing import Figures, draw
from normscope.claims.identity import claim_seed, run_key, versions
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part
from normscope.claims.verdict import Status, Verdict
from normscope.loading import one_line, origin
from normscope.system import is_out_of_memory


@dataclass(frozen=True)
class Done:
    """A claim that was run: the verdict, and its figure as files if it was asked for."""

    verdict: Verdict
    figures: Figures

    @property
    def measurement(self) -> Measurement | None:
        """The numbers; None if it did not run."""
        return self.verdict.measurement


def execute(claim: Claim, scale: Scale, seed: int, *, figures: bool = False) -> Done:
    """Measure ``claim``, judge it, and draw its figure.

    Nothing that a claim raises comes out of here: it becomes a verdict with a reason.

    Args:
        claim: what to run.
        scale: "quick", "full" or "paper".
        seed: of the whole run; the claim's own derives from it and from its id.
        figures: whether to draw.
    """
    return execute_together([claim], scale, seed, figures=figures)[0]


def execute_together(claims: Sequence[Claim], scale: Scale, seed: int, *, figures: bool = False) -> list[Done]:
    """`execute` each of ``claims``, which are measured from one observation: it is made once.

    Args:
        claims: all of one observation and of one size; or a single one that has none.
        scale: "quick", "full" or "paper".
        seed: of the whole run.
        figures: whether to draw.
    """
    first, start = claims[0], time.perf_counter()
    if first.observation is None:
        own = claim_seed(seed, first.id)
        return [_execute(first, scale, seed, lambda: first.measure(seed=own, **first.sizes[scale]), figures, start)]
    try:
        shared = claim_seed(seed, first.observation.name)
        observed = first.observation.observe(seed=shared, **first.sizes[scale])
    except Exception as error:
        return [_raised(claim, scale, seed, error, start) for claim in claims]
    shared_seconds = time.perf_counter() - start
    return [
        _execute(c, scale, seed, partial(c.measure, observed), figures, time.perf_counter() - shared_seconds)
        for c in claims
    ]


def _execute(
    claim: Claim, scale: Scale, seed: int, measure: Callable[[], Measurement], figures: bool, start: float
) -> Done:
    measurement: Measurement | None = None
    try:
        measurement = measure()
        parts = claim.judge(measurement)
    except Exception as error:
        return _raised(claim, scale, seed, error, start, measurement)
    wrong = [part for part in parts if not part.holds]
    status: Status = "not reproduced" if wrong else "reproduced"
    verdict = _verdict(
        claim, scale, seed, status, "; ".join(map(str, wrong)), parts, time.perf_counter() - start, measurement
    )
    if not figures or claim.figure is None:
        return Done(verdict, {})
    return _drawn(verdict, claim, measurement)


def _raised(
    claim: Claim, scale: Scale, seed: int, error: Exception, start: float, measurement: Measurement | None = None
) -> Done:
    if isinstance(error, NeedsMore):
        return _failed(claim, scale, seed, "needs more than this machine", str(error), start)
    if is_out_of_memory(error):
        reason = one_line(str(error)) or "out of memory"
        return _failed(claim, scale, seed, "needs more than this machine", reason, start)
    return _failed(claim, scale, seed, "could not run", origin(error), start, measurement)


def could_not_run(claim: Claim, scale: Scale, seed: int, reason: str, seconds: float = 0.0) -> Verdict:
    """The verdict where something came in the way of running the claim at all."""
    return _verdict(claim, scale, seed, "could not run", one_line(reason), (), seconds, None)


def command_of(claim: str, scale: Scale, seed: int) -> str:
    """What makes the verdict of one claim again."""
    return shlex.join(["normscope", "verify", claim, "--scale", scale, "--seed", str(seed)])


def reduced(claim: Claim, scale: Scale) -> str:
    """In what a scale is smaller than the largest: "width 512 (largest scale 4096)"; empty where nothing is.

    The largest scale has the paper's sizes where it prints them, and else ours.
    """
    largest = claim.sizes["paper"]
    smaller = {name: value for name, value in claim.sizes[scale].items() if _is_smaller(value, largest.get(name))}
    return ", ".join(f"{name} {_short(v)} (largest scale {_short(largest.get(name))})" for name, v in smaller.items())


def _is_smaller(value: Any, other: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(other, int | float)
    return bool(value < other) if numbers else bool(value != other)


def _short(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "/".join(map(str, value))
    return str(value)


def _drawn(verdict: Verdict, claim: Claim, measurement: Measurement) -> Done:
    """The numbers stand even where their figure fails: that is noted, and the verdict stays."""
    try:
        return Done(verdict, draw(claim, measurement, verdict.scale))
    except Exception as error:  # of a drawing function anything
        note = f"no figure: {origin(error)}"
        return Done(replace(verdict, measurement=replace(measurement, notes=(*measurement.notes, note))), {})


def _failed(
    claim: Claim,
    scale: Scale,
    seed: int,
    status: Status,
    reason: str,
    start: float,
    measurement: Measurement | None = None,
) -> Done:
    seconds = time.perf_counter() - start
    return Done(_verdict(claim, scale, seed, status, one_line(reason), (), seconds, measurement), {})


def _verdict(
    claim: Claim,
    scale: Scale,
    seed: int,
    status: Status,
    reason: str,
    parts: tuple[Part, ...],
    seconds: float,
    measurement: Measurement | None,
) -> Verdict:
    return Verdict(
        id=claim.id,
        paper=claim.paper.short,
        title=claim.paper.title,
        arxiv=claim.paper.arxiv,
        result=claim.result,
        statement=claim.statement,
        method=claim.method,
        criterion=str(claim.criterion),
        revised=claim.revised,
        status=status,
        reason=reason,
        parts=parts,
        scale=scale,
        sizes=_plain(claim.sizes[scale]),
        reduced=reduced(claim, scale),
        seed=seed,
        seconds=round(seconds, 3),
        command=command_of(claim.id, scale, seed),
        versions=versions(),
        key=run_key(claim, scale, seed),
        measurement=measurement,
    )


def _plain(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples become lists, as JSON has them: a verdict that was stored equals the one that was made."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in sizes.items()}
