"""Claims of Balestriero and Baraniuk 2022: small measurements, and criteria that can fail."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from normscope.claims.balestriero2022 import CLAIMS
from normscope.claims.claim import Claim
from normscope.claims.measurement import Measurement
from normscope.claims.registry import select
from reference.readable import unreadable

BY_NAME = {claim.id.partition(".")[2]: claim for claim in CLAIMS}
_SLICES = {"samples": 20, "width": 6, "depth": 2, "networks": 2, "radii": (0.1, 0.2), "discs": 20}
_BALLS = {"images": 16, "size": 8, "widths": (8, 2, 2), "depths": (2, 2, 8), "points": 2, "units": 4, "radius": 0.05,
          "networks": 2}  # fmt: skip
TINY: dict[str, dict[str, Any]] = {
    "least-squares": {"images": 16, "size": 8, "widths": (8, 2, 2), "depths": (2, 2, 8), "networks": 2},
    "learned-offsets": {"size": 8, "width": 8, "depth": 2, "channels": 2, "steps": 3, "learning_rate": 0.1},
    "picture": {"samples": 20, "networks": 2, "discs": 10},
    "density": _SLICES,
    "deep-slice": {"images": 8, "size": 8, "width": 6, "depth": 2, "networks": 2},
    "balls": _BALLS,
    "balls-elsewhere": _BALLS,
    "turning": {"width": 5, "networks": 2, "factors": (0.5, 2)},
    "which-half-draws": _SLICES,
    "which-half-folds": _SLICES,
}


def _measured(claim: Claim, seed: int) -> Measurement:
    sizes = TINY[claim.id.partition(".")[2]]
    if claim.observation is None:
        return claim.measure(seed=seed, **sizes)
    return claim.measure(claim.observation.observe(seed=seed, **sizes))


def test_paper_is_registered() -> None:
    assert select("balestriero2022") == list(CLAIMS)
    assert set(TINY) == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_measures_judges_and_draws_at_any_size(name: str) -> None:
    claim: Claim = pickle.loads(pickle.dumps(BY_NAME[name]))
    found, again, other = (_measured(claim, seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(found.table, again.table, check_exact=True)
    assert not found.table.equals(other.table)
    read = Measurement.from_json(found.to_json())
    assert len(claim.judge(read)) == claim.criterion.parts
    assert unreadable(claim, read) == []


def _noise(networks: int = 12) -> np.ndarray:
    return np.linspace(-0.01, 0.01, networks)


def _least_squares(
    excess: float = 1e-29, kind: str = "resnet", from_mean: float = 1e-15, zero: float = 0.5
) -> Measurement:
    rows = []
    for network, noise in enumerate(_noise()):
        for layer in (1, 2):
            for name in ("mlp", "convnet", "resnet"):
                own = excess if name == kind and layer == 2 else 1e-29
                rows.append({"kind": name, "offsets": "batch", "excess": own, "excess_median": own,
                             "from_mean": from_mean, "network": network, "layer": layer})  # fmt: skip
            rows.append({"kind": "mlp", "offsets": "zero", "excess": 9.0, "from_mean": 1.0, "network": network,
                         "excess_median": 5.0 if layer == 1 else zero + noise, "layer": layer})  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _learned(power: float = 2.0, ratio: float = 0.3) -> Measurement:
    ratios = np.linspace(-ratio, ratio, 20)
    return Measurement(
        pd.concat(
            [
                pd.DataFrame({"ratio": ratios, "excess": np.abs(ratios) ** power, "kind": kind})
                for kind in ("mlp", "convnet")
            ]
        )
    )


def _picture(from_mean: float = 1e-12, third: float = 1.0) -> Measurement:
    rows = [
        {"what": "count", "offsets": offsets, "network": network, "layer": layer, "from_mean": from_mean,
         "elsewhere": 1.0, "near": 1.0 + ((third if layer == 3 else 1.0) + noise if offsets == "batch" else 0.0)}
        for network, noise in enumerate(_noise()) for offsets in ("batch", "random") for layer in (1, 2, 3, 4)
    ]  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _slices(near: dict[str, float], turn: dict[str, float] | None = None, only: str = "") -> Measurement:
    """Ratios near / elsewhere, and turns, by offsets; those of one data set alone, the other as it should be."""
    usual = {"batch": 4.0, "recenter": 4.0, "shifted": 1.0, "random": 1.0, "zero": 2.0}
    folded = {"batch": 0.6, "recenter": 0.3, "shifted": 0.6, "random": 0.3, "zero": 0.3}
    rows = []
    for kind in ("moons", "digits"):
        given = kind == only or not only
        ratios, turns = usual | (near if given else {}), folded | (turn or {} if given else {})
        for network, noise in enumerate(_noise()):
            rows += [
                {"data": kind, "network": network, "offsets": offsets, "layer": 1, "elsewhere": 1.0,
                 "near": ratios[offsets] * (1 + noise * (1 + place)), "turn": turns[offsets] + noise / (1 + place)}
                for place, offsets in enumerate(ratios)
            ]  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _deep(zero: float = 10.0, inside: float = 1.0) -> Measurement:
    regions = {"batch": 100.0, "zero": zero, "random": 20.0}
    rows = [
        {"what": "count", "offsets": offsets, "network": network, "regions": count * (1 + noise * (1 + place)),
         "inside": count * (inside if offsets == "batch" else 1.0) * (1 + noise * (1 + place))}
        for network, noise in enumerate(_noise()) for place, (offsets, count) in enumerate(regions.items())
    ]  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _balls(kind: str = "", place: str = "train", offsets: str = "zero", share: float = 0.1) -> Measurement:
    rows = []
    for network, noise in enumerate(_noise()):
        for name in ("mlp", "convnet", "resnet"):
            for where in ("train", "test", "noise"):
                for own in ("batch", "zero", "random"):
                    usual = (0.3 if where == "noise" else 0.5) + noise if own == "batch" else 0.2
                    changed = (name, where, own) == (kind, place, offsets)
                    crossing = share if changed else usual
                    rows.append({"kind": name, "place": where, "offsets": own, "network": network, "layer": 1,
                                 "crossing": crossing})  # fmt: skip
    return Measurement(pd.DataFrame(rows))


def _turning(jump: float = 1.0, angle: float = 0.0, moved: float = 0.0, change: float = -0.5) -> Measurement:
    found = pd.DataFrame({"what": "crossing", "activation": "relu", "turn": [0.5, 1.0], "angle": [0.5, 1.0 + angle],
                          "jump": [1.0, jump], "moved": moved, "network": 0, "factor": 1.0})  # fmt: skip
    scan = [
        {"what": "scan", "activation": "relu", "network": network, "factor": factor, "turn": 1.0 + noise + step}
        for network, noise in enumerate(_noise()) for factor, step in ((0.5, noise), (2.0, change))
    ]  # fmt: skip
    return Measurement(pd.concat([found, pd.DataFrame(scan)]))


CASES: list[tuple[str, Callable[[], Measurement], Callable[[], Measurement]]] = [
    ("least-squares", _least_squares, lambda: _least_squares(excess=1e-6)),
    ("least-squares", _least_squares, lambda: _least_squares(excess=1e-6, kind="mlp")),
    ("least-squares", _least_squares, lambda: _least_squares(from_mean=1e-3)),
    ("least-squares", _least_squares, lambda: _least_squares(zero=0.05)),
    ("learned-offsets", _learned, lambda: _learned(power=1)),
    ("learned-offsets", _learned, lambda: _learned(ratio=0.01)),
    ("picture", _picture, lambda: _picture(from_mean=1e-3)),
    ("picture", _picture, lambda: _picture(third=-0.1)),
    ("density", lambda: _slices({}), lambda: _slices({"zero": 5.0}, only="moons")),
    ("density", lambda: _slices({}), lambda: _slices({"random": 5.0}, only="digits")),
    ("density", lambda: _slices({}), lambda: _slices({"batch": 0.9, "zero": 0.5, "random": 0.5}, only="digits")),
    ("deep-slice", _deep, lambda: _deep(zero=110.0)),
    ("deep-slice", _deep, lambda: _deep(inside=0.15)),
    ("balls", _balls, lambda: _balls("resnet", "test", "random", 0.6)),
    ("balls", _balls, lambda: _balls("mlp", "train", "zero", 0.6)),
    ("balls-elsewhere", _balls, lambda: _balls("convnet", "noise", "batch", 0.6)),
    ("turning", _turning, lambda: _turning(jump=1 + 1e-6)),
    ("turning", _turning, lambda: _turning(angle=1e-4)),
    ("turning", _turning, lambda: _turning(moved=1e-6)),
    ("turning", _turning, lambda: _turning(change=0.1)),
    ("which-half-draws", lambda: _slices({}), lambda: _slices({"recenter": 1.0, "shifted": 4.0}, only="moons")),
    ("which-half-draws", lambda: _slices({}), lambda: _slices({"recenter": 2.0, "shifted": 2.0}, only="digits")),
    ("which-half-draws", lambda: _slices({}), lambda: _slices({"batch": 1.2, "shifted": 0.5}, only="digits")),
    ("which-half-folds", lambda: _slices({}), lambda: _slices({}, {"shifted": 0.3, "recenter": 0.6}, only="moons")),
    ("which-half-folds", lambda: _slices({}), lambda: _slices({}, {"recenter": 0.0, "batch": 0.3}, only="digits")),
]


@pytest.mark.parametrize(("name", "good", "bad"), CASES)
def test_criterion_holds_and_fails(name: str, good: Callable[[], Measurement], bad: Callable[[], Measurement]) -> None:
    claim = BY_NAME[name]
    assert all(part.holds for part in claim.judge(good())), [str(part) for part in claim.judge(good())]
    assert not all(part.holds for part in claim.judge(bad()))


def test_every_criterion_is_shown_to_fail() -> None:
    assert {name for name, _, _ in CASES} == set(BY_NAME)
