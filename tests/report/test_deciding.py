"""Which part of a claim the tables show: the one that fails, or else the tightest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from normscope.claims import Estimate, Part, Verdict
from normscope.claims.execution import execute
from normscope.claims.parts import agrees_with, at_least, at_most, within
from normscope.claims.statistics import exact
from normscope.report import verdict_lines
from normscope.report.claims.deciding import deciding, parts_told
from reference import toy_claims as toys

MADE = execute(toys.HOLDS, "quick", 0).verdict
ROOMY = at_least("roomy", Estimate(5.0, 4.0, 6.0, 0.99), 1.0)  # its interval takes a quarter of the way
TIGHT = at_most("tight", Estimate(0.5, 0.2, 0.9, 0.99), 1.0)  # 0.4 of 0.5
FAILS = at_least("fails", Estimate(5.0, 4.0, 6.0, 0.99), 4.5)


def verdict(*parts: Part) -> Verdict:
    return replace(MADE, parts=parts, status="reproduced" if all(p.holds for p in parts) else "not reproduced")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([ROOMY, TIGHT], "tight"),
        ([TIGHT, ROOMY], "tight"),
        ([TIGHT, FAILS, ROOMY], "fails"),
        ([TIGHT, at_least("far off", Estimate(0.2, 0.19, 0.21, 0.99), 1.0)], "far off"),
        # of two limits the one that is nearer to its end: 0.1 of 0.2 below, 0.9 of 1 above
        ([within("both", Estimate(1.0, 0.9, 1.9, 0.99), 0.8, 2.0), TIGHT], "both"),
        # an interval that covers the value: 0.9 of its lower half lie between
        ([TIGHT, agrees_with("equal", Estimate(1.0, 0.0, 5.0, 0.99), 0.1)], "equal"),
        ([TIGHT, agrees_with("equal", Estimate(1.0, 0.0, 1.1, 0.99), 0.9)], "tight"),
        # what is exact takes nothing of the way; of two such, the nearer to its limit
        ([at_least("sure", exact(1.0), 1.0), ROOMY], "roomy"),
        ([at_least("far", exact(9.0), 1.0), at_least("near", exact(1.1), 1.0)], "near"),
        # without limits: nothing is tight, the first is shown
        ([within("free", Estimate(1.0, 0.0, 2.0, 0.99), float("-inf"), float("inf")), ROOMY], "roomy"),
    ],
)
def test_the_part_on_which_the_verdict_hangs(parts: list[Part], name: str) -> None:
    shown = deciding(verdict(*parts))
    assert shown is not None
    assert shown.name == name


def test_how_many_parts_there_are_is_told() -> None:
    assert parts_told(verdict(ROOMY)) == parts_told(verdict()) == ""
    assert parts_told(verdict(ROOMY, TIGHT)) == "2 parts hold, tightest: tight"
    assert parts_told(verdict(ROOMY, FAILS)) == "1 of 2 parts does not hold"
    assert parts_told(verdict(FAILS, ROOMY, FAILS)) == "2 of 3 parts do not hold, shown: the first"


def test_the_table_shows_that_part() -> None:
    lines = verdict_lines([verdict(ROOMY, TIGHT)], 200)
    assert "0.50 (0.20 to 0.90)" in lines[1]
    assert "≤ 1" in lines[1]
    assert lines[2].endswith("[2 parts hold, tightest: tight; 99% confidence]")
    assert "parts" not in " ".join(verdict_lines([verdict(ROOMY)], 200))
