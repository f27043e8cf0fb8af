"""What became of a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from normscope.claims.claim import SCALES, Scale
from normscope.claims.deciding import deciding
from normscope.claims.estimate import Estimate
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Expected, Part

Status = Literal["reproduced", "not reproduced", "needs more than this machine", "could not run"]

FORMAT: Final = "normscope verdict"
VERSION: Final = 1
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one claim at one scale.

    Attributes:
        id: of the claim.
        paper: how its paper is cited in short.
        title: of the paper.
        arxiv: its number.
        result: which result of the paper.
        statement: what the claim says.
        method: how it is measured.
        criterion: when it counts as reproduced, with the error rate.
        revised: what of the claim was changed after a first run; empty where all was fixed before.
        status: "reproduced", "not reproduced", "needs more than this machine", "could not run".
        reason: one line: why it was not reproduced or did not run; empty otherwise.
        parts: what was measured, against what was expected. Empty if it did not run.
        scale: "quick", "full" or "paper".
        sizes: the parameters at that scale.
        reduced: in what the run was smaller than at the largest scale; empty if in nothing.
        seed: of the whole run.
        seconds: how long it took; with the observation, where it is measured from one that others share.
        command: what makes it again.
        versions: of what it was made with.
        key: see `normscope.claims.identity.run_key`.
        measurement: the numbers, where they are at hand; not part of what is compared.
    """

    id: str
    paper: str
    title: str
    arxiv: str
    result: str
    statement: str
    method: str
    criterion: str
    revised: str
    status: Status
    reason: str
    parts: tuple[Part, ...]
    scale: Scale
    sizes: Mapping[str, Any]
    reduced: str
    seed: int
    seconds: float
    command: str
    versions: Mapping[str, str]
    key: str
    measurement: Measurement | None = field(default=None, compare=False, repr=False)

    @property
    def reproduced(self) -> bool:
        """Whether every part held."""
        return self.status == "reproduced"

    @property
    def ran(self) -> bool:
        """Whether there is a measurement to judge."""
        return self.status in ("reproduced", "not reproduced")

    @property
    def headline(self) -> Part | None:
        """The part to show where there is place for one: the first that does not hold, or else the tightest."""
        return deciding(self.parts)

    @property
    def measured(self) -> Estimate | None:
        """The headline's number with its interval and confidence; None if it did not run."""
        return self.headline.measured if self.headline else None

    @property
    def expected(self) -> Expected | None:
        """What the headline's number was expected to be."""
        return self.headline.expected if self.headline else None

    def __str__(self) -> str:
        told = f"{self.id} ({self.scale}): {self.status}"
        return f"{told}: {self.reason or self.headline}" if self.reason or self.headline else told

    def to_json(self) -> dict[str, Any]:
        """As plain, strict JSON, without the measurement; `from_json` gives it back."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "measurement"}
        plain = {"parts": [part.to_json() for part in self.parts], "sizes": dict(self.sizes)}
        return {"format": FORMAT, "version": VERSION, **told, **plain, "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any], measurement: Measurement | None = None) -> Verdict:
        """The verdict that `to_json` wrote.

        Raises:
            ValueError: it is of something else, of a newer version, or incomplete.
        """
        if told.get("format") != FORMAT:
            raise ValueError("this is no verdict of normscope verify")
        if told["version"] > VERSION:
            raise ValueError(
                f"the verdict is from a newer normscope (format {told['version']}, this one reads {VERSION}): upgrade"
            )
        names = {f.name for f in fields(cls)} - {"measurement", "parts"}
        if missing := sorted(names - set(told)):
            raise ValueError(f"the verdict is incomplete: {missing[0]} is missing")
        if told["scale"] not in SCALES or told["status"] not in STATUSES:
            raise ValueError(f"no verdict has scale {told['scale']!r} and status {told['status']!r}")
        shapes: dict[str, type | tuple[type, ...]] = {"sizes": dict, "versions": dict, "seconds": (int, float)}
        for name, kind in shapes.items():
            if not isinstance(told[name], kind):
                raise ValueError(f"{name} of the verdict is {told[name]!r}")
        parts = tuple(map(Part.from_json, told["parts"]))
        return cls(**{name: told[name] for name in names}, parts=parts, measurement=measurement)


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0 if all that ran were reproduced, 1 if one was not, 2 if one could not run, or none ran.

    What needs more than this machine counts neither way, unless nothing else is left.
    """
    if any(v.status == "could not run" for v in verdicts) or not any(v.ran for v in verdicts):
        return 2
    return int(any(v.status == "not reproduced" for v in verdicts))
