"""What the table of verdicts says of a claim's parts: the headline's numbers, and how many there are."""

from __future__ import annotations

from dataclasses import replace

from normscope.claims import Estimate, Part, Verdict
from normscope.claims.execution import execute
from normscope.claims.parts import at_least, at_most
from normscope.report import verdict_lines
from normscope.report.claims.text import parts_told
from reference import toy_claims as toys

MADE = execute(toys.HOLDS, "quick", 0).verdict
ROOMY = at_least("roomy", Estimate(5.0, 4.0, 6.0, 0.99), 1.0)
TIGHT = at_most("tight", Estimate(0.5, 0.2, 0.9, 0.99), 1.0)
FAILS = at_least("fails", Estimate(5.0, 4.0, 6.0, 0.99), 4.5)


def verdict(*parts: Part) -> Verdict:
    return replace(MADE, parts=parts, status="reproduced" if all(p.holds for p in parts) else "not reproduced")


def test_how_many_parts_there_are_is_told() -> None:
    assert parts_told(verdict(ROOMY)) == parts_told(verdict()) == ""
    assert parts_told(verdict(ROOMY, TIGHT)) == "2 parts hold, tightest: tight"
    assert parts_told(verdict(ROOMY, FAILS)) == "1 of 2 parts does not hold"
    assert parts_told(verdict(FAILS, ROOMY, FAILS)) == "2 of 3 parts do not hold, shown: the first"


def test_the_table_shows_the_headline() -> None:
    lines = verdict_lines([verdict(ROOMY, TIGHT)], 200)
    assert "0.50 (0.20 to 0.90)" in lines[1]
    assert "≤ 1" in lines[1]
    assert lines[2].endswith("[2 parts hold, tightest: tight; 99% confidence]")
    assert "parts" not in " ".join(verdict_lines([verdict(ROOMY)], 200))
