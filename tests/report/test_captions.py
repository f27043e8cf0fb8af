"""Captions stay true when the numbers change."""

from __future__ import annotations

import dataclasses
import math

import pytest

from normscope.report.study import captions
from normscope.report.study.summary import Expected, Summary
from normscope.report.writing import cosine, number

LABELS = [0, 1, 2, 3, 4, 5, 6, 7]
PLAIN = Summary(
    model="mlp",
    norm="batch",
    shape="as far apart",
    depth=40,
    directions=8,
    cos_start=0.3,
    cos_mean=0.31,
    cluster_cosine=0.32,
    odd_cosine=0.28,
    odd_norm_ratio=1.2,
    odd_score=0.01,
    odd=(),
    odd_from=None,
    apart_cosine=math.nan,
    tight_cosine=0.31,
    effective_rank=6.5,
    scale_growth=1.0,
    gradient_growth=1.49,
    gradient_ratio=1e6,
    coherence=0.3,
)
ODD = dataclasses.replace(
    PLAIN,
    norm="recenter",
    shape="odd point",
    odd=(5,),
    odd_from=33,
    odd_cosine=0.01,
    apart_cosine=0.01,
    cluster_cosine=0.98,
    tight_cosine=0.98,
)
TWO = dataclasses.replace(ODD, shape="odd points", odd=(5, 2), odd_score=0.0, tight_cosine=0.92)
FOUR = dataclasses.replace(TWO, odd=(5, 2, 1, 3))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1.00"), (-0.5, "−0.500"), (63.4, "63.4"), (172.4, "172"), (12345.0, "1.2·10⁴"),
        (1e-7, "1.0·10⁻⁷"), (-2e30, "−2.0·10³⁰"), (999.4, "999"), (999.7, "1.0·10³"), (99999.0, "1.0·10⁵"),
        (0.00996, "0.00996"), (0.00994, "9.9·10⁻³"), (-0.00996, "−0.00996"), (9.96e-8, "1.0·10⁻⁷"), (0.01, "0.0100"),
        (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.999, "1.00"), (-0.001, "0.00"), (-0.25, "−0.25"), (math.nan, "–")])
def test_cosines_read_well(value: float, text: str) -> None:
    assert cosine(value) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "The samples stay about as far apart as they were: mean cosine 0.30 at first, 0.31 at the end."),
        (
            {"shape": "drawn together", "cos_mean": 0.87},
            "The samples are drawn together: mean cosine 0.30 at first, 0.87 at the end.",
        ),
        (
            {"shape": "moved apart", "cos_mean": 0.1},
            "The samples move apart: mean cosine 0.30 at first, 0.10 at the end.",
        ),
        (
            {"cos_start": math.nan},
            "The samples stay about as far apart as they were: mean cosine 0.31 at the end.",
        ),
        ({"depth": 1}, "Mean cosine 0.31 behind the only layer."),
        (
            {"shape": "collapsed", "cos_mean": 0.99},
            "All 8 samples end up in nearly one direction: mean cosine 0.99.",
        ),
        (
            {"shape": "collapsed", "cos_mean": 0.99, "directions": 3},
            "Only 3 of 8 samples still have a direction. "
            "All 3 samples end up in nearly one direction: mean cosine 0.99.",
        ),
        (
            {"shape": "no direction", "cos_mean": math.nan, "directions": 0},
            "The activations are zero or not finite at the end: no direction is left to compare.",
        ),
        (
            {"shape": "no direction", "cos_mean": math.nan, "directions": 1},
            "Only 1 of 8 samples still has a direction: nothing is left to compare.",
        ),
    ],
)
def test_fate_follows_the_shape(changes: dict[str, object], text: str) -> None:
    assert captions.fate(dataclasses.replace(PLAIN, **changes), LABELS) == text


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (
            ODD,
            "One odd point from layer 33 on: sample 5 (a 5) is orthogonal to them, the other 7 have cosine 0.98 among "
            "themselves, and it is 1.20 times as long.",
        ),
        (
            TWO,
            "2 odd points from layer 33 on: samples 5 and 2 are orthogonal to the rest, the other 6 have cosine 0.92 "
            "among themselves.",
        ),
        (
            dataclasses.replace(FOUR, apart_cosine=0.3),
            "4 odd points from layer 33 on: they are at cosine 0.30 to the rest, the other 4 have cosine 0.92 among "
            "themselves.",
        ),
    ],
)
def test_fate_counts_the_odd_points(summary: Summary, text: str) -> None:
    assert captions.fate(summary, LABELS) == text


