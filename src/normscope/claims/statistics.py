"""Estimates with their intervals, for criteria. Every interval is two-sided, at the confidence that is asked for.

Samples must be independent of each other: layers, pairs and points of one network are one sample, not many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.claims.estimate import Estimate

_RESAMPLES = 9999

_ROUNDING = 1e-14  # relative: values closer than this are equal


def exact(value: float) -> Estimate:
    """A number in which no chance is involved."""
    return Estimate(float(value), float(value), float(value), None)


def proportion(
    successes: int, trials: int, confidence: float, method: Literal["exact", "wilson"] = "exact"
) -> Estimate:
    """A fraction: ``successes`` of ``trials``.

    Args:
        successes: how many.
        trials: of how many.
        confidence: of the interval.
        method: "exact" (Clopper and Pearson 1934) misses with at most 1 − confidence, half of it on each side. "wilson"
            (1927) is shorter and does so only on average over fractions: near 0 and 1 its error rate is no bound.

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    from scipy.stats import binomtest

    interval = binomtest(int(successes), int(trials)).proportion_ci(confidence, method=method)
    return _estimate(successes / trials, interval, confidence)


def mean(values: ArrayLike, confidence: float) -> Estimate:
    """The mean, with Student's interval: exact for normal values, approximate for some thirty or more others.

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.stats import ttest_1samp

    sample = _sample(values)
    if np.ptp(sample) <= _ROUNDING * np.abs(sample).max():  # Student's statistic would be made of rounding
        return Estimate(float(sample.mean()), float(sample.min()), float(sample.max()), confidence)
    return _estimate(sample.mean(), ttest_1samp(sample, 0).confidence_interval(confidence), confidence)


def median(values: ArrayLike, confidence: float) -> Estimate:
    """The median, with the interval of order statistics: holds for values of any distribution.

    Where so few values allow no interval of this confidence, it is infinite.

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.stats import quantile_test

    sample = _sample(values)
    if np.isnan(sample).any():
        return Estimate(np.nan, np.nan, np.nan, confidence)
    low, high = quantile_test(sample, p=0.5).confidence_interval(confidence)
    return Estimate(
        float(np.median(sample)), _or(low, -np.inf), _or(high, np.inf), confidence
    )  # scipy says NaN where no order statistic is far enough out


def difference(first: ArrayLike, second: ArrayLike, confidence: float) -> Estimate:
    """Mean of ``first`` minus mean of ``second``, of independent samples that may vary differently (Welch 1947).

    Raises:
        ValueError: fewer than two values in one of them.
    """
    from scipy.stats import ttest_ind

    a, b = _sample(first), _sample(second)
    gap = float(a.mean() - b.mean())
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return Estimate(gap, gap, gap, confidence)
    return _estimate(gap, ttest_ind(a, b, equal_var=False).confidence_interval(confidence), confidence)


def slope(x: ArrayLike, y: ArrayLike, confidence: float) -> Estimate:
    """Slope of the least-squares line of ``y`` on ``x``, with Student's interval: the noise of y is alike everywhere.

    For a power law give logarithms of both.

    Raises:
        ValueError: fewer than three points, x and y of different lengths, or x the same everywhere.
    """
    from scipy.stats import linregress, t

    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 3:
        raise ValueError(f"a slope needs x and y of one length, at least 3, not of shapes {a.shape} and {b.shape}")
    if not np.ptp(a) > 0:
        raise ValueError("a slope needs at least two different x")
    fit = linregress(a, b)
    half = float(t.ppf((1 + confidence) / 2, a.size - 2)) * float(fit.stderr)
    return Estimate(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, confidence)


def auc(
    scores: ArrayLike, positive: ArrayLike, confidence: float, groups: ArrayLike | None = None, seed: int = 0
) -> Estimate:
    """Area under the ROC curve: the chance that a positive has a higher score than a negative, ties counting one half.

    Args:
        scores: shape (n,).
        positive: shape (n,), true for the positives.
        confidence: of the interval.
        groups: shape (n,), which network or batch a row comes from: positives are compared within their group, each
            group is one independent sample, and the interval is Student's over groups. None: all rows are
            independent, and the interval is the bootstrap's.
        seed: of the bootstrap.

    Raises:
        ValueError: no positive or no negative (in a group); fewer than two groups.
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if groups is None:
        return bootstrap((scores[positive], scores[~positive]), _area, confidence, seed)
    labels = np.asarray(groups)
    members = [labels == label for label in np.unique(labels)]
    return mean([_area(scores[of & positive], scores[of & ~positive]) for of in members], confidence)


def bootstrap(
    samples: ArrayLike | tuple[ArrayLike, ...], statistic: Callable[..., float], confidence: float, seed: int = 0
) -> Estimate:
    """Any statistic of independent samples, with the bias-corrected and accelerated interval (Efron 1987).

    Approximate: for twenty values or fewer it is too short. Where resampling hardly moves the statistic there is no
    such interval, and it is NaN.

    Args:
        samples: values of shape (n,), or a tuple of several such samples, resampled independently.
        statistic: of as many one-dimensional arrays, one number.
        confidence: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two values in a sample.
    """
    import warnings

    from scipy.stats import DegenerateDataWarning
    from scipy.stats import bootstrap as resample

    data = tuple(_sample(s) for s in samples) if isinstance(samples, tuple) else (_sample(samples),)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = resample(
            data, statistic, n_resamples=_RESAMPLES, confidence_level=confidence, vectorized=False,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
    return _estimate(statistic(*data), found.confidence_interval, confidence)


def _area(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Mann and Whitney's U over the number of pairs."""
    from scipy.stats import rankdata

    if not positives.size or not negatives.size:
        raise ValueError("an AUC needs at least one positive and one negative in every group")
    ranks = rankdata(np.concatenate([positives, negatives]))[: positives.size]
    return float((ranks.sum() - positives.size * (positives.size + 1) / 2) / (positives.size * negatives.size))


def _sample(values: Any) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < 2:
        raise ValueError(f"an interval needs at least two values in one dimension, not shape {sample.shape}")
    return sample


def _estimate(value: float, interval: Sequence[float], confidence: float) -> Estimate:
    low, high = interval
    return Estimate(float(value), float(low), float(high), confidence)


def _or(value: float, otherwise: float) -> float:
    return otherwise if np.isnan(value) else float(value)
