from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.measure import gradient_coherence
from reference import measure as reference

HAND_COMPUTED = {
    "agree": ([[1.0, -2.0], [3.0, -4.0]], 1.0),
    "cancel": ([[1.0, -2.0], [-1.0, 2.0]], 0.0),
    "half": ([[3.0, 0.0], [-1.0, 0.0]], 0.5),
    "one entry agrees, one cancels": ([[1.0, 1.0], [1.0, -1.0]], 0.5),
    "one sample": ([[5.0, -7.0]], 1.0),
    "scalar gradients": ([3.0, -1.0], 0.5),
    "some samples zero": ([[0.0, 0.0], [2.0, 1.0]], 1.0),
    "all zero": ([[0.0, 0.0], [0.0, 0.0]], math.nan),
    "NaN": ([[1.0, math.nan], [1.0, 1.0]], math.nan),
    "infinite": ([[1.0, math.inf], [1.0, 1.0]], math.nan),
    "opposite infinities": ([[1.0, math.inf], [1.0, -math.inf]], math.nan),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("scale", [1.0, -(2.0**-10)])
@pytest.mark.parametrize(("g", "expected"), HAND_COMPUTED.values(), ids=HAND_COMPUTED.keys())
def test_hand_computed(g: list[list[float]], expected: float, scale: float, dtype: torch.dtype) -> None:
    result = gradient_coherence(torch.tensor(g, dtype=dtype) * scale)
    assert result.dtype == torch.float64
    assert result.shape == ()
    assert result.isnan() if math.isnan(expected) else result == expected


@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), dim=st.integers(0, 3), seed=st.integers(0, 2**31))
def test_agrees_with_the_twin(shape: list[int], dim: int, seed: int) -> None:
    dim %= len(shape)
    g = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    expected = reference.gradient_coherence(g.movedim(dim, 0).double().numpy())
    assert gradient_coherence(g, dim).item() == pytest.approx(expected, rel=1e-13)
    assert gradient_coherence(g, dim - len(shape)) == gradient_coherence(g, dim)
    assert 0 <= gradient_coherence(g, dim) <= 1


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, 1e307])
def test_scale_changes_nothing(scale: float, rng: torch.Generator) -> None:
    g = torch.randn(50, 40, generator=rng, dtype=torch.float64)
    assert gradient_coherence(g * scale).item() == pytest.approx(gradient_coherence(g).item(), rel=1e-12)


def test_rounding_does_not_exceed_one(rng: torch.Generator) -> None:
    for _ in range(100):
        assert 1 - 1e-14 < gradient_coherence(torch.rand(40, 50, generator=rng, dtype=torch.float64)) <= 1


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_sums_that_float64_cannot_hold(sign: float) -> None:
    g = torch.full((50, 3), sign * 1e307, dtype=torch.float64)
    assert gradient_coherence(g).item() == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("exponent", [-100, 100])
def test_scale_of_float32_changes_nothing(exponent: int, rng: torch.Generator) -> None:
    g = torch.randn(50, 40, generator=rng)
    assert gradient_coherence(g * 2.0**exponent) == gradient_coherence(g)


@pytest.mark.parametrize("n", [4, 25, 400])
def test_independent_gaussian_gradients_lie_on_the_reference_line(n: int, rng: torch.Generator) -> None:
    entries = 4000
    value = gradient_coherence(torch.randn(n, entries, generator=rng)).item()
    # |N(0, 1)| has a relative standard deviation of sqrt(π/2 − 1) = 0.76; four standard errors of the mean.
    assert value == pytest.approx(1 / math.sqrt(n), rel=4 * 0.76 / math.sqrt(entries))


def test_pieces_add_up(rng: torch.Generator) -> None:
    g = torch.randn(300, 1700, generator=rng)  # more than 2^18 values
    exact = g.double()
    expected = exact.sum(0).abs().sum() / exact.abs().sum()
    assert gradient_coherence(g).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("g", "dim", "error", "message"),
    [
        (torch.ones(2, 3, dtype=torch.int64), 0, TypeError, "g: expected a real floating.*int64"),
        (torch.ones(2, dtype=torch.complex64), 0, TypeError, "complex64"),
        (torch.tensor(1.0), 0, ValueError, r"\(\) holds no gradients"),
        (torch.ones(0, 3), 0, ValueError, r"\(0, 3\) holds no gradients"),
        (torch.ones(3, 0), 0, ValueError, "holds no gradients"),
        (torch.ones(2, 3), 2, IndexError, r"dim: 2 is not a dimension of g.*\(2, 3\)"),
        (torch.ones(2, 3), -3, IndexError, "dim: -3"),
    ],
)
def test_refuses(g: Tensor, dim: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gradient_coherence(g, dim)


def test_stays_on_its_device() -> None:
    assert gradient_coherence(torch.ones(3, 4, device="meta")).device.type == "meta"


def test_vmap_gradients_and_input_left_alone(rng: torch.Generator) -> None:
    g = torch.randn(3, 5, 4, generator=rng, dtype=torch.float64)
    before = g.clone()
    mapped = torch.func.vmap(gradient_coherence)(g)
    assert torch.equal(g, before)
    torch.testing.assert_close(mapped, torch.stack([gradient_coherence(one) for one in g]))
    assert torch.autograd.gradcheck(gradient_coherence, (g[0].requires_grad_(),))