def test_fate_counts_those_with_a_direction() -> None:
    text = captions.fate(dataclasses.replace(TWO, directions=7), LABELS)
    assert text.startswith("Only 7 of 8 samples still have a direction. 2 odd points")
    assert "the other 5 have" in text


def test_orthogonal_is_said_only_where_it_is() -> None:
    leaning = dataclasses.replace(ODD, odd_cosine=0.3, apart_cosine=0.3)
    assert "has cosine 0.30 to them" in captions.fate(leaning, LABELS)
    assert "orthogonal" not in captions.fate(leaning, LABELS)
    assert "orthogonal" in captions.oddest([ODD])
    assert "orthogonal" not in captions.oddest([leaning, PLAIN])


def test_score_names_the_networks_with_odd_points() -> None:
    assert captions.score([PLAIN, ODD]).endswith("One point sits apart at the end with recenter only.")
    assert captions.score([PLAIN, TWO]).endswith(" Several sit apart at the end with recenter only.")
    none = captions.score([PLAIN])
    assert none.startswith("0: no single point leads;")
    assert none.endswith("In none of these networks does a point sit apart at the end.")
    both = captions.score([TWO, dataclasses.replace(ODD, norm="none")])
    assert "One point sits apart at the end with no norm. Several sit apart at the end with recenter only." in both


def test_a_shallow_network_has_no_rates() -> None:
    shallow = [dataclasses.replace(s, depth=2, scale_growth=math.nan, gradient_growth=math.nan) for s in (PLAIN, ODD)]
    assert captions.scale(shallow) == captions.gradient(shallow, []) == "Too shallow for a rate per layer."


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


def test_plain_networks_are_named_beside_batch_norm_alone() -> None:
    text = captions.without_skip_connections([ODD, PLAIN], 1.486)
    assert text == " In a wide plain network with batch norm it would be ×1.49 (Yang et al. 2019)."
    assert captions.without_skip_connections([dataclasses.replace(PLAIN, gradient_growth=math.nan)], 1.486) == ""
    assert captions.without_skip_connections([ODD], 1.486) == ""


def test_cancelled_gradients_are_explained_only_where_they_cancel() -> None:
    cancelled = dataclasses.replace(PLAIN, coherence=1e-8)
    assert "takes the mean over the batch out" in captions.coherence([cancelled], 64)
    assert "takes the mean" not in captions.coherence([PLAIN], 64)
    elsewhere = dataclasses.replace(cancelled, norm="none")
    assert "takes the mean" not in captions.coherence([elsewhere], 64)
    assert "takes the mean" not in captions.coherence([cancelled, elsewhere], 64)
    assert "takes the mean" in captions.coherence([cancelled, dataclasses.replace(PLAIN, norm="none")], 64)
    assert "0.125: as independent samples" in captions.coherence([PLAIN], 64)


def test_ranks_are_listed_from_the_largest() -> None:
    text = captions.rank([PLAIN, dataclasses.replace(ODD, effective_rank=7.25)], 8)
    assert text.endswith("At the end 7.25 with recenter only and 6.50 with batch norm.")


def test_what_is_undefined_is_last_and_said() -> None:
    lost = dataclasses.replace(PLAIN, norm="none", effective_rank=math.nan)
    text = captions.rank([lost, PLAIN, dataclasses.replace(ODD, effective_rank=7.25)], 8)
    assert text.endswith("At the end 7.25 with recenter only, 6.50 with batch norm and undefined with no norm.")
