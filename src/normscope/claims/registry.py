"""Which claims there are. A new paper is one line here; a new claim is one line in ``CLAIMS`` of its paper's module."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from normscope.claims.claim import Claim
from normscope.loading import one_line

PAPERS: Final[tuple[str, ...]] = (
    "nachum2024",
    "balestriero2022",
    "riedi2026",
    "bjorck2018",
    "daneshmand2020",
    "daneshmand2021",
    "joudaki2023",
    "meterez2024",
    "yang2019",
    "skip_connections",
)
"""Modules of this room, one a paper, in the order in which their claims are told."""

_SHOWN = 3


class UnknownClaim(ValueError):
    """No claim has this id; the message names the nearest."""


def all_claims() -> list[Claim]:
    """Every claim, paper by paper."""
    modules = [importlib.import_module(f"normscope.claims.{paper}") for paper in PAPERS]
    return [claim for module in modules for claim in module.CLAIMS]


def select(which: str | Claim | Iterable[str | Claim], known: Iterable[Claim] | None = None) -> list[Claim]:
    """The claims that are named, in the order of `all_claims`, each once.

    Args:
        which: "all"; an id; a paper ("nachum2024"); a pattern of ids ("*.gradient*"); a claim; or several of these.
        known: where ids are looked up; `all_claims` if not given.

    Raises:
        UnknownClaim: a name that fits no claim, or no name at all.
    """
    named = [which] if isinstance(which, str | Claim) else list(which)
    if not named:
        raise UnknownClaim("no claim was named: name ids, papers or patterns, or all")
    there = list(all_claims() if known is None else known)
    chosen: dict[str, Claim] = {}
    for name in named:
        for claim in [name] if isinstance(name, Claim) else _matching(name, there):
            if chosen.setdefault(claim.id, claim) is not claim:
                raise UnknownClaim(f"two different claims have the id {claim.id}")
    order = {claim.id: place for place, claim in enumerate(there)}
    return sorted(chosen.values(), key=lambda claim: order.get(claim.id, len(order)))


def _matching(name: str, known: list[Claim]) -> list[Claim]:
    found = [claim for claim in known if name in ("all", claim.id, _paper(claim)) or fnmatchcase(claim.id, name)]
    if not found:
        raise UnknownClaim(f"no claim is named {one_line(name, 80)!r}{_nearest(name, known)}")
    return found


def _paper(claim: Claim) -> str:
    return claim.id.partition(".")[0]


def _nearest(name: str, known: list[Claim]) -> str:
    names = [claim.id for claim in known] + list(dict.fromkeys(map(_paper, known)))
    # short names are close to no long id as a whole: their tails are compared too
    tails = {claim.id.partition(".")[2]: claim.id for claim in known}
    close = [tails.get(match, match) for match in get_close_matches(name.lower(), [*names, *tails], n=_SHOWN)]
    close = list(dict.fromkeys(close))
    if close:
        return f": did you mean {' or '.join(close)}? (normscope verify --list tells all)"
    return ": normscope verify --list tells which there are"
