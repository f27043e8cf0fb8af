"""Claims of the lineage: measured at tiny scale, judged on measurements that should and should not hold."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtr

from normscope import measure, theory
from normscope.claims import (
    Claim,
    Measurement,
    daneshmand2020,
    daneshmand2021,
    joudaki2023,
    meterez2024,
    skip_connections,
    yang2019,
)
from normscope.claims.joudaki2023 import layers as joudaki_layers
from normscope.claims.registry import select
from reference import lineage as reference
from reference.readable import unreadable

TINY: dict[str, dict[str, Any]] = {
    daneshmand2020.RANK.id: {"widths": (3, 4, 6), "multiple": 5, "networks": 4},
    daneshmand2021.DECAY.id: {"points": 3, "widths": (8, 64), "window": (1, 3), "depth": 5, "networks": 4},
    daneshmand2021.PLATEAU.id: {"points": 3, "widths": (8, 16, 64), "depth": 6, "networks": 4},
    daneshmand2021.TWO_POINTS.id: {"width": 8, "depth": 5, "networks": 4},
    joudaki2023.BOUND.id: {"points": 3, "cosine": 0.5, "width": 256, "depth": 4, "networks": 3},
    joudaki2023.DECAY.id: {"points": 3, "cosine": 0.5, "width": 256, "depth": 4, "networks": 3},
    joudaki2023.STRENGTH.id: {"points": 3, "cosine": 0.8, "width": 512, "small": 0.05, "depth": 20, "networks": 3},
    joudaki2023.NORMALIZATION.id: {"points": 4, "width": 16, "batches": 5},
    meterez2024.GAP.id: {"width": 5, "depth": 8, "networks": 3},
    meterez2024.GRADIENTS.id: {"width": 5, "depths": (2, 4), "networks": 3},
    meterez2024.TENSION.id: {"width": 5, "depth": 8, "networks": 3},
    yang2019.COSINE.id: {"batches": (5, 6), "width": 64, "depth": 5, "networks": 3},
    yang2019.GROWTH.id: {"batches": (6, 8), "width": 64, "depth": 6, "networks": 3, "drawn_width": 32, "drawn": 2},
    skip_connections.DENSE.id: {"batch": 6, "width": 32, "depth": 6, "networks": 3},
    skip_connections.RESNET.id: {"blocks": 3, "size": 8, "images": 8, "networks": 2},
}
CLAIMS = [
    *daneshmand2020.CLAIMS, *daneshmand2021.CLAIMS, *joudaki2023.CLAIMS, *meterez2024.CLAIMS, *yang2019.CLAIMS,
    *skip_connections.CLAIMS,
]  # fmt: skip


def test_every_claim_is_here_and_registered() -> None:
    assert list(TINY) == [claim.id for claim in CLAIMS]
    assert [claim.id for claim in select([claim.id for claim in CLAIMS])] == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_measures_judges_and_draws_at_any_size(claim: Claim) -> None:
    found = pickle.loads(pickle.dumps(claim)).measure(seed=3, **TINY[claim.id])
    again = claim.measure(seed=3, **TINY[claim.id])
    pd.testing.assert_frame_equal(found.table, again.table, rtol=1e-9)
    assert dict(found.scalars) == pytest.approx(dict(again.scalars))
    parts = claim.judge(Measurement.from_json(found.to_json()))
    assert all(np.isfinite(part.measured.value) for part in parts)
    assert unreadable(claim, found) == []
    if claim.criterion.error_rate:
        other = claim.measure(seed=4, **TINY[claim.id])
        assert not other.table.equals(found.table)


def fails(claim: Claim, good: Measurement, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Sequence[bool]:
    """Which parts hold for a measurement that was changed; all did before."""
    assert all(part.holds for part in claim.judge(good)), [str(part) for part in claim.judge(good)]
    return [part.holds for part in claim.judge(replace(good, table=change(good.table.copy())))]


def noise(networks: int, seed: int = 0) -> np.ndarray:
    return 1 + 0.01 * np.random.default_rng(seed).standard_normal(networks)


# Daneshmand et al.


def decay(rate: float, factor: float) -> Measurement:
    """V that falls by ``rate`` from ``factor`` / 2 at a width at which the bound says something."""
    rows = [
        {"network": k, "depth": t, "width": 65536, "gap": factor / 2 * rate**t * unit}
        for k, unit in enumerate(noise(20))
        for t in range(9)
    ]
    return Measurement(pd.DataFrame(rows), {"alpha": 0.25, "points": 4, "first": 2, "last": 8})


def test_decay_that_is_slower_than_the_theorem_does_not_hold() -> None:
    claim = daneshmand2021.DECAY
    allowed = 1 - 2 * 0.25 / 3
    assert [part.holds for part in claim.judge(decay(allowed - 0.01, 1))] == [True, True]
    assert [part.holds for part in claim.judge(decay(allowed + 0.01, 1))] == [False, True]
    assert [part.holds for part in claim.judge(decay(allowed - 0.01, 9))] == [True, False]


def test_the_decay_is_held_against_the_bound_of_the_theorem() -> None:
    """At α = 1/4, n = 4 and d = 65536 the bound begins at 2 + 3/16."""
    _, bound = daneshmand2021.DECAY.judge(decay(0.5, 1))
    assert bound.measured.value == pytest.approx(0.5 / (2 + 3 / 16), rel=0.02)


def plateau(slope: float, level: float) -> Measurement:
    widest = theory.orthogonality_plateau(4, 512).mean
    rows = [
        {"width": d, "network": k, "gap": level * widest * (d / 512) ** slope * unit}
        for d in (16, 128, 512)
        for k, unit in enumerate(noise(30, d))
    ]
    return Measurement(pd.DataFrame(rows), {"points": 4})


@pytest.mark.parametrize(
    ("slope", "level", "holds"),
    [(-0.5, 1, [True, True]), (-0.46, 1, [True, True]), (-0.4, 1, [False, True]), (-0.56, 1, [False, True]),
     (-0.5, 1.2, [True, False]), (-0.5, 0.8, [True, False])],
)  # fmt: skip
def test_plateau_of_another_slope_or_level_does_not_hold(slope: float, level: float, holds: list[bool]) -> None:
    assert [part.holds for part in daneshmand2021.PLATEAU.judge(plateau(slope, level))] == holds


def test_two_points_that_stay_apart_without_rescaling_do_not_hold() -> None:
    claim = daneshmand2021.TWO_POINTS
    good = Measurement(
        pd.DataFrame(
            [
                {"network": k, "depth": t, "rescale": on, "cosine": (0.1 if on else 0.9) * unit}
                for on in (False, True)
                for k, unit in enumerate(noise(10))
                for t in (0, 5)
            ]
        ),
        {"width": 32},
    )
    assert fails(claim, good, lambda t: t.assign(cosine=t["cosine"].where(t["rescale"], t["cosine"] / 3))) == [
        False,
        True,
    ]
    assert fails(claim, good, lambda t: t.assign(cosine=t["cosine"].where(~t["rescale"], 3 * t["cosine"]))) == [
        True,
        False,
    ]


def test_rank_that_grows_too_slowly_or_does_not_collapse_does_not_hold() -> None:
    claim = daneshmand2020.RANK
    rows = [
        {"network": k, "depth": t * d, "width": d, "rescale": on, "rank": d**0.6 * unit if on or t == 0 else 1.001}
        for d in (8, 16, 32)
        for on in (False, True)
        for k, unit in enumerate(noise(10, d))
        for t in (0, 20)
    ]
    good = Measurement(pd.DataFrame(rows))

    def slow(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(rank=(t["rank"] ** 0.7).where(t["rescale"], t["rank"]))

    assert fails(claim, good, slow) == [False, True]
    assert fails(claim, good, lambda t: t.assign(rank=t["rank"].where(t["rescale"], 1.5))) == [True, False]


# Joudaki et al.


def test_layers_by_their_law_are_layers_with_drawn_weights() -> None:
    """Mean cosine and gap behind two layers: five standard errors of the difference, by chance 6e-7 of all seeds."""
    start = torch.full((3, 3), 0.6, dtype=torch.float64).fill_diagonal_(1.0)
    width, networks, rng = 12, 1500, np.random.default_rng(0)
    law = list(joudaki_layers.drawn_layers(start, "gelu", width, 2, networks, 0))[-1]
    drawn = []
    for _ in range(networks):
        x = np.linalg.cholesky(start.numpy())
        for _ in range(2):
            z = x @ rng.standard_normal((width, x.shape[1])).T
            y = z * ndtr(z)  # GELU
            y = (y - y.mean(1, keepdims=True)) / y.std(1, keepdims=True)
            x = y / np.sqrt(width)
        drawn.append(x @ x.T)
    for statistic in (lambda g: float(g[0, 1]), lambda g: reference.isometry_gap(np.asarray(g))):
        a, b = (np.array([statistic(g) for g in grams]) for grams in (law, drawn))
        error = np.sqrt(a.var() / networks + b.var() / networks)
        assert abs(a.mean() - b.mean()) < 5 * error


def test_wide_layers_are_the_series_of_the_paper() -> None:
    """κ(ρ) = Σ_(k>=1) c_k² ρ^k / Σ_(k>=1) c_k²."""
    for phi in joudaki_layers.ACTIVATIONS:
        _, after = joudaki_layers.wide_layers(3, 0.4, phi, 1)
        squares = theory.hermite_coefficients(phi, 40).coefficients ** 2
        second = theory.hermite_coefficients(phi, 0).second_moment - squares[0]
        expected = (squares[1:] * 0.4 ** np.arange(1, 41)).sum() / second
        assert after[np.triu_indices(3, 1)].tolist() == pytest.approx(3 * [expected], abs=1e-8)


def isometry(ratio: float, wide: float) -> Measurement:
    rows = [
        {
            "network": k,
            "depth": t,
            "gap": (wide if k < 0 else ratio * unit) * b,
            "bound": b,
            "phi": "relu",
            "beta": 1.27,
        }
        for k, unit in zip(range(-1, 10), noise(11), strict=True)
        for t, b in enumerate((2.0, 0.5, 0.01))
    ]
    table = pd.DataFrame(rows)
    return Measurement(table.assign(gap=table["gap"].where((table["network"] < 0) | (table["bound"] > 0.05), 1.0)))


def test_a_gap_beyond_its_bound_does_not_hold() -> None:
    judge = joudaki2023.BOUND.judge
    assert [part.holds for part in judge(isometry(0.9, 0.9))] == [True, True]
    assert [part.holds for part in judge(isometry(1.1, 0.9))] == [False, True]
    assert [part.holds for part in judge(isometry(0.9, 1.0001))] == [True, False]


def test_a_gap_that_decays_more_slowly_than_its_strength_does_not_hold() -> None:
    def decaying(drawn: float, limit: float) -> Measurement:
        rows = [
            {"network": k, "depth": t, "phi": "relu", "beta": 1.25, "bound": 1.0, "gap": 2 * unit * factor**t}
            for k, unit in zip(range(-1, 10), noise(11), strict=True)
            for factor in [(limit if k < 0 else drawn) / 1.25]
            for t in range(4)
        ]
        # below the floor nothing counts
        return Measurement(pd.DataFrame([*rows, {**rows[-1], "depth": 30, "gap": 1.0}]))

    judge = joudaki2023.DECAY.judge
    assert [part.holds for part in judge(decaying(0.9, 0.9))] == [True, True]
    assert [part.holds for part in judge(decaying(1.1, 0.9))] == [False, True]
    assert [part.holds for part in judge(decaying(0.9, 1.001))] == [True, False]
    assert judge(decaying(1.1, 0.9))[0].measured.value == pytest.approx(1.1**3)


def test_another_order_of_strengths_does_not_hold() -> None:
    claim = joudaki2023.STRENGTH
    rows = [
        {"network": k, "layers": layers, "factor": 0.5, "phi": phi, "beta": beta, "limit": 1.0 * layers}
        for k in range(5)
        for phi, beta, layers in (("a", 1.1, 30), ("b", 1.2, 20), ("c", 1.3, 10), ("d", 1.9, 5))
    ]
    good = Measurement(pd.DataFrame(rows), {"small": 0.05})
    assert fails(claim, good, lambda t: t.assign(layers=t["layers"].replace({20: 10, 10: 20}))) == [False, True]
    assert fails(claim, good, lambda t: t.assign(factor=0.6)) == [True, False]


def test_normalization_that_gains_less_does_not_hold() -> None:
    claim = joudaki2023.NORMALIZATION
    good = claim.measure(seed=0, **TINY[claim.id])
    assert fails(claim, good, lambda t: t.assign(gain=t["gain"] - 1e-5))[1] is False
    assert fails(claim, good, lambda t: t.assign(gain=t["bound"] - 1e-5)) == [False, False]


# Meterez et al.


def test_the_gap_through_determinants_is_the_gap() -> None:
    """Few layers, which float64 resolves, with the same weights."""
    found = meterez2024.TENSION.measure(seed=5, width=4, depth=3, networks=2).table
    generator = torch.Generator().manual_seed(5)
    x = [np.eye(4), np.eye(4)]
    for level in range(4):
        for k in range(2):
            row = found[(found["depth"] == level) & (found["network"] == k)].iloc[0]
            assert row["isometry"] == pytest.approx(reference.isometry_gap(x[k] @ x[k].T), abs=1e-9)
            assert row["orthogonality"] == pytest.approx(reference.orthogonality_gap(x[k]), abs=1e-12)
        w = torch.randn(2, 4, 4, dtype=torch.float64, generator=generator).numpy()
        x = [reference.rescaled_layer(x[k], w[k]) for k in range(2)]


def test_expected_growth_of_the_gap_is_that_of_theory() -> None:
    """From orthogonal points one Gaussian layer adds ψ(d/2) − mean ψ(j/2), five standard errors."""
    found = meterez2024.TENSION.measure(seed=0, width=6, depth=1, networks=2000).table
    after = found.loc[found["depth"] == 1, "isometry"]
    expected = theory.isometry_gap_change(np.ones(6), "gaussian")
    assert abs(after.mean() - expected) < 5 * after.sem()


def test_a_gap_of_another_rate_does_not_hold() -> None:
    claim = meterez2024.GAP
    rows = [
        {"network": k, "depth": t, "gap": (30 / 32) ** t * unit}
        for k in range(10)
        for t, unit in enumerate(noise(101, k))
    ]
    good = Measurement(pd.DataFrame(rows), {"width": 30})
    for power in (0.8, 1.2):
        assert fails(claim, good, lambda t, p=power: t.assign(gap=t["gap"] ** p)) == [False]


def test_gradients_that_grow_or_do_not_are_told_apart() -> None:
    claim = meterez2024.GRADIENTS
    rows = [
        {"weights": w, "depth": d, "network": k, "log_norm": unit + (0.01 * d if w == "gaussian" else 0)}
        for w in ("haar", "gaussian")
        for d in (25, 50, 100)
        for k, unit in enumerate(noise(10, d))
    ]
    good = Measurement(pd.DataFrame(rows), {"width": 32, "mean_field": 0.015})

    def explode(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(log_norm=t["log_norm"] + 0.01 * t["depth"])

    def vanish(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(log_norm=t["log_norm"] - 0.01 * t["depth"])

    assert fails(claim, good, explode) == [False, True]
    assert fails(claim, good, vanish) == [False, False]


def test_two_gaps_that_both_grow_do_not_hold() -> None:
    claim = meterez2024.TENSION
    rows = [
        {"network": k, "depth": t, "isometry": 0.8 * t * unit, "orthogonality": 0.4 * unit}
        for k, unit in enumerate(noise(10))
        for t in range(41)
    ]
    good = Measurement(pd.DataFrame(rows), {"width": 32})
    assert fails(claim, good, lambda t: t.assign(orthogonality=0.01 * t["depth"])) == [True, False]
    assert fails(claim, good, lambda t: t.assign(isometry=0.05 * t["depth"])) == [False, True]


# Yang et al.


def test_a_cosine_beside_theory_does_not_hold() -> None:
    claim = yang2019.COSINE
    rows = [
        {"batch": n, "network": k, "depth": t, "theory": theory.symmetric_cosine(n)}
        | {"within": expected + unit - 1, "between": expected + 1 - unit}
        for n in (8, 32)
        for k, unit in enumerate(noise(100, n))
        for t, expected in ((0, 0.0), (9, theory.symmetric_cosine(n)))
    ]
    good = Measurement(pd.DataFrame(rows))

    def off(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(within=t["within"] + 0.02 * (t["batch"] == 8))

    assert fails(claim, good, off) == [False, True, True, True]


def test_autograd_growth_counts_layers_from_the_input() -> None:
    logs = np.linspace(9, 0, 10)[None] * np.array([[1.0], [2.0]])
    table = yang2019._growths("law", "relu", 8, logs)
    assert table["growth"].tolist() == pytest.approx([1, 2])
    assert table["theory"].iloc[0] == pytest.approx(np.log(theory.gradient_growth(8)))


def test_gradients_of_the_perceptron_are_those_of_differences() -> None:
    """ln ‖∂L/∂X_0‖² by autograd against central differences of the same network."""
    from normscope import models

    n, width, depth, seed = 5, 6, 2, 0
    found = yang2019._autograd_logs("linear", n, width, depth, seed)
    model = models.mlp(n, width, depth, norm="batch", activation="linear", init="he", seed=seed).double()
    weights = torch.randn(n, width, generator=torch.Generator().manual_seed(seed)).double()

    def loss(x: torch.Tensor) -> float:
        with torch.no_grad():
            return float((weights * model.get_submodule("blocks")(x)).sum())

    x, step, square = torch.eye(n, dtype=torch.float64), 1e-5, 0.0
    for i in range(n):
        for j in range(n):
            change = torch.zeros_like(x)
            change[i, j] = step
            square += ((loss(x + change) - loss(x - change)) / (2 * step)) ** 2
    assert found[0] == pytest.approx(np.log(square), rel=1e-3)


def test_growth_beside_theory_does_not_hold() -> None:
    claim = yang2019.GROWTH
    tables = [
        yang2019._growths(how, phi, n, -np.arange(10.0) * np.log(theory.GramMap(True, True, phi).gradient_growth(n))
                          + 0.001 * np.random.default_rng(n).standard_normal((10, 10)))
        for phi in ("relu", "linear") for how, n in (("law", 8), ("law", 32), ("autograd", 32))
    ]  # fmt: skip
    good = Measurement(pd.concat(tables))

    def off(t: pd.DataFrame) -> pd.DataFrame:
        return t.assign(growth=t["growth"] + 0.03 * ((t["phi"] == "linear") & (t["batch"] == 8)))

    assert fails(claim, good, off) == [True, True, True, False, True, True]


def skip_table(plain: float, skipped: float) -> pd.DataFrame:
    rows = [
        {"number": k, "layer": t, "log_norm2": -unit * t * (skipped if skip else plain), "norm": "both", "skip": skip}
        for skip in (False, True)
        for k, unit in enumerate(noise(10, skip))
        for t in range(1, 21)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("plain", "skipped", "holds"), [(1.0, 0.1, [True, True]), (0.5, 0.1, [False, True]),
                                                         (1.0, 0.5, [True, False])])  # fmt: skip
def test_shortcuts_that_change_nothing_do_not_hold(plain: float, skipped: float, holds: list[bool]) -> None:
    measurement = Measurement(skip_table(2 * plain, 2 * skipped), {"mean_field": 2.0})
    assert [part.holds for part in skip_connections.DENSE.judge(measurement)] == holds
    resnet = skip_connections.RESNET.judge(Measurement(skip_table(1.0, skipped)))
    assert [part.holds for part in resnet] == [skipped < 0.25]


def test_a_cut_shortcut_leaves_the_branch() -> None:
    from normscope import models

    block = models.cifar_resnet(8, in_channels=1, seed=0).get_submodule("stage1.0")
    x = torch.randn(4, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = block(x)
    block.shortcut = skip_connections.Cut()
    branch = block.norm2(block.conv2(block.activation1(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), branch.relu())
    torch.testing.assert_close(whole, (branch + x).relu())


def test_gram_of_points_is_what_the_claims_start_from() -> None:
    gram = daneshmand2021._equal_cosines(4)
    assert float(measure.mean_cosine(gram)) == pytest.approx(0.5)
    assert torch.linalg.eigvalsh(gram)[0] / 4 == pytest.approx(1 / 8)
