"""The way back through one layer, against automatic differentiation, and its quadrature against itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from normscope.theory.activations.activation import activation
from normscope.theory.backward.backward import Backward, PlainBackward, TiltedBackward, centred
from normscope.theory.groups.groups import GroupMatrix
from reference.gradients import sampled_second_moment

N = 7
LAYERS = [
    (recenter, rescale, phi)
    for recenter in (True, False)
    for rescale in (True, False)
    for phi in ("relu", "leaky_relu:0.2", "abs", *(() if rescale else ("erf", "tanh")))
]
DRAWS = 60_000
FAMILYWISE = 1e-6  # chance that a right law fails anywhere in `test_second_moments...`


def dense(matrix: np.ndarray) -> GroupMatrix:
    """Any symmetric matrix, as groups of one point."""
    return GroupMatrix(np.ones(len(matrix)), np.zeros(len(matrix)), matrix)


def backward(gram: GroupMatrix, phi: str, *, recenter: bool, rescale: bool) -> Backward:
    kind = TiltedBackward if rescale else PlainBackward
    return kind(centred(gram) if recenter else gram, activation(phi), recenter=recenter)


def random_psd(n: int, rank: int, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).standard_normal((n, rank))
    return factor @ factor.T


@pytest.mark.parametrize(("recenter", "rescale", "phi"), LAYERS)
def test_second_moments_are_those_of_automatic_differentiation(recenter: bool, rescale: bool, phi: str) -> None:
    gram, moment = random_psd(N, N, 0) + 0.3, random_psd(N, 2, 1)
    expected = backward(dense(gram), phi, recenter=recenter, rescale=rescale)(dense(moment)).quotient
    mean, error = sampled_second_moment(gram, moment, phi, DRAWS, 2, recenter=recenter, rescale=rescale)
    comparisons = len(LAYERS) * N * (N + 1) / 2
    assert np.abs((mean - expected) / error).max() < stats.norm.isf(FAMILYWISE / 2 / comparisons)
    assert error.max() < 0.05 * np.abs(expected).max()  # so that a wrong factor shows


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e12])
@pytest.mark.parametrize("recenter", [True, False])
@pytest.mark.parametrize("phi", ["relu", "abs"])
def test_quadrature_does_not_depend_on_its_step(spread: float, recenter: bool, phi: str) -> None:
    """Eigenvalues of C over up to twelve decades."""
    basis = np.linalg.qr(random_psd(6, 6, 3)).Q
    gram = dense((basis * np.geomspace(1, 1 / spread, 6)) @ basis.T)
    pre = centred(gram) if recenter else gram
    coarse, fine = (TiltedBackward(pre, activation(phi), recenter=recenter, step=h) for h in (0.2, 0.05))
    moment = dense(random_psd(6, 6, 4))
    after = fine(moment).quotient
    np.testing.assert_allclose(coarse(moment).quotient, after, rtol=0, atol=1e-10 * np.abs(after).max())


@pytest.mark.parametrize(("recenter", "rescale", "phi"), LAYERS)
def test_groups_are_what_their_dense_matrices_are(recenter: bool, rescale: bool, phi: str) -> None:
    sizes = np.array([1.0, 3.0, 2.0])
    gram = GroupMatrix(sizes, np.array([0.0, 0.7, 1.3]), random_psd(3, 3, 5) + np.eye(3))
    moment = GroupMatrix(sizes, np.array([0.0, 2.0, 0.4]), random_psd(3, 2, 6))
    by_groups = backward(gram, phi, recenter=recenter, rescale=rescale)(moment)
    whole = backward(dense(gram.dense()), phi, recenter=recenter, rescale=rescale)(dense(moment.dense()))
    np.testing.assert_allclose(by_groups.dense(), whole.quotient, rtol=1e-9, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(layer=st.sampled_from(LAYERS), rank=st.integers(4, 9), seed=st.integers(0, 2**32 - 1))
def test_second_moments_stay_positive_and_follow_permutations(
    layer: tuple[bool, bool, str], rank: int, seed: int
) -> None:
    recenter, rescale, phi = layer
    generator = np.random.default_rng(seed)
    gram, moment = random_psd(6, rank, seed), random_psd(6, 1, seed + 1)
    order = generator.permutation(6)

    def push(g: np.ndarray, m: np.ndarray) -> np.ndarray:
        return backward(dense(g), phi, recenter=recenter, rescale=rescale)(dense(m)).quotient

    after = push(gram, moment)
    assert np.linalg.eigvalsh(after).min() >= -1e-9 * np.abs(after).max()
    shuffled = push(gram[np.ix_(order, order)], moment[np.ix_(order, order)])
    np.testing.assert_allclose(shuffled, after[np.ix_(order, order)], rtol=1e-7, atol=1e-8 * np.abs(after).max())
    if recenter:
        np.testing.assert_allclose(after.sum(0), 0, atol=1e-10 * np.abs(after).max())


def test_rescaling_gives_the_forward_map_too() -> None:
    """E ẑẑᵀ of a linear layer, by sampling."""
    gram = random_psd(5, 5, 7)
    z = np.linalg.cholesky(gram) @ np.random.default_rng(8).standard_normal((5, 200_000))
    z *= np.sqrt(5) / np.linalg.norm(z, axis=0)
    products = z[:, None] * z[None, :]
    error = products.std(-1) / np.sqrt(z.shape[1])
    expected = TiltedBackward(dense(gram), activation("linear"), recenter=False).forward().quotient
    assert (np.abs(products.mean(-1) - expected) / error).max() < stats.norm.isf(FAMILYWISE / 2 / 15)


@pytest.mark.parametrize("rank", [1, 2])
def test_too_few_directions_are_told(rank: int) -> None:
    with pytest.raises(ValueError, match=f"spans {rank} of the at least 3 directions"):
        TiltedBackward(dense(random_psd(6, rank, 9)), activation("relu"), recenter=False)
