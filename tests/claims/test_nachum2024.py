"""Claims of Batch Normalization Decomposed: measured at small sizes, and criteria that can fail."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from normscope import theory
from normscope.claims import Measurement, select
from normscope.claims.nachum2024 import CLAIMS
from normscope.claims.nachum2024.prediction import predictors
from normscope.claims.nachum2024.shape import ideal_gram, ideal_points, lasting_point
from normscope.claims.nachum2024.single_layer import two_groups
from normscope.claims.nachum2024.watching import NORMS, batch_of, children, share, watch, watch_many
from reference.readable import unreadable

BY_NAME = {claim.id.partition(".")[2]: claim for claim in CLAIMS}
_DEEP = {"n": 8, "width": 32, "depth": 6, "networks": 2}
TINY: dict[str, dict[str, Any]] = {
    "odd-point": {**_DEEP, "batch": "gaussian"},
    "odd-point-digits": {**_DEEP, "batch": "digits"},
    "two-stages": {"n": 5, "width": 32, "depths": (0, 2, 4), "networks": 3},
    "spectra": {"n": 5, "width": 256, "depths": (0, 1, 3), "networks": 3},
    "phase-diagram": {"ns": (4, 5, 8, 9, 10, 11), "widths": (16, 32), "depth": 10, "networks": 4},
    "cluster-shape": {"n": 32, "width": 256, "depth": 120, "networks": 3, "batch": "gaussian"},
    "shape-theory": {"ns": (8, 12, 16), "widths": (512,), "depth": 20, "networks": 3},
    "ideal-attracts": {"n": 8, "width": 32, "depth": 3, "deviations": (1e-4, 1e-3, 1e-2), "networks": 3},
    "same-odd-point": {**_DEEP, "noise": 0.3},
    "lasting-rate": {"n": 8, "width": 256, "depth": 4, "push": 0.2, "networks": 4},
    "rank-growth": {"n": 8, "ranks": (2, 4), "width": 64, "draws": 3},
    "invariance": {"n": 6, "width": 64, "depth": 3, "networks": 2},
    "combinations": _DEEP,
    "full-norm": {"ns": (6, 8, 10), "width": 32, "depth": 6, "networks": 2},
    "breakaway-width": {"ns": (8, 9, 10), "widths": (16, 32, 64), "depth": 20, "networks": 2, "score": 0.5},
    "breakaway-batch": {"ns": (8, 9, 10), "widths": (16, 32, 64), "depth": 20, "networks": 2, "score": 0.5},
    "which-point": {"n": 16, "width": 64, "depth": 80, "batches": 4},
    "activations": _DEEP,
    "convolution": {"n": 4, "width": 2, "depth": 2, "networks": 2},
    "shortcuts": {"n": 8, "width": 32, "depth": 4, "channels": 4, "resnet": 8, "networks": 2},
    "first-steps": {"n": 8, "width": 16, "depth": 3, "steps": 2, "learning_rate": 0.01, "networks": 2},
}  # fmt: skip


def test_paper_is_registered() -> None:
    assert select("nachum2024") == list(CLAIMS)
    assert set(TINY) == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_measurement_depends_on_the_seed_alone(name: str) -> None:
    claim = pickle.loads(pickle.dumps(BY_NAME[name]))
    first, again, other = (claim.measure(seed=seed, **TINY[name]) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.table, again.table, check_exact=True)
    assert dict(first.scalars) == dict(again.scalars)
    if name != "rank-growth":  # whole numbers, which are the same for any seed
        assert not first.table.equals(other.table)


@pytest.mark.parametrize("name", BY_NAME)
def test_measurement_is_judged_drawn_and_kept(name: str) -> None:
    claim = BY_NAME[name]
    found = claim.measure(seed=0, **TINY[name])
    pd.testing.assert_frame_equal(Measurement.from_json(found.to_json()).table, found.table, check_exact=True)
    assert unreadable(claim, found) == []
    if name not in ("cluster-shape", "first-steps"):  # these need networks with an odd point
        assert len(claim.judge(found)) == claim.criterion.parts


def _scores(score: float, rows: int = 200, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"network": range(rows), "depth": 9, "score": score, "odd_index": 0, **columns})


def _shape(cluster: float = 0.97, odd: float = 0.0, ratio: float = 31.0) -> Measurement:
    noise = np.linspace(-1e-3, 1e-3, 200)
    columns = {"cluster_cosine": cluster + noise, "odd_cosine": odd + noise, "norm_ratio": ratio + noise}
    return Measurement(_scores(0.9, **columns), {"n": 32})


def _theory(shift: float = 0.0) -> Measurement:
    columns = {"cluster_cosine": 0.5 + shift, "odd_cosine": 0.1, "norm_ratio": 7.0, "width": 64}
    expected = {"theory_cluster_cosine": 0.5, "theory_odd_cosine": 0.1, "theory_norm_ratio": 7.0}
    return Measurement(pd.concat([_scores(0.9, n=n, **columns, **expected) for n in (8, 16, 32)]))


def _path(column: str, last: float, first: float = 1e-3, **columns: Any) -> pd.DataFrame:
    rows = [{"network": k, "depth": t, column: (first, last * (1 + k / 1000))[t]} for k in range(9) for t in (0, 1)]
    return pd.DataFrame(rows).assign(**columns)


def _ideal(last: float) -> Measurement:
    return Measurement(pd.concat([_path("loose", last, deviation=d) for d in (1e-4, 1e-3, 1e-2)]))


def _invariant(ratio: float = 0.0, across: float = 0.0) -> Measurement:
    noise = np.linspace(-0.01, 0.01, 50)
    return Measurement(pd.DataFrame({"depth": 5, "within": 1.0, "across": across, "log_ratio": ratio + noise}))


def _by(column: str, scores: dict[Any, float]) -> Measurement:
    return Measurement(pd.concat([_scores(score, **{column: name}) for name, score in scores.items()]))


def _combined(full: float, odd: float = 0.9) -> Measurement:
    others = dict.fromkeys(("none", "NL", "RS", "RS+NL", "RC", "RC+RS"), 0.1)
    return _by("combination", {**others, "RC+NL": odd, "RC+RS+NL": full})


def _full(score: float) -> Measurement:
    cells = [_scores(score, n=n, start=start) for n in (8, 32, 128) for start in ("gaussian", "odd")]
    return Measurement(pd.concat(cells))


def _breakaway(along: str, each: str, power: float) -> Measurement:
    rows = [
        {along: value, each: other, "breakaway": 10 * value**power * (1 + 0.01 * k)}
        for value in (8, 32) for other in (1, 2, 3) for k in range(9)
    ]  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _which(far_is_odd: bool, agree: bool) -> Measurement:
    rows = []
    for kind in ("gaussian", "digits"):
        for batch in range(30):
            for point in range(8):
                odd = point == (7 if far_is_odd else batch % 8)
                rows.append(
                    {
                        "kind": kind,
                        "batch": batch,
                        "distance": point,
                        "odd": odd,
                        "odd_again": odd and agree,
                        "score": 0.9,
                    }
                )
    return Measurement(pd.DataFrame(rows))


def _some_without(measurement: Measurement) -> Measurement:
    """In twenty of the thirty batches one network has no odd point, and nothing else of what the others say."""
    table = measurement.table
    lost = table["batch"] >= 10
    return Measurement(table.assign(score=table["score"].mask(lost, 0.4), odd_again=table["odd_again"] | lost))


def _stages(spread: float = 0.3, early: float = 0.05, mean: float = 0.3, others: float = 0.05) -> Measurement:
    """Two cosines a network and depth, ``spread`` their standard deviation."""
    rows = [
        {"norm": norm, "network": k, "depth": depth, "cosine": centre + sign * deviation * (1 + k / 1000)}
        for norm in NORMS
        for depth, centre, deviation in (
            (0, 0.0, 0.1),
            (10, mean, early),
            (60, 0.5, spread if norm == "RC+ReLU" else others),
        )
        for k in range(20)
        for sign in (-1, 1)
    ]
    return Measurement(pd.DataFrame(rows), {"n": 16, "early": 10, "theory": 0.3})


def _phases(lost: float = 0.1, kept: float = 0.4) -> Measurement:
    cells = [_scores(kept if n > 6 else lost, n=n, width=64) for n in (4, 5, 6, 7, 8, 12, 16, 32)]
    narrow = [_scores(0.3, n=n, width=8) for n in (4, 32)]  # is not judged
    return Measurement(pd.concat([*cells, *narrow]), {"birth": 6.107, "depth": 9})


def _spectra(largest: float = 0.0, smallest: float = 0.1) -> Measurement:
    rows = [
        {
            "norm": norm,
            "network": k,
            "depth": 5,
            "order": order,
            "theory": 0.2,
            "eigenvalue": 0.2 * np.exp(shift + k / 1000),
        }
        for norm in NORMS
        for order, shift in ((1, largest), (2, 9.0), (3, smallest))
        for k in range(9)
    ]
    return Measurement(pd.DataFrame(rows), {"n": 3})


def _trained(after: float) -> Measurement:
    steps = [{"network": k, "step": t, "score": (0.9, after)[t]} for k in range(60) for t in (0, 1)]
    return Measurement(pd.DataFrame(steps))


_ACTIVATIONS = {"leaky_relu": 0.9, "gelu": 0.9, "linear": 0.1, "tanh": 0.1, "abs": 0.7}
_RANKS = {"rank": 2, "linear": 2}
CASES: list[tuple[str, Callable[[], Measurement], Callable[[], Measurement]]] = [
    ("odd-point", lambda: Measurement(_scores(0.6)), lambda: Measurement(_scores(0.4))),
    ("odd-point-digits", lambda: Measurement(_scores(0.6)), lambda: Measurement(_scores(np.nan))),
    ("cluster-shape", _shape, lambda: _shape(cluster=0.94)),
    ("cluster-shape", _shape, lambda: _shape(odd=0.06)),
    ("cluster-shape", _shape, lambda: _shape(ratio=27.0)),
    ("shape-theory", _theory, lambda: _theory(0.011)),
    ("ideal-attracts", lambda: _ideal(0.9e-3), lambda: _ideal(1.01e-3)),
    ("same-odd-point", lambda: Measurement(_scores(0.6)), lambda: Measurement(_scores(0.6).assign(odd_index=1))),
    (
        "lasting-rate",
        lambda: Measurement(_path("apart", 0.945e-3), {"theory": 0.95}),
        lambda: Measurement(_path("apart", 0.945e-3), {"theory": 0.98}),
    ),
    (
        "rank-growth",
        lambda: Measurement(pd.DataFrame({**_RANKS, "relu": [8] * 500})),
        lambda: Measurement(pd.DataFrame({**_RANKS, "relu": [2] * 30 + [8] * 470})),
    ),
    ("invariance", _invariant, lambda: _invariant(across=1e-5)),
    ("invariance", _invariant, lambda: _invariant(ratio=0.03)),
    ("combinations", lambda: _combined(0.1), lambda: _combined(0.9)),
    ("combinations", lambda: _combined(0.1), lambda: _combined(0.1, odd=0.1)),
    ("full-norm", lambda: _full(0.1), lambda: _full(0.8)),
    (
        "breakaway-width",
        lambda: _breakaway("width", "n", 0.5),
        lambda: _breakaway("width", "n", -0.5),
    ),
    ("breakaway-batch", lambda: _breakaway("n", "width", 0.5), lambda: _breakaway("n", "width", -0.5)),
    ("which-point", lambda: _which(True, agree=False), lambda: _which(True, agree=True)),
    ("which-point", lambda: _some_without(_which(True, agree=False)), lambda: _some_without(_which(True, agree=True))),
    ("two-stages", _stages, lambda: _stages(spread=0.15)),
    ("two-stages", _stages, lambda: _stages(early=0.15)),
    ("two-stages", _stages, lambda: _stages(mean=0.36)),
    ("two-stages", _stages, lambda: _stages(others=0.15)),
    ("phase-diagram", _phases, lambda: _phases(lost=0.3)),
    ("phase-diagram", _phases, lambda: _phases(kept=0.2)),
    ("spectra", _spectra, lambda: _spectra(largest=0.06)),
    ("spectra", _spectra, lambda: _spectra(smallest=-0.35)),
    ("which-point", lambda: _which(True, agree=False), lambda: _which(False, agree=False)),
    ("activations", lambda: _by("kind", _ACTIVATIONS), lambda: _by("kind", {**_ACTIVATIONS, "tanh": 0.6})),
    ("activations", lambda: _by("kind", _ACTIVATIONS), lambda: _by("kind", {**_ACTIVATIONS, "gelu": 0.4})),
    ("convolution", lambda: _by("kind", {"convolutional": 0.6}), lambda: _by("kind", {"convolutional": 0.4})),
    ("shortcuts", lambda: _by("kind", {"a": 0.6, "b": 0.6}), lambda: _by("kind", {"a": 0.6, "b": 0.4})),
    ("first-steps", lambda: _trained(0.7), lambda: _trained(0.3)),
]


@pytest.mark.parametrize(("name", "good", "bad"), CASES)
def test_criterion_holds_and_fails(name: str, good: Callable[[], Measurement], bad: Callable[[], Measurement]) -> None:
    assert all(part.holds for part in BY_NAME[name].judge(good()))
    assert not all(part.holds for part in BY_NAME[name].judge(bad()))


def test_every_criterion_is_shown_to_fail() -> None:
    assert {name for name, _, _ in CASES} == set(BY_NAME)


def test_lasting_point_is_the_configuration_of_theory() -> None:
    point, expected = lasting_point(12), theory.odd_point_configuration(12)
    assert expected is not None
    found = watch_cosines(torch.as_tensor(point.gram))
    assert found == pytest.approx([expected.cluster_cosine, expected.odd_cosine, expected.norm_ratio], rel=1e-8)
    with pytest.raises(ValueError, match=r"no stable odd point in batches of 6: use n >= 7"):
        lasting_point(6)


def watch_cosines(gram: torch.Tensor) -> list[float]:
    """Of a Gram matrix whose point 0 is odd: cosine of two others, of point 0 to one of them, norm ratio."""
    norms = gram.diagonal().sqrt()
    unit = gram / norms[:, None] / norms
    return [float(unit[1, 2]), float(unit[0, 1]), float(norms[0] / norms[1])]


def test_idealized_configuration() -> None:
    assert watch_cosines(torch.as_tensor(ideal_gram(9, 0.01))) == pytest.approx([0.99, 0, 8])
    points = ideal_points(9, 0.0, seed=1).double()
    np.testing.assert_allclose(points @ points.T, ideal_gram(9), atol=1e-12)
    moved = ideal_points(400, 0.3, seed=1) - ideal_points(400, 0.0, seed=1)
    assert float(moved[1:].square().sum(1).mean().sqrt()) == pytest.approx(0.3, rel=0.01)


def test_two_groups_are_invariant_at_infinite_width() -> None:
    layer = theory.GramMap(True, False, "relu")
    for first in (1, 2, 3):
        gram = (two_groups(6, first) @ two_groups(6, first).T).numpy()
        after = layer(gram)
        np.testing.assert_allclose(after / np.trace(after), gram / np.trace(gram), atol=1e-12)


def test_predictors_of_points_that_are_known() -> None:
    points = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    found = predictors(points)
    assert list(found["norm"]) == [3, 1, 2]
    assert list(found["lonely"]) == pytest.approx([-0.5, -0.5, 0])
    mean = points.mean(0)
    assert list(found["distance"]) == pytest.approx([float((p - mean).norm()) for p in points])


def test_watching_finds_an_odd_point_and_counts_networks() -> None:
    kept = watch(ideal_points(16, 0.1, 0), width=512, depth=3, seed=0)
    assert (kept["odd_index"] == 0).all()
    assert kept["depth"].tolist() == [0, 1, 2, 3]
    assert share(kept, 0.5, 0.99).value == 1
    many = watch_many("gaussian", 5, 3, 0, width=8, depth=2)
    assert many.groupby("network")["score"].first().nunique() == 3  # a batch of its own for each
    assert len(set(children(0, 50))) == 50


def test_batches_are_what_they_are_called() -> None:
    gaussian = batch_of("gaussian", 300, 0)
    assert gaussian.shape == (300, 64)
    assert abs(float(gaussian.mean())) < 0.03
    digits = batch_of("digits", 30, 0)
    assert digits.shape == (30, 64)
    assert len(digits.unique(dim=0)) == 30
