"""The law against drawn weights: the same distribution at every depth, forward and backward.

Two samples of networks are compared by Kolmogorov-Smirnov tests of many statistics: entries of the Gram matrix, its
scale and extreme eigenvalues, norms of gradients. Bonferroni's bound over all of them keeps the chance that any case
fails although the laws agree below `ERROR` (seeds are fixed: it either always does or never does). That the same
criterion finds laws that are a little wrong is tested too.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats

from normscope.simulate import Parameters, backward, random_network
from normscope.simulate.law import Units
from normscope.simulate.layer import Layer
from normscope.simulate.passing import Passed
from normscope.simulate.plan import make_layers
from normscope.simulate.state import State
from normscope.simulate.streams import Streams
from reference import simulate as slow

ERROR = 1e-3
N, WIDTH, DEPTH, NETWORKS = 4, 6, 6, 1500
POINTS = torch.randn(N, 3, generator=torch.Generator().manual_seed(5))
CASES = {
    "neither": {"recenter": False, "rescale": False},
    "RC": {"recenter": True, "rescale": False},
    "RS": {"recenter": False, "rescale": True},
    "RC+RS": {"recenter": True, "rescale": True},
    "neither, linear": {"recenter": False, "rescale": False, "activation": "linear"},
    "RC, linear": {"recenter": True, "rescale": False, "activation": "linear"},
    "RS, linear": {"recenter": False, "rescale": True, "activation": "linear"},
    "RC+RS, linear": {"recenter": True, "rescale": True, "activation": "linear"},
    "RS by std": {"recenter": False, "rescale": True, "scale": "std"},
    "RC+RS by rms": {"recenter": True, "rescale": True, "scale": "rms", "parameters": Parameters(bias_std=0.5)},
    "biases, gains": {
        "recenter": False,
        "rescale": [False, True] * 3,
        "activation": "tanh",
        "parameters": Parameters(weight_std=1.5, bias_std=0.7, gain=1.3, shift=-0.2),
    },
    "by layer": {
        "recenter": [True, False] * 3,
        "rescale": [False, False, True] * 2,
        "activation": ["relu", "gelu"] * 3,
    },
    "activated": {"recenter": True, "rescale": True, "residual": "activated", "branch_scale": 0.8},
    "inside": {"recenter": True, "rescale": False, "residual": "inside", "parameters": Parameters(bias_std=0.5)},
    "projected": {"recenter": False, "rescale": True, "residual": "projected", "parameters": Parameters(bias_std=0.3)},
    "projected, features not kept": {
        "recenter": True,
        "rescale": False,
        "residual": "projected",
        "branch_scale": 0.6,
        "gradients": False,
    },
    "projected, fewer features than points": {
        "recenter": False,
        "rescale": True,
        "residual": "projected",
        "width": 3,
        "gradients": False,
    },
    "fewer features than points": {"recenter": True, "rescale": True, "width": 3, "activation": "tanh"},
}


def sample(seed: int, method: str, **options: Any) -> dict[str, torch.Tensor]:
    """One number a network, by name."""
    options = {"width": WIDTH, "depth": DEPTH, "inputs": POINTS, "networks": NETWORKS, "gradients": True} | options
    found = random_network(seed=seed, method=method, **options)
    depth = len(found.depths) - 1
    upper = torch.triu_indices(N, N)
    values = {}
    for t in sorted({1, 3, depth}):
        gram = found.gram[:, t]
        values |= {f"gram {i}{j} at {t}": gram[:, i, j] for i, j in upper.T.tolist()}
        spectrum = torch.linalg.eigvalsh(gram)
        values |= {f"smallest eigenvalue at {t}": spectrum[:, 0], f"largest at {t}": spectrum[:, -1]}
        values[f"extreme at {t}"] = gram.amin((1, 2))
        values[f"scale at {t}"] = found.log_scale[:, t]
    for t in (0, 2, depth - 1) if options["gradients"] else ():
        values[f"gradient at {t}"] = found.grad_log_scale[:, t]
        values[f"gradient's gram at {t}"] = found.grad_gram[:, t, 0, 1]
        values[f"gradient of weights {t}"] = found.weight_grad_log_norm2[:, t]
    return values


def different(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    """The statistics that differ, at a family-wise error of `ERROR`."""
    # a smallest eigenvalue that is zero differs by its rounding
    rounded = [{name: (v * 1e4).round().clamp(-1e12, 1e12) for name, v in values.items()} for values in (a, b)]
    tests = {name: stats.ks_2samp(rounded[0][name], rounded[1][name], method="asymp").pvalue for name in a}
    return [f"{name}: p = {p:.1e}" for name, p in tests.items() if p < ERROR / len(CASES) / len(tests)]


@pytest.mark.parametrize("case", CASES)
def test_both_methods_have_one_distribution(case):
    assert not different(sample(1, "law", **CASES[case]), sample(2, "weights", **CASES[case]))


WRONG = {
    "recentering left out": ({"recenter": False, "rescale": False}, {"recenter": True, "rescale": False}),
    "rescaling left out": ({"recenter": True, "rescale": False}, {"recenter": True, "rescale": True}),
    "bias left out": ({}, {"parameters": Parameters(bias_std=0.5)}),
    "weights 10 % too large": ({"parameters": Parameters(weight_std=1.1)}, {}),
    "scale by std in place of rms": ({"rescale": True, "scale": "std"}, {"rescale": True}),
    "shortcut around another thing": ({"residual": "activated"}, {"residual": "inside"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_criterion_finds_a_wrong_law(case):
    plain = {"recenter": False, "rescale": False}
    law, weights = (plain | options for options in WRONG[case])
    assert different(sample(1, "law", **law), sample(2, "weights", **weights))


def test_the_criterion_finds_gradients_that_do_not_know_the_forward_pass(monkeypatch):
    """The usual assumption, that the weights on the way back are others, is wrong at finite width."""
    monkeypatch.setattr(backward, "_RANK", {torch.float32: math.inf})
    options = {"recenter": False, "rescale": False, "activation": "tanh", "parameters": Parameters(weight_std=2.0)}
    found = different(sample(1, "law", **options), sample(2, "weights", **options))
    assert found
    assert all(name.startswith("gradient") for name in found)


def test_the_criterion_finds_a_width_off_by_a_tenth():
    options = {
        "recenter": True,
        "rescale": False,
        "activation": "linear",
        "depth": 60,
        "networks": 4000,
        "gradients": False,
    }
    same, tenth = (sample(1, "law", width=width, **options) for width in (10, 11))
    weights = sample(2, "weights", width=10, **options)
    assert not different(same, weights)
    assert different(tenth, weights)


def test_scale_of_a_single_point_is_a_product_of_chi_squares():
    """One point in a linear network: log ‖x‖²/d is a sum over layers of log χ²_d/d, at 10⁴ layers normal."""
    width, depth, networks = 8, 10_000, 40
    found = random_network(
        torch.ones(1, 3), width, depth, recenter=False, rescale=False, activation="linear", networks=networks,
        depths=[depth], record=(),
    )  # fmt: skip
    mean = depth * float(torch.special.digamma(torch.tensor(width / 2.0, dtype=torch.float64)) - math.log(width / 2))
    variance = depth * float(torch.special.polygamma(1, torch.tensor(width / 2.0, dtype=torch.float64)))
    z = (found.log_scale[:, 0] - mean) / variance**0.5
    assert float(z.mean()) * networks**0.5 == pytest.approx(0, abs=4.9)  # error rate 1e-6
    assert stats.chi2.cdf(float((z**2).sum()), networks) == pytest.approx(0.5, abs=0.5 - 1e-6)


def test_wide_layers_draw_no_number_twice():
    """Orthonormal points: n times the mean square is χ² of n·width degrees of freedom, across blocks and threads."""
    n, width, networks = 8, 40_000, 150
    found = random_network(
        torch.eye(n), width, 2, recenter=False, rescale=False, activation="linear", networks=networks, depths=[0, 1]
    )
    total = (found.log_scale[:, 1] - found.log_scale[:, 0]).exp() * n * width
    z = (total - n * width) / (2 * n * width) ** 0.5
    assert float(z.mean()) * networks**0.5 == pytest.approx(0, abs=4.9)  # error rate 1e-6
    assert stats.chi2.cdf(float((z**2).sum()), networks) == pytest.approx(0.5, abs=0.5 - 1e-6)


@pytest.mark.parametrize("recentered", [False, True])
@pytest.mark.parametrize("rank", [3, 2])
def test_one_step_back_has_the_moments_of_conditional_weights(recentered, rank):
    """Given X and Z = X Wᵀ (or their recentered versions), δ W is Gaussian with a known mean and covariance."""
    generator = torch.Generator().manual_seed(6)
    n, d, width, draws = 3, 5, 4, 4000
    x = torch.randn(n, rank, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(rank, d, generator=generator, dtype=torch.float64)
    shown = x - x.mean(0) if recentered else x
    z = shown @ torch.randn(width, d, generator=generator, dtype=torch.float64).T
    delta = torch.randn(n, width, generator=generator, dtype=torch.float64)
    mean, covariance = slow.step_back_moments(shown, z, delta)

    def repeated(value: torch.Tensor) -> torch.Tensor:
        return value.expand(draws, *value.shape)

    one, nothing = torch.ones(draws, dtype=torch.float64), torch.zeros(draws, dtype=torch.float64)
    before = State(repeated(x @ x.T / d), nothing, repeated(x))
    passed = Passed(
        plain_layer(), before, repeated(z) * d**-0.5, Units(nothing, one, nothing), recentered, None, None, one, before,
        None,
    )  # fmt: skip
    square = repeated(delta @ delta.T)
    # _by_law takes Z = X Wᵀ/√d and gives δ W/√d
    found = backward._by_law(passed, repeated(delta), square, Streams(0, "test", draws, torch.device("cpu"))) * d**0.5
    error = (covariance.diagonal() / draws).sqrt().view(n, d)
    assert ((found.mean(0) - mean).abs() <= 5 * error + 1e-9).all()
    sampled = torch.cov(found.view(draws, n * d).T)
    spread = (covariance**2 + torch.outer(covariance.diagonal(), covariance.diagonal())).sqrt() / draws**0.5
    assert ((sampled - covariance).abs() <= 5.5 * spread + 1e-9).all()


def plain_layer() -> Layer:
    ((layer,),) = make_layers(
        1, recenter=False, rescale=False, activation="linear", scale="auto", parameters=Parameters(), residual=None,
        branch_scale=1.0, dtype=torch.float64, device=torch.device("cpu"),
    )  # fmt: skip
    return layer
