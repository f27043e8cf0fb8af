"""Which part of a claim is its headline: the one that fails, or else the tightest."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from normscope.claims import Estimate, Expected, Part, Verdict
from normscope.claims.execution import execute
from normscope.claims.parts import agrees_with, at_least, at_most, within
from normscope.claims.statistics import exact
from reference import toy_claims as toys

MADE = execute(toys.HOLDS, "quick", 0).verdict
ROOMY = at_least("roomy", Estimate(5.0, 4.0, 6.0, 0.99), 1.0)  # its interval takes a quarter of the way
TIGHT = at_most("tight", Estimate(0.5, 0.2, 0.9, 0.99), 1.0)  # 0.4 of 0.5
FAILS = at_least("fails", Estimate(5.0, 4.0, 6.0, 0.99), 4.5)
SURE = at_least("sure", exact(9.0), 1.0)


def verdict(*parts: Part) -> Verdict:
    return replace(MADE, parts=parts, status="reproduced" if all(p.holds for p in parts) else "not reproduced")


def shown(*parts: Part) -> str:
    headline = verdict(*parts).headline
    assert headline is not None
    return headline.name


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([ROOMY, TIGHT], "tight"),
        ([TIGHT, FAILS, ROOMY], "fails"),
        ([TIGHT, at_least("far off", Estimate(0.2, 0.19, 0.21, 0.99), 1.0)], "far off"),
        # of two limits the one that is nearer to its end: 0.1 of 0.2 below, 0.9 of 1 above
        ([within("both", Estimate(1.0, 0.9, 1.9, 0.99), 0.8, 2.0), TIGHT], "both"),
        # an interval that covers the value: 0.9 of its lower half lie between
        ([TIGHT, agrees_with("equal", Estimate(1.0, 0.0, 5.0, 0.99), 0.1)], "equal"),
        ([TIGHT, agrees_with("equal", Estimate(1.0, 0.0, 1.1, 0.99), 0.9)], "tight"),
        # what is exact takes nothing of the way; of two such, the nearer to its limit
        ([at_least("at it", exact(1.0), 1.0), ROOMY], "roomy"),
        ([SURE, at_least("near", exact(1.1), 1.0)], "near"),
        # without limits nothing is tight
        ([within("free", Estimate(1.0, 0.0, 2.0, 0.99), -inf, inf), ROOMY], "roomy"),
    ],
)
def test_the_part_on_which_the_verdict_hangs(parts: list[Part], name: str) -> None:
    assert shown(*parts) == name
    assert shown(*parts[::-1]) == name


@pytest.mark.parametrize("rival", [ROOMY, SURE])
@pytest.mark.parametrize(
    "part",
    [
        at_least("far", exact(inf), 1.0),
        at_most("far", exact(-inf), 1.0),
        within("far", exact(inf), -inf, inf),
        at_least("far", Estimate(inf, 2.0, inf, 0.99), 1.0),  # ∞ of ∞
        at_most("far", Estimate(-inf, -inf, 0.0, 0.99), 1.0),
        agrees_with("far", Estimate(inf, 2.0, inf, 0.99), 3.0),
        agrees_with("far", Estimate(1.0, -inf, inf, 0.99), inf),
        agrees_with("far", Estimate(nan, 0.0, 2.0, 0.99), 1.0),
    ],
)
def test_what_is_not_finite_is_near_to_nothing_wherever_it_stands(part: Part, rival: Part) -> None:
    assert part.holds
    assert shown(part, rival) == shown(rival, part) == rival.name


def test_of_equals_the_first_is_shown() -> None:
    infinite = at_least("first", exact(inf), 1.0)
    assert shown(infinite, replace(infinite, name="second")) == "first"
    assert shown(FAILS, replace(FAILS, name="second")) == "fails"


def test_a_verdict_tells_the_numbers_of_its_headline() -> None:
    both = verdict(ROOMY, TIGHT)
    assert both.measured == Estimate(0.5, 0.2, 0.9, 0.99)
    assert both.expected == Expected(-inf, 1.0)
    assert str(both) == "toy2026.holds (quick): reproduced: tight: 0.50 (0.20 to 0.90), expected ≤ 1"
    none = verdict()
    assert none.headline is none.measured is none.expected is None
    assert str(none) == "toy2026.holds (quick): reproduced"
