"""Claims of Riedi et al. 2026: small measurements, criteria that can fail, and geometry against known cases."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from normscope import theory
from normscope.claims.claim import Claim
from normscope.claims.drawing import draw
from normscope.claims.measurement import Measurement
from normscope.claims.registry import select
from normscope.claims.riedi2026 import ANGLE, BALLS, BALLS_AS_STATED, BOUNDED, CLAIMS, CLUSTERS
from normscope.claims.riedi2026.separation import _two_clusters
from normscope.claims.riedi2026.setting import sides
from reference.readable import unreadable

BY_NAME = {claim.id.partition(".")[2]: claim for claim in CLAIMS}
TINY: dict[str, dict[str, Any]] = {
    "angle": {"images": 8, "units": 200},
    "clusters": {"points": (2, 3, 4), "features": 4, "units": 100, "draws": 3},
    "balls": {"dimensions": (5, 64), "values": (0.5, 1.0, 2.0), "units": 1500},
    "balls-as-stated": {"dimensions": (5, 64), "values": (0.5, 1.0, 2.0), "units": 1500},
    "bounded": {"units": (3, 6), "networks": 2},
}


def test_paper_is_registered() -> None:
    assert select("riedi2026") == list(CLAIMS)


@pytest.mark.parametrize("name", BY_NAME)
def test_measures_judges_and_draws_at_any_size(name: str) -> None:
    claim: Claim = pickle.loads(pickle.dumps(BY_NAME[name]))
    found, again, other = (claim.measure(seed=seed, **TINY[name]) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(found.table, again.table, check_exact=True)
    assert not found.table.equals(other.table)
    read = Measurement.from_json(found.to_json())
    assert all(np.isfinite(part.measured.value) for part in claim.judge(read))
    assert set(draw(claim, read, "quick")) == {"png", "svg"}
    assert unreadable(claim, read) == []


def _angle(error: float = 0.0, opposite: int = 100_000) -> Measurement:
    angles = np.linspace(0.2, 0.8, 30)
    pairs = pd.DataFrame({"theory": angles, "separating": (1e5 * (angles + error)).astype(int), "opposite": False})
    last = pd.DataFrame({"theory": [1.0], "separating": [opposite], "opposite": [True]})
    return Measurement(pd.concat([pairs, last]), {"units": 100_000})


def _clusters(share: float = 0.5, name: str = "published") -> Measurement:
    rows = [
        {"draw": draw, "points": k, "ratio": times * k, "not_separated": share * (1 + 0.01 * draw)}
        for k in (2, 4, 8) for draw in range(10) for times in (4, 8, 16)
    ]  # fmt: skip
    return Measurement(pd.DataFrame(rows).assign(**{"published": 10.0, "sharper": 10.0, name: 1.0}))


def _balls(law: str, error: float = 0.0, at: int = 1024) -> Measurement:
    rows = []
    for k in (5, 1024):
        for t in (0.5, 1.0, 2.0):
            laws = {
                "exact": float(theory.ball_separation_probability(k, k**0.5 / t, 1)),
                "limit": float(theory.ball_separation_limit(k, k**0.5 / t, 1)),
                "stated": float(theory.ball_separation_limit(2 * k, k**0.5 / t, 1)),
            }
            share = laws[law if k == 1024 else "exact"] + (error if k == at else 0)
            rows.append({"dimension": k, "t": t, "separating": int(1e5 * share), "units": 100_000, **laws})
    return Measurement(pd.DataFrame(rows))


def _bounded(drawn: int = 1, centered: int = 0) -> Measurement:
    rows = [{"what": "count", "offsets": "random", "units": 3, "bounded": drawn, "theory": 1},
            {"what": "count", "offsets": "batch", "units": 3, "bounded": centered, "theory": 0}]  # fmt: skip
    return Measurement(pd.DataFrame(rows))


CASES: list[tuple[Claim, Callable[[], Measurement], Callable[[], Measurement]]] = [
    (ANGLE, _angle, lambda: _angle(error=0.03)),
    (ANGLE, _angle, lambda: _angle(opposite=97_000)),
    (CLUSTERS, _clusters, lambda: _clusters(share=1.02)),
    (CLUSTERS, lambda: _clusters(name="sharper"), lambda: _clusters(share=1.02, name="sharper")),
    (BALLS, lambda: _balls("limit"), lambda: _balls("stated")),
    (BALLS, lambda: _balls("limit"), lambda: _balls("limit", error=0.03, at=5)),
    (BALLS_AS_STATED, lambda: _balls("stated"), lambda: _balls("limit")),
    (BOUNDED, _bounded, lambda: _bounded(drawn=0)),
    (BOUNDED, _bounded, lambda: _bounded(centered=1)),
]


@pytest.mark.parametrize(("claim", "good", "bad"), CASES)
def test_criterion_holds_and_fails(
    claim: Claim, good: Callable[[], Measurement], bad: Callable[[], Measurement]
) -> None:
    assert all(part.holds for part in claim.judge(good())), [str(part) for part in claim.judge(good())]
    assert not all(part.holds for part in claim.judge(bad()))


def test_units_cut_through_the_mean_of_the_batch() -> None:
    """A point and its mirror image in the mean are on different sides of every unit; the mean itself is on the line."""
    points = torch.tensor([[3.0, 1.0], [1.0, 5.0], [-1.0, 9.0]])
    found = sides(points, 500, seed=0)
    assert found.shape == (500, 3)
    assert (found[:, 0] != found[:, 2]).all()


def test_units_separate_by_the_angle_at_the_mean() -> None:
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 3)) + 4)
    found = sides(points, 4000, seed=1)
    one, two = np.triu_indices(5, 1)
    expected = theory.separation_probability(points[one].numpy(), points[two].numpy(), points.mean(0).numpy())
    separated = (found[:, one] != found[:, two]).mean(0)
    np.testing.assert_allclose(separated, expected, atol=4 * 0.5 / 4000**0.5)  # 4 standard errors: 1 in 1500 for ten


def test_clusters_have_their_centre_and_spread() -> None:
    batch = _two_clusters(5, 7, 12.0, np.random.default_rng(0))
    centres = batch[:5].mean(0), batch[5:].mean(0)
    np.testing.assert_allclose(centres[0], -centres[1], atol=1e-12)
    assert np.linalg.norm(centres[0]) == pytest.approx(12)
    for cluster, centre in zip((batch[:5], batch[5:]), centres, strict=True):
        assert np.linalg.norm(cluster - centre, axis=1).max() == pytest.approx(1)


def test_bounded_regions_are_those_of_theory() -> None:
    table = BOUNDED.measure(seed=1, units=(3, 4, 7), networks=2).table
    counts = table[table["what"] == "count"]
    drawn = counts[counts["offsets"] == "random"]
    assert drawn["bounded"].tolist() == [theory.bounded_region_count(int(m), 2) for m in drawn["units"]]
    assert drawn["regions"].tolist() == [theory.region_count(int(m), 2) for m in drawn["units"]]
    centered = counts[counts["offsets"] == "batch"]
    assert centered["bounded"].eq(0).all()
    assert centered["regions"].tolist() == [2 * m for m in centered["units"]]
