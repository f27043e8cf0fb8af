from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normscope.measure import gram, odd_point
from reference import measure as reference


def cluster_and_point(n: int, cosine: float, position: int, norm: float = 1.0) -> torch.Tensor:
    """n − 1 points at (1, 0) and one at the given cosine to them."""
    x = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat(n, 1)
    x[position] = norm * torch.tensor([cosine, math.sqrt(1 - cosine**2)], dtype=torch.float64)
    return x


@given(
    n=st.integers(3, 12),
    cosine=st.floats(-1, 0.999),
    position=st.integers(0, 11),
    norm=st.sampled_from([1e-30, 0.5, 1.0, 3.0, 1e30]),
)
def test_finds_the_point_beside_a_tight_cluster(n: int, cosine: float, position: int, norm: float) -> None:
    position %= n
    odd = odd_point(gram(cluster_and_point(n, cosine, position, norm)))
    assert odd.index == position
    assert odd.index.dtype == torch.int64
    assert odd.cosine.item() == pytest.approx(cosine, abs=1e-14)
    assert odd.cluster_cosine.item() == pytest.approx(1, abs=1e-14)
    assert odd.norm_ratio.item() == pytest.approx(norm, rel=1e-14)
    assert odd.score.item() == pytest.approx(min(1, (1 - cosine) * n / (n - 1)), abs=1e-13)


@given(seed=st.integers(0, 2**31), integers=st.booleans())
def test_agrees_with_the_twin(seed: int, integers: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, d = torch.randint(1, 8, (2,), generator=generator).tolist()
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    x = x.mul(1.5).round() if integers else x  # integers make ties, duplicates and zero rows
    result = torch.stack([value.double() for value in odd_point(gram(x))])
    expected = torch.tensor(reference.odd_point(x.numpy()), dtype=torch.float64)
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11, equal_nan=True)


SYMMETRIC = {
    "orthogonal": torch.eye(5),
    "duplicates": torch.ones(5, 3),
    "simplex": torch.eye(6) - 1 / 6,
    "two equal clusters": torch.eye(2).repeat_interleave(4, 0),
    "two odd points": torch.tensor([[1.0, 0.0, 0.0]] * 6 + [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "norms alone differ": torch.diag(torch.arange(1.0, 6.0)),
}
for _n in range(3, 20):
    _angle = torch.arange(_n) * math.tau / _n
    SYMMETRIC[f"regular {_n}-gon"] = torch.stack([_angle.cos(), _angle.sin()], 1)


@pytest.mark.parametrize("x", SYMMETRIC.values(), ids=SYMMETRIC.keys())
@pytest.mark.parametrize("scale", [1e-18, 0.1, 1.0])
def test_nobody_stands_out_in_a_symmetric_batch(x: torch.Tensor, scale: float) -> None:
    """In float32, with its rounding."""
    odd = odd_point(gram(x * scale))
    assert odd.index == -1
    assert 0 <= odd.score < 1e-6
    assert odd.cosine.isfinite()
    assert odd.norm_ratio.isfinite()


@pytest.mark.parametrize("cosine", [0.0, -1e-8, 1e-8])
def test_ties_go_to_the_lowest_index(cosine: float) -> None:
    """Also when rounding favours the other. The candidate is still described: 6 and 7 differ in their norms."""
    x = torch.tensor([[1.0, 0.0, 0.0]] * 6 + [[0.0, 5.0, 0.0], [9 * cosine, 0.0, 9.0]])
    odd = odd_point(gram(x))
    assert odd.index == -1
    assert odd.norm_ratio.item() == pytest.approx(5 / (15 / 7))
    assert odd.cluster_cosine.item() == pytest.approx(15 / 21)


def test_a_second_less_odd_point_lowers_the_score() -> None:
    one = cluster_and_point(10, 0.0, 4)
    two = torch.cat([one, torch.tensor([[0.9, -math.sqrt(1 - 0.81)]], dtype=torch.float64)])
    alone, beside = odd_point(gram(one)), odd_point(gram(two))
    assert beside.index == 4
    assert 0.5 < beside.score < alone.score == 1


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(1, 2),
        torch.eye(2),
        torch.zeros(4, 2),
        torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [torch.nan, 0.0]]),
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [torch.inf, 0.0]]),
    ],
    ids=["one point", "two points", "all zero", "two nonzero", "NaN", "infinite"],
)
def test_no_answer(x: torch.Tensor) -> None:
    odd = odd_point(gram(x))
    assert odd.index == -1
    assert all(value.isnan() for value in odd[1:])


def test_batches_and_vmap(rng: torch.Generator) -> None:
    x = torch.randn(4, 6, 5, generator=rng)
    x[1, 0] = torch.nan
    grams = torch.stack([gram(one) for one in x]).reshape(2, 2, 6, 6)
    batched = odd_point(grams)
    mapped = torch.func.vmap(torch.func.vmap(odd_point))(grams)
    singles = [odd_point(g) for g in grams.flatten(0, 1)]
    for name in batched._fields:
        loop = torch.stack([getattr(single, name) for single in singles]).reshape(2, 2)
        torch.testing.assert_close(getattr(batched, name), loop, rtol=1e-13, atol=1e-14, equal_nan=True)
        torch.testing.assert_close(getattr(mapped, name), loop, rtol=1e-13, atol=1e-14, equal_nan=True)
    small = odd_point(grams[..., :2, :2])
    assert small.index.tolist() == [[-1, -1], [-1, -1]]
    assert small.score.shape == (2, 2)


def test_the_two_group_mechanism_of_the_paper() -> None:
    """One recentered random ReLU layer makes two groups of k and n − k points orthogonal, norms (n − k):k."""
    n, width = 12, 20_000
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 30, generator=generator, dtype=torch.float64)[[0] + [1] * (n - 1)]
    z = x @ torch.randn(30, width, generator=generator, dtype=torch.float64)
    odd = odd_point(gram(torch.relu(z - z.mean(0))))
    assert odd.index == 0
    assert abs(odd.cosine) < 1e-12
    assert odd.cluster_cosine == pytest.approx(1, abs=1e-12)
    # The squared norms are means over the width of disjoint halves: 2 % is four standard errors.
    assert odd.norm_ratio.item() == pytest.approx(n - 1, rel=0.02)
    assert odd.score == 1
