"""Captions stay true when the numbers change."""

from __future__ import annotations

import dataclasses
import math

import pytest

from normscope.report import captions
from normscope.report.summary import Expected, Summary

LABELS = [0, 1, 2, 3, 4, 5, 6, 7]
PLAIN = Summary(
    model="mlp",
    norm="batch",
    shape="spread",
    cos_mean=0.31,
    cluster_cosine=0.32,
    odd_cosine=0.28,
    odd_norm_ratio=1.2,
    odd_score=0.01,
    odd_index=None,
    odd_from=None,
    effective_rank=6.5,
    scale_growth=1.0,
    gradient_growth=1.49,
    gradient_ratio=1e6,
    coherence=0.3,
)
ODD = dataclasses.replace(
    PLAIN, norm="recenter", shape="odd point", odd_index=5, odd_from=33, odd_cosine=0.01, cluster_cosine=0.98
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1.00"), (-0.5, "−0.500"), (63.4, "63.4"), (172.4, "172"), (12345.0, "1.2·10⁴"),
        (1e-7, "1.0·10⁻⁷"), (-2e30, "−2.0·10³⁰"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers_read_well(value: float, text: str) -> None:
    assert captions.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.999, "1.00"), (-0.001, "0.00"), (-0.25, "−0.25"), (math.nan, "–")])
def test_cosines_read_well(value: float, text: str) -> None:
    assert captions.cosine(value) == text


def test_fate_follows_the_shape() -> None:
    assert captions.fate(PLAIN, LABELS) == "The samples stay apart: mean cosine 0.31 at the end, and no odd one."
    text = captions.fate(ODD, LABELS)
    assert "from layer 33 on" in text
    assert "sample 5 (a 5) is orthogonal to them, the other 7 have cosine 0.98" in text
    collapsed = dataclasses.replace(PLAIN, shape="collapsed", cos_mean=0.99)
    assert captions.fate(collapsed, LABELS).startswith("All 8 samples end up in nearly one direction: mean cosine 0.99")
    dead = dataclasses.replace(PLAIN, cos_mean=math.nan)
    assert "zero or not finite" in captions.fate(dead, LABELS)


def test_orthogonal_is_said_only_where_it_is() -> None:
    leaning = dataclasses.replace(ODD, odd_cosine=0.3)
    assert "has cosine 0.30 to them" in captions.fate(leaning, LABELS)
    assert "orthogonal" not in captions.fate(leaning, LABELS)
    assert "orthogonal" in captions.oddest([ODD])
    assert "orthogonal" not in captions.oddest([leaning, PLAIN])


def test_score_names_the_networks_with_an_odd_point() -> None:
    assert captions.score([PLAIN, ODD]).endswith("One point stands out at the end with recenter only.")
    assert captions.score([PLAIN]).endswith("In none of these networks does one point stand out at the end.")


def test_level_is_said_within_one_percent() -> None:
    factors = [dataclasses.replace(PLAIN, norm=n, scale_growth=g) for n, g in (("none", 1.004), ("rescale", 0.95))]
    assert captions.scale(factors) == "Per layer: ×1.00 (level) with no norm and ×0.950 with rescale only."
    lost = dataclasses.replace(PLAIN, scale_growth=math.nan)
    assert captions.scale([lost]) == "Per layer: not to be followed with batch norm."


def test_gradient_names_theory_where_there_is_one() -> None:
    expected = [
        Expected("batch", "gradient_growth", 1.4864, "Yang et al. 2019"),
        Expected("batch", "cos_mean", 0.3, ""),
    ]
    text = captions.gradient([PLAIN], expected)
    assert text.endswith("×1.49 with batch norm. Theory expects ×1.49 for batch norm (Yang et al. 2019).")
    assert "Theory" not in captions.gradient([ODD], [])


def test_skip_connections_are_credited_only_where_gradients_are_tamed() -> None:
    tamed = dataclasses.replace(PLAIN, model="resnet", gradient_growth=1.15)
    assert "theory expects ×1.49 with batch norm" in captions.skip_connections([ODD, tamed], 1.486)
    assert captions.skip_connections([dataclasses.replace(tamed, gradient_growth=1.4)], 1.486) == ""
    assert captions.skip_connections([dataclasses.replace(tamed, gradient_growth=math.nan)], 1.486) == ""
    assert captions.skip_connections([ODD], 1.486) == ""


def test_cancelled_gradients_are_explained_only_where_they_cancel() -> None:
    cancelled = dataclasses.replace(PLAIN, coherence=1e-8)
    assert "takes the mean over the batch out" in captions.coherence([cancelled], 64)
    assert "takes the mean" not in captions.coherence([PLAIN], 64)
    assert "takes the mean" not in captions.coherence([dataclasses.replace(cancelled, norm="none")], 64)
    assert "0.125: as independent samples" in captions.coherence([PLAIN], 64)


def test_ranks_are_listed_from_the_largest() -> None:
    text = captions.rank([PLAIN, dataclasses.replace(ODD, effective_rank=7.25)], 8)
    assert text.endswith("At the end 7.25 with recenter only and 6.50 with batch norm.")
