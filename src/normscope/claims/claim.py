"""One statement of a paper: how it is measured, and the criterion that was fixed before."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scale = Literal["quick", "full", "paper"]
SCALES: Final[tuple[Scale, ...]] = get_args(Scale)

_ID = re.compile(r"[a-z0-9]+\.[a-z0-9]+(-[a-z0-9]+)*")


class NeedsMore(Exception):
    """A claim cannot be measured here at this scale; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Paper:
    """A paper: its title, its arXiv number, and how it is cited in short ("Yang et al. 2019")."""

    title: str
    arxiv: str
    short: str


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """When a claim counts as reproduced. Text and thresholds are one thing: the text is made from the thresholds.

    Args:
        text: a format string over ``limits``, ``confidence`` and ``error_rate``; it names every limit.
        judge: measurement and this criterion in, parts out; the claim is reproduced if all of them hold. Thresholds
            come from ``limits``, intervals are at ``confidence``.
        error_rate: the chance of the error below, over all parts together; 0 where no chance is involved.
        error: which error that is, such as "calling it reproduced though it is false"; empty where there is none.
        limits: the thresholds, by name.
        parts: how many parts ``judge`` returns.

    Raises:
        ValueError: a limit that the text does not name or a name that is no limit; an impossible error rate.
    """

    text: str
    judge: Callable[[Measurement, Criterion], Sequence[Part]]
    error_rate: float
    error: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    parts: int = 1

    def __post_init__(self) -> None:
        named = {name.split("[")[0] for _, name, _, _ in string.Formatter().parse(self.text) if name is not None}
        own = {"confidence", "error_rate"}
        if unknown := sorted(named - own - set(self.limits)):
            raise ValueError(f"the text of a criterion names {unknown[0]!r}, which is not among its limits")
        if unsaid := sorted(set(self.limits) - named):
            raise ValueError(f"the text of a criterion must name its limit {unsaid[0]!r}: write {{{unsaid[0]}}} in it")
        if not 0 <= self.error_rate < 1 or self.parts < 1:
            raise ValueError(
                "a criterion has an error rate from 0 to 1 and at least one part, "
                f"not {self.error_rate:g} and {self.parts}"
            )
        if bool(self.error) != bool(self.error_rate):
            raise ValueError("a criterion says which error its rate bounds, and nothing where the rate is 0")

    @property
    def confidence(self) -> float:
        """Of every interval: 1 − error_rate / parts (Bonferroni), so that the parts together keep to the rate."""
        return 1 - self.error_rate / self.parts

    def __str__(self) -> str:
        told = self.text.format(**self.limits, confidence=self.confidence, error_rate=self.error_rate)
        told = told[:1].upper() + told[1:]
        if not self.error_rate:
            return f"{told}. No chance is involved."
        return f"{told}. Chance of {self.error}: at most {100 * self.error_rate:g}%."


@dataclass(frozen=True)
class Observation:
    """What several claims are measured from: made once for all of them that run together.

    Args:
        name: ``<paper>.<short-name>``; it stands for the ids of the claims where the seed is derived.
        observe: ``observe(seed=..., **sizes)``, a module-level function. What it returns goes to ``measure`` of each
            claim, and stays in the process that made it. May raise `NeedsMore`.
    """

    name: str
    observe: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a paper that can be run.

    Its functions are module-level ones: they run in processes of their own.

    Args:
        id: ``<paper>.<short-name>``, such as "nachum2024.odd-point".
        paper: where it stands.
        result: which theorem, figure or table of the paper.
        statement: what it says, in one sentence of our own.
        method: how it is measured.
        criterion: when it counts as reproduced.
        measure: ``measure(seed=..., **sizes)``: the numbers, judged by nobody. Raises `NeedsMore` where this machine
            does not suffice. With an ``observation`` it is ``measure(observed)``.
        observation: where the numbers come from, if other claims are measured from the same.
        sizes: of each scale, the keyword arguments of ``measure``, or of ``observe``; plain numbers, text and sequences
            of them.
        seconds: of each scale, how long it is expected to take on one core; with the observation.
        revised: what of the criterion, the method or the sizes was changed after a first run, and what had come out
            then; empty where all stands as it was fixed before.
        figure: draws a measurement as a paper would print it; or None.
        figure_size: width and height in inches.

    Raises:
        ValueError: the id is of another form, or a scale is missing.
    """

    id: str
    paper: Paper
    result: str
    statement: str
    method: str
    criterion: Criterion
    measure: Callable[..., Measurement]
    sizes: Mapping[Scale, Mapping[str, Any]]
    seconds: Mapping[Scale, float]
    observation: Observation | None = None
    revised: str = ""
    figure: Callable[[Measurement, Axes], Any] | None = None
    figure_size: tuple[float, float] = (6.4, 4.0)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"the id of a claim is <paper>.<short-name> in a-z, 0-9 and -, not {self.id!r}")
        for name, given in (("sizes", self.sizes), ("seconds", self.seconds)):
            if set(given) != set(SCALES):
                raise ValueError(f"claim {self.id}: {name} must be given for the scales {', '.join(SCALES)}")
            try:
                json.dumps({scale: given[scale] for scale in SCALES}, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(f"claim {self.id}: {name} hold what JSON has no form for: {error}") from None

    def judge(self, measurement: Measurement) -> tuple[Part, ...]:
        """The parts of the claim, each held against the criterion.

        Raises:
            ValueError: they are not as many as the criterion was fixed for.
        """
        parts = tuple(self.criterion.judge(measurement, self.criterion))
        if len(parts) != self.criterion.parts:
            raise ValueError(
                f"claim {self.id}: the criterion is for {self.criterion.parts} parts, not for {len(parts)}"
            )
        return parts
