"""Numbers against what is expected of them, and how they read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normscope.claims import Estimate, Expected, Part
from normscope.claims.parts import agrees_with, at_least, at_most, within
from normscope.claims.statistics import exact

NUMBERS = st.floats(-10, 10)


@st.composite
def estimates(draw: Callable[..., float]) -> Estimate:
    low, value, high = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    return Estimate(value, low, high, 0.99)


@given(estimates(), NUMBERS)
def test_a_limit_holds_for_the_whole_interval_or_not_at_all(measured: Estimate, limit: float) -> None:
    assert at_least("x", measured, limit).holds == (measured.low >= limit)
    assert at_most("x", measured, limit).holds == (measured.high <= limit)
    assert agrees_with("x", measured, limit).holds == (measured.low <= limit <= measured.high)


@given(estimates(), NUMBERS, NUMBERS)
def test_within_is_both_limits_at_once(measured: Estimate, first: float, second: float) -> None:
    low, high = sorted((first, second))
    both = at_least("x", measured, low).holds and at_most("x", measured, high).holds
    assert within("x", measured, low, high).holds == both


@pytest.mark.parametrize("broken", [(math.nan, 0.0, 1.0), (0.5, math.nan, math.nan), (math.nan,) * 3])
def test_what_could_not_be_measured_does_not_hold(broken: tuple[float, float, float]) -> None:
    measured = Estimate(*broken, 0.99)
    parts = [at_least("x", measured, -1e9), at_most("x", measured, 1e9), within("x", measured, -1e9, 1e9)]
    assert not any(part.holds for part in parts)


def test_or_agree() -> None:
    assert not agrees_with("x", Estimate(math.nan, math.nan, math.nan, 0.99), 0.0).holds


@given(estimates(), st.sampled_from([at_least, at_most, agrees_with]), NUMBERS)
def test_parts_come_back_from_json(measured: Estimate, make: Callable[..., Part], limit: float) -> None:
    part = make("the name", measured, limit)
    assert Part.from_json(json.loads(json.dumps(part.to_json(), allow_nan=False))) == part


def test_numbers_of_numpy_become_plain_ones() -> None:
    numbers = np.float64([0.5, 0.25, 0.75])
    parts = [
        within("x", Estimate(*numbers, 0.99), *np.float32([0, 1])),
        agrees_with("x", exact(numbers[0]), numbers[1]),
    ]
    for part in parts:
        told = json.loads(json.dumps(part.to_json(), allow_nan=False))
        assert Part.from_json(told) == part
        assert type(part.holds) is bool


def test_what_is_not_finite_comes_back_too() -> None:
    told = json.loads(json.dumps(Estimate(math.nan, -math.inf, math.inf, None).to_json(), allow_nan=False))
    back = Estimate.from_json(told)
    assert math.isnan(back.value)
    assert (back.low, back.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (exact(0.318309886), "0.3183"),
        (exact(12), "12"),
        (exact(-0.5), "−0.5"),
        (exact(math.nan), "nan"),
        (Estimate(0.97312, 0.97301, 0.97324, 0.99), "0.97312 (0.97301 to 0.97324)"),
        (Estimate(0.973, 0.95, 0.99, 0.99), "0.973 (0.950 to 0.990)"),
        (Estimate(-0.46, -0.49, -0.43, 0.99), "−0.460 (−0.490 to −0.430)"),
        (Estimate(123.4, 100.2, 150.6, 0.99), "123 (100 to 151)"),
        (Estimate(1.234e-9, 1.1e-9, 1.4e-9, 0.99), "1.23e-09 (1.10e-09 to 1.40e-09)"),
        (Estimate(3.0, 3.0, 3.0, 0.99), "3"),
        (Estimate(0.5, -math.inf, math.inf, 0.99), "0.5 (−inf to inf)"),
    ],
)
def test_an_estimate_tells_as_many_digits_as_it_knows(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Expected(0.9, math.inf), "≥ 0.9"),
        (Expected(-math.inf, 0.1), "≤ 0.1"),
        (Expected(-0.2, 0.3), "−0.2 to 0.3"),
        (Expected(1 / 3, 1 / 3), "0.3333"),
    ],
)
def test_what_is_expected_reads_as_it_was_meant(expected: Expected, text: str) -> None:
    assert str(expected) == text


def test_a_part_says_whether_it_was_refuted_or_only_not_shown() -> None:
    limit = 0.9
    assert str(at_least("r", Estimate(0.95, 0.92, 0.98, 0.9), limit)) == "r: 0.950 (0.920 to 0.980), expected ≥ 0.9"
    assert str(at_least("r", Estimate(0.95, 0.85, 0.98, 0.9), limit)).endswith("not shown to be ≥ 0.9")
    assert str(at_least("r", Estimate(0.5, 0.4, 0.6, 0.9), limit)).endswith("but expected ≥ 0.9")
    assert str(at_least("r", exact(0.5), limit)) == "r: 0.5, but expected ≥ 0.9"
    assert str(within("r", Estimate(0.5, 0.1, 0.6, 0.9), 0.2, 0.9)).endswith("not shown to lie in 0.2 to 0.9")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Estimate(0.0, 1.0, -1.0, 0.9), "from low to high, not from 1 to -1"),
        (lambda: Estimate(0.0, 0.0, 0.0, 1.0), "confidence lies between 0 and 1, not at 1"),
        (lambda: within("x", exact(0.0), 1.0, -1.0), "expected from low to high, not from 1 to -1"),
        (lambda: at_least("x", exact(0.0), math.nan), "expected from low to high, not from nan"),
        (lambda: agrees_with("x", exact(0.0), math.nan), "not from nan to nan"),
    ],
)
def test_impossible_numbers_are_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
