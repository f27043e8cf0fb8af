from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from normscope.measure import (
    condition_number,
    effective_rank,
    eigenvalues,
    gram,
    isometry_gap,
    orthogonality_gap,
    rank_collapse,
    stable_rank,
)

TAKING_EIGENVALUES = [isometry_gap, effective_rank, stable_rank, condition_number]


def with_singular_values(sigma: list[float], rng: torch.Generator, d: int = 30) -> Tensor:
    n = len(sigma)
    left, _ = torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(d, n, generator=rng, dtype=torch.float64))
    return left @ torch.diag(torch.tensor(sigma, dtype=torch.float64)) @ right.T


@pytest.mark.parametrize("scale", [1e-300, 1e-60, 1.0, 1e60, 1e300])
def test_eigenvalues_ascend_in_units_of_the_gram_matrix(scale: float) -> None:
    g = scale * torch.tensor([[[2.0, 1.0], [1.0, 2.0]], [[5.0, 0.0], [0.0, 4.0]]], dtype=torch.float64)
    expected = scale * torch.tensor([[1.0, 3.0], [4.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(eigenvalues(g), expected, rtol=1e-15, atol=0)


def test_eigenvalues_of_a_singular_matrix_are_clipped_at_zero(rng: torch.Generator) -> None:
    g = gram(torch.randn(12, 3, generator=rng))
    assert torch.linalg.eigvalsh(g).min() < 0  # rounding, which the clip is there for
    found = eigenvalues(g)
    assert found.min() == 0
    assert (found > 1e-12).sum() == 3


def test_eigenvalues_of_what_is_no_gram_matrix_are_nan_and_its_neighbours_are_not() -> None:
    g = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    g[0, 1, 1] = torch.nan
    g[1, 0, 0] = -1
    found = eigenvalues(g)
    assert found[:2].isnan().all()
    assert torch.equal(found[2], torch.ones(3, dtype=torch.float64))
    assert torch.equal(eigenvalues(torch.zeros(2, 2)), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("measure", TAKING_EIGENVALUES)
def test_known_eigenvalues_are_used(measure, rng: torch.Generator) -> None:
    g = gram(torch.randn(4, 6, 9, generator=rng).flatten(0, 1)).reshape(4, 6, 4, 6).diagonal(dim1=0, dim2=2)
    g = g.permute(2, 0, 1)  # shape: (4, 6, 6)
    known = eigenvalues(g)
    torch.testing.assert_close(measure(g, eigenvalues=known), measure(g), rtol=1e-13, atol=1e-14)
    # Up to a factor and in any dtype; and these, not those of the matrix, are what counts.
    torch.testing.assert_close(measure(g, eigenvalues=known * 1e-40), measure(g), rtol=1e-13, atol=1e-14)
    assert torch.equal(measure(g, eigenvalues=torch.ones(4, 6)), measure(torch.eye(6).expand(4, 6, 6)))


@pytest.mark.parametrize("measure", TAKING_EIGENVALUES)
@pytest.mark.parametrize(
    ("known", "error", "message"),
    [
        (torch.ones(2), ValueError, r"eigenvalues: shape \(2,\).*expected \(3,\)"),
        (torch.ones(3, 3), ValueError, r"shape \(3, 3\)"),
        (torch.ones(3, dtype=torch.int64), TypeError, "eigenvalues: expected a real floating"),
    ],
)
def test_refuses_eigenvalues_of_something_else(measure, known: Tensor, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        measure(torch.eye(3), eigenvalues=known)


@pytest.mark.parametrize("measure", [isometry_gap, condition_number])
@pytest.mark.parametrize("rtol", [-1e-3, 1.0, math.nan, math.inf])
def test_refuses_a_tolerance_out_of_range(measure, rtol: float) -> None:
    with pytest.raises(ValueError, match="rtol: expected a number in"):
        measure(torch.eye(3), rtol=rtol)


@pytest.mark.parametrize("measure", [isometry_gap, condition_number])
@pytest.mark.parametrize("n", [4, 32, 128])
@pytest.mark.parametrize("mean", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("how", ["subtract", "batch_norm"])
def test_a_centred_float32_batch_is_singular(measure, n: int, mean: float, how: str, rng: torch.Generator) -> None:
    x = torch.randn(n, 512, generator=rng) + mean * (2 * torch.rand(512, generator=rng) - 1)
    batch_norm = torch.nn.functional.batch_norm
    centred = x - x.mean(0) if how == "subtract" else batch_norm(x, None, None, training=True)
    assert measure(gram(centred)) == math.inf
    assert measure(gram(x)).isfinite()


@pytest.mark.parametrize("measure", [isometry_gap, condition_number])
def test_singular_is_judged_by_the_tolerance(measure, rng: torch.Generator) -> None:
    x = with_singular_values([1.0, 1.0, 1.0, 1e-5], rng)  # λ_min / λ_max = 1e-10
    g = gram(x)
    assert measure(g).isfinite()
    assert measure(g, rtol=2e-10) == math.inf
    finer = gram(with_singular_values([1.0, 1.0, 1.0, 1e-6], rng))  # 1e-12 < 4 · 1e-12
    assert measure(finer) == math.inf
    assert measure(finer, rtol=1e-14).isfinite()


@pytest.mark.parametrize("measure", [isometry_gap, condition_number])
def test_the_tolerance_itself_is_singular(measure) -> None:
    at_tolerance = torch.tensor([0.125, 1.0, 1.0])
    assert measure(torch.eye(3), eigenvalues=at_tolerance, rtol=0.125) == math.inf
    assert measure(torch.eye(3), eigenvalues=at_tolerance, rtol=0.1249).isfinite()


def test_rounding_does_not_make_the_isometry_gap_negative(rng: torch.Generator) -> None:
    known = 1 - 2.0**-52 * torch.randint(0, 9, (1000, 7), generator=rng, dtype=torch.float64)
    gap = isometry_gap(torch.eye(7).expand(1000, 7, 7), eigenvalues=known)
    assert gap.min() == 0
    assert gap.max() < 1e-14


def test_known_spectrum(rng: torch.Generator) -> None:
    sigma = [4.0, 2.0, 1.0, 1.0]
    g = gram(with_singular_values(sigma, rng))
    p = [s / 8 for s in sigma]
    entropy = -sum(v * math.log(v) for v in p)
    gap = math.log(22 / 4) - math.log(16 * 4) / 4
    orthogonality = math.sqrt(sum((s**2 / 22 - 1 / 4) ** 2 for s in sigma))
    for value, expected in [
        (condition_number(g), 4),
        (stable_rank(g), 22 / 16),
        (rank_collapse(g), 22**2 / (256 + 16 + 1 + 1)),
        (effective_rank(g), math.exp(entropy)),
        (isometry_gap(g), gap),
        (orthogonality_gap(g), orthogonality),
    ]:
        assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_rounding_does_not_add_to_the_rank(n: int, rng: torch.Generator) -> None:
    """The root of an eigenvalue of 1e-17 is 3e-9, times n, times its log: that would show."""
    direction = torch.randn(1, 50, generator=rng, dtype=torch.float64)
    g = gram(torch.randn(n, 1, generator=rng, dtype=torch.float64) @ direction)
    assert effective_rank(g).item() == pytest.approx(1, abs=1e-14)
    assert 1 <= effective_rank(g) <= stable_rank(g) + 1e-14


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_bounds_are_attained(n: int) -> None:
    parallel, orthogonal = torch.ones(n, n), torch.eye(n)
    assert orthogonality_gap(orthogonal) == pytest.approx(0, abs=1e-15)
    assert orthogonality_gap(parallel).item() == pytest.approx(math.sqrt(1 - 1 / n), rel=1e-13)
    assert isometry_gap(orthogonal) == 0
    for rank in (effective_rank, stable_rank, rank_collapse):
        assert rank(orthogonal).item() == pytest.approx(n, rel=1e-14)
        assert rank(parallel).item() == pytest.approx(1, rel=1e-13)
