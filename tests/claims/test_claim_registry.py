"""Which claims there are, and how they are named by those who run them."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from normscope.claims import SCALES, UnknownClaim, all_claims, select
from normscope.claims.registry import PAPERS
from reference.toy_claims import EVERY, FAILS, HOLDS, SURE, toy

OTHER = toy("gradient-growth")
KNOWN = (HOLDS, FAILS, SURE, OTHER)


def ids(claims: object) -> list[str]:
    return [claim.id.removeprefix("toy2026.") for claim in claims]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ("all", ["holds", "fails", "sure", "gradient-growth"]),
        ("toy2026", ["holds", "fails", "sure", "gradient-growth"]),
        ("toy2026.*", ["holds", "fails", "sure", "gradient-growth"]),
        ("toy2026.sure", ["sure"]),
        ("*.gradient*", ["gradient-growth"]),
        (["toy2026.sure", "toy2026.holds"], ["holds", "sure"]),
        (["toy2026.sure", "*.s*", "toy2026.sure"], ["sure"]),
        (SURE, ["sure"]),
        ([SURE, "*.f*"], ["fails", "sure"]),
        ([toy("unregistered"), "toy2026.fails"], ["fails", "unregistered"]),
    ],
)
def test_claims_are_named_by_id_paper_and_pattern(which: object, found: list[str]) -> None:
    assert ids(select(which, KNOWN)) == found


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("toy2026.hodls", "no claim is named 'toy2026.hodls': did you mean toy2026.holds"),
        ("gradient-grwth", "did you mean toy2026.gradient-growth"),
        ("toy2025", "did you mean toy2026"),
        ("TOY2026.SURE", "did you mean toy2026.sure"),
        ("zzz", "normscope verify --list tells which there are"),
        ("*.zzz", "no claim is named"),
        ("", "no claim is named ''"),
        ([], "no claim was named"),
        (["all", "x\ny"], "no claim is named 'x y'"),
        ([HOLDS, toy("holds")], "two different claims have the id toy2026.holds"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(which: object, message: str) -> None:
    with pytest.raises(UnknownClaim) as told:
        select(which, KNOWN)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_every_claim_has_an_id_of_its_own_under_a_paper() -> None:
    claims = all_claims()
    assert [name for name, count in Counter(claim.id for claim in claims).items() if count > 1] == []
    assert {claim.id.partition(".")[0] for claim in claims} <= set(PAPERS)  # a module may also be about a question


def test_every_claim_can_be_handed_to_a_process() -> None:
    for claim in (*all_claims(), *EVERY):
        assert pickle.loads(pickle.dumps(claim)) == claim


def test_every_claim_is_said_in_whole_sentences() -> None:
    for claim in all_claims():
        assert claim.statement.endswith("."), claim.id
        assert claim.method.endswith("."), claim.id
        assert str(claim.criterion)
        assert claim.result, claim.id


def test_all_together_keep_to_the_time_that_was_promised() -> None:
    """On two cores: quick under 3 minutes, full under 40, by what each is expected to take on one core.

    Claims of one observation take the time of one.
    """
    for scale, minutes in (("quick", 3), ("full", 40)):
        seconds = {claim.observation or claim.id: claim.seconds[scale] for claim in all_claims()}
        assert sum(seconds.values()) <= 2 * 60 * minutes
    assert set(SCALES) == {"quick", "full", "paper"}
