"""Explicit weights against a plain network in float64 with the same matrices, forward and backward."""

from __future__ import annotations

import itertools

import pytest
import torch

from normscope.models import ACTIVATIONS
from normscope.simulate import WEIGHTS, Parameters, random_network
from normscope.simulate.streams import Streams
from reference import simulate as slow

N, D, WIDTH, DEPTH = 5, 4, 7, 4
SWITCHES = list(itertools.product([False, True], [False, True]))


class Recorded:
    """A law of weights that remembers what it drew."""

    def __init__(self) -> None:
        self.drawn: list[torch.Tensor] = []

    def __call__(self, matrix: torch.Tensor, generator: torch.Generator) -> None:
        matrix.normal_(generator=generator)
        self.drawn.append(matrix.clone())

    def by_layer(self, residual: str | None) -> list[list[torch.Tensor]]:
        if residual != "projected":
            return [[matrix] for matrix in self.drawn]
        pairs = zip(self.drawn[1::2], self.drawn[2::2], strict=True)
        return [self.drawn[:1], *([first, second] for first, second in pairs)]


def compare(points: torch.Tensor, **options: object) -> None:
    constants = {name: options.pop(name) for name in ("weight_std", "gain", "shift") if name in options}
    law = Recorded()
    parameters = Parameters(weights=law, **constants)
    found = random_network(
        points, WIDTH, DEPTH, method="weights", dtype=torch.float64, gradients=True, parameters=parameters, **options
    )
    activation = options.pop("activation")
    function = ACTIVATIONS[activation]() if isinstance(activation, str) else activation
    residual = options.get("residual")
    states, weights = slow.network(points.double(), law.by_layer(residual), activation=function, **constants, **options)
    for t, state in enumerate(states):
        true = slow.gram(state.detach())
        torch.testing.assert_close(found.gram[0, t] * found.log_scale[0, t].exp(), true, rtol=1e-10, atol=1e-14)
        assert found.gram[0, t].trace() == pytest.approx(N)
    grads, norms = slow.gradients(states, weights, last_cotangent())
    for t, grad in enumerate(grads):
        ours = found.grad_gram[0, t] * found.grad_log_scale[0, t].exp()
        torch.testing.assert_close(ours, grad @ grad.T, rtol=1e-8, atol=1e-12 * float((grad**2).sum()))
    torch.testing.assert_close(found.weight_grad_log_norm2[0].exp(), torch.tensor(norms, dtype=torch.float64))


def last_cotangent() -> torch.Tensor:
    """The random linear function of the last features that seed 0 draws for the first network."""
    normals = torch.empty(1, N, WIDTH, dtype=torch.float64)
    streams = Streams(0, "weights backward", 1, torch.device("cpu"))
    return streams.normal_(normals, slice(None))[0] * WIDTH**-0.5


@pytest.fixture
def points() -> torch.Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize(("recenter", "rescale"), SWITCHES)
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_all_combinations(points, recenter, rescale, activation):
    compare(points, recenter=recenter, rescale=rescale, activation=activation)


@pytest.mark.parametrize("scale", ["std", "rms"])
@pytest.mark.parametrize("recenter", [False, True])
def test_scales(points, recenter, scale):
    compare(points, recenter=recenter, rescale=True, activation="relu", scale=scale)


@pytest.mark.parametrize("residual", ["activated", "inside", "projected"])
@pytest.mark.parametrize(("recenter", "rescale"), SWITCHES)
def test_residual_forms(points, recenter, rescale, residual):
    compare(points, recenter=recenter, rescale=rescale, activation="leaky_relu", residual=residual, branch_scale=0.7)


@pytest.mark.parametrize(("recenter", "rescale"), SWITCHES)
def test_weights_and_gains(points, recenter, rescale):
    compare(points, recenter=recenter, rescale=rescale, activation=torch.tanh, weight_std=1.3, gain=-0.8, shift=0.4)


def test_scale_of_the_input_is_carried(points):
    options = {"recenter": True, "rescale": False, "method": "weights", "dtype": torch.float64}
    plain = random_network(points, WIDTH, DEPTH, **options)
    huge, tiny = (random_network(points * s, WIDTH, DEPTH, **options) for s in (1e200, 1e-200))
    for other, log in ((huge, 400), (tiny, -400)):
        torch.testing.assert_close(other.gram, plain.gram)
        torch.testing.assert_close(
            other.log_scale, plain.log_scale + log * torch.tensor(10.0, dtype=torch.float64).log()
        )


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)])
def test_laws_of_weights_have_mean_square_one(name, shape):
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(shape, dtype=torch.float64)
    for _ in range(400):
        matrix = torch.empty(shape, dtype=torch.float64)
        WEIGHTS[name](matrix, generator)
        total += matrix**2
    # entries of variance at most 2 (uniform 0.8, Gaussian 2, Haar below): 400 · 16 of them, five standard errors
    assert float(total.mean() / 400) == pytest.approx(1, abs=5 * (2 / (400 * 36)) ** 0.5)


def test_haar_weights_keep_a_linear_network_isometric(points):
    options = {"recenter": False, "rescale": False, "activation": "linear", "method": "weights"}
    haar = random_network(
        points @ torch.eye(D, WIDTH, dtype=torch.float64), WIDTH, 50, parameters=Parameters(weights="haar"), **options
    )
    torch.testing.assert_close(haar.gram[0, -1], haar.gram[0, 0], rtol=0, atol=1e-4)
    gaussian = random_network(points, WIDTH, 50, **options)
    assert (gaussian.gram[0, -1] - gaussian.gram[0, 0]).abs().max() > 0.1


def test_gram_matrix_in_place_of_points(points):
    gram = points @ points.T
    options = {"recenter": True, "rescale": True, "seed": 4}
    by_gram, by_points = (random_network(inputs, 50, 3, **options) for inputs in (gram, points))
    torch.testing.assert_close(by_gram.gram, by_points.gram, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(by_gram.log_scale[:, 0], by_points.log_scale[:, 0] + torch.tensor(float(D)).log())
