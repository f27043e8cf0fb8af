"""Criteria are fixed in advance: text and thresholds are one thing. Claims are complete, or not made at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from normscope.claims import SCALES, Criterion, Measurement
from reference.toy_claims import EXACT, HOLDS, MEAN, judge_exactly, judge_mean, toy


def test_the_text_tells_the_limits_and_the_error_rate() -> None:
    assert str(MEAN) == (
        "The whole 99% interval of the mean lies within 0.3 of 0. "
        "Chance of calling it reproduced though the mean is further away: at most 1%."
    )
    assert str(EXACT) == "At least 100 samples were drawn. No chance is involved."


def test_a_changed_limit_changes_the_text_and_the_verdict() -> None:
    narrow = replace(MEAN, limits={"margin": 0.001})
    assert "within 0.001 of 0" in str(narrow)
    measurement = HOLDS.measure(seed=1, samples=400)
    assert HOLDS.judge(measurement)[0].holds
    assert not replace(HOLDS, criterion=narrow).judge(measurement)[0].holds


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_the_error_rate_is_shared_among_the_parts(parts: int) -> None:
    assert replace(MEAN, parts=parts).confidence == pytest.approx(1 - 0.01 / parts)


def test_as_many_parts_are_judged_as_the_rate_is_shared_among() -> None:
    claim = replace(HOLDS, criterion=replace(MEAN, parts=2))
    with pytest.raises(ValueError, match=r"claim toy2026\.holds: the criterion is for 2 parts, not for 1"):
        claim.judge(HOLDS.measure(seed=0, samples=9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(MEAN, text="within {margin} at {level}"), "names 'level', which is not among its limits"),
        (lambda: replace(MEAN, text="close enough"), "must name its limit 'margin': write {margin} in it"),
        (lambda: replace(MEAN, error_rate=1.0), "an error rate from 0 to 1"),
        (lambda: replace(MEAN, error_rate=-0.1), "an error rate from 0 to 1"),
        (lambda: replace(MEAN, parts=0), "at least one part, not 0.01 and 0"),
        (lambda: replace(MEAN, error=""), "says which error its rate bounds"),
        (lambda: replace(EXACT, error="calling it false"), "nothing where the rate is 0"),
        (lambda: replace(HOLDS, id="Toy.Holds"), "not 'Toy.Holds'"),
        (lambda: replace(HOLDS, id="holds"), "<paper>.<short-name>"),
        (lambda: replace(HOLDS, id="toy.<b>"), "in a-z, 0-9 and -"),
        (lambda: replace(HOLDS, sizes={"quick": {}}), "sizes must be given for the scales quick, full, paper"),
        (lambda: toy("x", sizes={"samples": np.int64(4)}), "claim toy2026.x: sizes hold what JSON has no form for"),
        (lambda: replace(HOLDS, seconds=dict.fromkeys([*SCALES, "huge"], 1)), "seconds must be given for the scales"),
    ],
)
def test_what_is_incomplete_is_not_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_judging_depends_on_the_measurement_alone() -> None:
    measurement = Measurement(pd.DataFrame({"value": [0.0, 0.1, -0.1]}), {"samples": 99})
    assert judge_mean(measurement, MEAN) == judge_mean(measurement, MEAN)
    assert not judge_exactly(measurement, EXACT)[0].holds
    assert judge_exactly(replace(measurement, scalars={"samples": 100}), EXACT)[0].holds


def test_a_limit_may_be_formatted() -> None:
    made = Criterion(
        text="at least {rate:.0%} of {count:g}", limits={"rate": 0.5, "count": 20}, error_rate=0, judge=judge_exactly
    )
    assert str(made).startswith("At least 50% of 20.")
