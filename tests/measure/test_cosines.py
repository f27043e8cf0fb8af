from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normscope.measure import cosine_matrix, gram, mean_cosine
from reference import measure as reference

NAN = math.nan


@given(n=st.integers(1, 6), seed=st.integers(0, 2**31), spread=st.sampled_from([0, 30, 150]))
def test_agrees_with_the_twin_at_any_mixture_of_norms(n: int, seed: int, spread: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 7, generator=generator, dtype=torch.float64)
    x = x * 10.0 ** (torch.randint(-spread, spread + 1, (n, 1), generator=generator, dtype=torch.float64))
    result = cosine_matrix(gram(x))
    points = x.numpy()
    expected = [[reference.cosine(points[i], points[j]) for j in range(n)] for i in range(n)]
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)
    assert torch.equal(result, result.T)
    assert (result.diagonal() == 1).all()
    assert (result.abs() <= 1).all()


@pytest.mark.parametrize("norm", [1e-30, 0.1, math.sqrt(3), 7.0, 1e30])
def test_duplicates_and_opposites_are_exact(norm: float) -> None:
    x = norm * torch.tensor([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]], dtype=torch.float64)
    assert torch.equal(cosine_matrix(gram(x)), expected)


@pytest.mark.parametrize(
    ("diagonal", "off", "expected"),
    [
        pytest.param((1.0, 0.0), 0.0, [[1, NAN], [NAN, NAN]], id="zero row"),
        pytest.param((1.0, NAN), NAN, [[1, NAN], [NAN, NAN]], id="NaN point"),
        pytest.param((1.0, math.inf), 0.0, [[1, NAN], [NAN, NAN]], id="infinite norm"),
        pytest.param((1.0, -1.0), 0.0, [[1, NAN], [NAN, NAN]], id="negative diagonal"),
        pytest.param((1.0, 1.0), math.inf, [[1, NAN], [NAN, 1]], id="infinite product"),
        pytest.param((1.0, 1.0), 1 + 1e-9, [[1, 1], [1, 1]], id="rounding above 1 is clipped"),
        pytest.param((5e-324, 1e308), 0.0, [[1, 0], [0, 1]], id="ends of the range"),
        pytest.param((1e-300, 1e300), 0.5, [[1, 0.5], [0.5, 1]], id="far apart"),
    ],
)
def test_table(diagonal: tuple[float, float], off: float, expected: list[list[float]]) -> None:
    g = torch.tensor([[diagonal[0], off], [off, diagonal[1]]], dtype=torch.float64)
    want = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(cosine_matrix(g), want, rtol=1e-14, atol=0, equal_nan=True)


def test_batches() -> None:
    g = torch.stack([torch.eye(3), torch.full((3, 3), 4.0)]).expand(5, 2, 3, 3)
    assert torch.equal(cosine_matrix(g), g.double().clamp(max=1))
    assert torch.equal(mean_cosine(g), torch.tensor([0.0, 1.0], dtype=torch.float64).expand(5, 2))


def test_zero_rows_are_left_out_of_the_mean() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    torch.testing.assert_close(mean_cosine(gram(x)).item(), math.sqrt(0.5), rtol=1e-15, atol=0)
    assert mean_cosine(gram(x[:2])).isnan()


@pytest.mark.parametrize(
    ("g", "error"), [(torch.ones(2, 3), ValueError), (torch.ones(2, 2, dtype=torch.int32), TypeError)]
)
def test_refuses(g: torch.Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match="gram: expected"):
        cosine_matrix(g)
