"""Estimates against their formulas, and their error rates where they promise them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta, binom, norm, t

from normscope.claims.statistics import auc, bootstrap, difference, exact, mean, median, proportion, slope

GENERATOR = np.random.default_rng(7)
FIRST, SECOND = GENERATOR.normal(2, 1, 25), GENERATOR.normal(1, 3, 40)


def ends(estimate: object) -> tuple[float, float]:
    return estimate.low, estimate.high


def test_exact_has_no_interval() -> None:
    estimate = exact(0.25)
    assert (estimate.value, ends(estimate), estimate.confidence) == (0.25, (0.25, 0.25), None)


@pytest.mark.parametrize("successes", [0, 1, 7, 19, 20])
def test_a_proportion_is_clopper_and_pearsons(successes: int) -> None:
    n, tail = 20, 0.025
    low = 0.0 if successes == 0 else beta.ppf(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta.ppf(1 - tail, successes + 1, n - successes)
    estimate = proportion(successes, n, 0.95)
    assert estimate.value == successes / n
    assert ends(estimate) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("successes", [0, 3, 20])
def test_or_wilsons(successes: int) -> None:
    n, z = 20, norm.ppf(0.975)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert ends(proportion(successes, n, 0.95, "wilson")) == pytest.approx((centre - half, centre + half), abs=1e-9)


@pytest.mark.parametrize(("method", "keeps"), [("exact", True), ("wilson", False)])
def test_only_the_exact_interval_bounds_the_error_of_every_fraction(method: str, keeps: bool) -> None:
    """The chance that the lower end exceeds the true fraction, over fractions: exactly, by summing the binomial."""
    n, confidence = 20, 0.99
    lows = np.array([proportion(k, n, confidence, method).low for k in range(n + 1)])
    errors = [binom.pmf(np.flatnonzero(lows > p), n, p).sum() for p in np.linspace(0.005, 0.995, 199)]
    assert bool(max(errors) <= (1 - confidence) / 2) is keeps


def test_a_mean_is_students() -> None:
    half = t.ppf(0.995, 24) * FIRST.std(ddof=1) / 5
    estimate = mean(FIRST, 0.99)
    assert estimate.value == pytest.approx(FIRST.mean())
    assert ends(estimate) == pytest.approx((FIRST.mean() - half, FIRST.mean() + half))


def test_the_mean_of_values_that_are_equal_up_to_rounding_is_exact() -> None:
    estimate = mean([0.1 + 0.2, 0.3, 0.3], 0.99)
    assert ends(estimate) == (0.3, 0.1 + 0.2)


def test_a_difference_is_welchs() -> None:
    a, b = FIRST.var(ddof=1) / FIRST.size, SECOND.var(ddof=1) / SECOND.size
    freedom = (a + b) ** 2 / (a**2 / (FIRST.size - 1) + b**2 / (SECOND.size - 1))
    gap, half = FIRST.mean() - SECOND.mean(), t.ppf(0.975, freedom) * math.sqrt(a + b)
    assert ends(difference(FIRST, SECOND, 0.95)) == pytest.approx((gap - half, gap + half))


def test_a_slope_is_that_of_the_normal_equations() -> None:
    x = np.log(np.arange(1.0, 9.0))
    y = -0.5 * x + GENERATOR.normal(0, 0.1, 8)
    design = np.column_stack([np.ones(8), x])
    (_, steep), (squares,), *_ = np.linalg.lstsq(design, y)
    error = math.sqrt(squares / 6 * np.linalg.inv(design.T @ design)[1, 1])
    half = t.ppf(0.975, 6) * error
    estimate = slope(x, y, 0.95)
    assert estimate.value == pytest.approx(steep)
    assert ends(estimate) == pytest.approx((steep - half, steep + half))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_median_is_between_order_statistics_that_miss_seldom_enough(confidence: float) -> None:
    values = GENERATOR.exponential(size=31)
    estimate = median(values, confidence)
    assert {estimate.low, estimate.high} <= set(values)
    below = int((values < estimate.low).sum())  # the lower end is order statistic below + 1
    assert binom.cdf(below, 31, 0.5) <= (1 - confidence) / 2
    above = int((values > estimate.high).sum())
    assert binom.cdf(above, 31, 0.5) <= (1 - confidence) / 2


def test_a_median_of_too_few_values_says_nothing() -> None:
    assert ends(median([1.0, 2.0, 3.0], 0.99)) == (-math.inf, math.inf)


def test_an_auc_is_the_fraction_of_pairs() -> None:
    scores = np.round(np.concatenate([FIRST, SECOND]), 0)  # rounded: with ties
    positive = np.arange(scores.size) < FIRST.size
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    estimate = auc(scores, positive, 0.9)
    assert estimate.value == pytest.approx(np.mean(pairs))
    assert estimate.low < estimate.value < estimate.high


def test_an_auc_over_groups_is_a_mean_of_independent_ones() -> None:
    groups = np.repeat(np.arange(12), 6)
    positive = np.tile(np.arange(6) == 0, 12)
    scores = GENERATOR.normal(size=72) + positive + 100 * groups  # groups are not comparable
    areas = [np.mean(scores[(groups == g) & positive] > scores[(groups == g) & ~positive]) for g in range(12)]
    assert auc(scores, positive, 0.95, groups) == mean(areas, 0.95)


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def test_the_bootstrap_covers_as_often_as_it_says() -> None:
    """With the true rate, so few of 40 intervals cover with a chance below 1e-4; and that all do, below 2%."""
    samples = np.random.default_rng(3).exponential(size=(40, 25))
    estimates = [bootstrap(sample, _mean, 0.9, seed=5) for sample in samples]
    covered = sum(e.low <= 1 <= e.high for e in estimates)
    assert binom.cdf(covered, 40, 0.9) > 1e-4
    assert covered < 40


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    assert bootstrap(FIRST, np.median, 0.9, seed=1) == bootstrap(FIRST, np.median, 0.9, seed=1)
    assert bootstrap(FIRST, np.mean, 0.9, seed=1) != bootstrap(FIRST, np.mean, 0.9, seed=2)


def test_values_that_do_not_vary_are_their_own_interval() -> None:
    assert ends(mean([3.0] * 5, 0.99)) == (3.0, 3.0)
    assert ends(difference([3.0] * 5, [1.0] * 4, 0.99)) == (2.0, 2.0)
    assert all(map(math.isnan, ends(bootstrap(np.ones(9), np.mean, 0.99))))


@pytest.mark.parametrize("make", [mean, median, lambda values, c: difference(values, FIRST, c)])
def test_what_is_not_a_number_gives_no_interval(make: Callable[..., object]) -> None:
    estimate = make([1.0, math.nan, 2.0], 0.9)
    assert math.isnan(estimate.value)
    assert not estimate.low <= 0 <= estimate.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean([1.0], 0.9), r"at least two values in one dimension, not shape \(1,\)"),
        (lambda: mean([[1.0, 2.0]], 0.9), r"not shape \(1, 2\)"),
        (lambda: slope([1, 2], [1, 2], 0.9), "at least 3"),
        (lambda: slope([1, 2, 3], [1, 2], 0.9), "of one length"),
        (lambda: slope([1, 1, 1], [1, 2, 3], 0.9), "two different x"),
        (lambda: auc([1.0, 2.0], [True, True], 0.9, groups=[0, 1]), "at least one positive and one negative"),
        (lambda: proportion(3, 2, 0.9), "k"),
    ],
)
def test_samples_too_small_are_told(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
