from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from normscope.measure import gram
from normscope.measure.numerics import power_of_two
from reference import measure as reference

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

HAND_COMPUTED = {
    "orthogonal": ([[2.0, 0.0], [0.0, 4.0]], [[2.0, 0.0], [0.0, 8.0]]),
    "a zero row": ([[0.0, 0.0], [1.0, 3.0]], [[0.0, 0.0], [0.0, 5.0]]),
    "duplicates": ([[1.0, -1.0], [1.0, -1.0]], [[1.0, 1.0], [1.0, 1.0]]),
    "one point": ([[3.0, 4.0, 0.0, 0.0]], [[6.25]]),
    "positions": ([[[1.0], [2.0]], [[3.0], [4.0]]], [[2.5, 5.5], [5.5, 12.5]]),
    "no feature axis": ([2.0, -3.0], [[4.0, -6.0], [-6.0, 9.0]]),
    "no features": ([[], []], [[0.0, 0.0], [0.0, 0.0]]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("x", "expected"), HAND_COMPUTED.values(), ids=HAND_COMPUTED.keys())
def test_hand_computed(x: list[Any], expected: list[Any], dtype: torch.dtype) -> None:
    result = gram(torch.tensor(x, dtype=dtype))
    assert result.dtype == torch.float64
    assert torch.equal(result, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(2, 3, dtype=torch.int64), TypeError, r"x: expected a real floating.*torch\.int64"),
        (torch.ones(2, 3, dtype=torch.bool), TypeError, "bool"),
        (torch.ones(2, 3, dtype=torch.complex64), TypeError, "complex64"),
        (torch.tensor(1.0), ValueError, "0-d tensor has no batch dimension"),
        (torch.ones(0, 3), ValueError, r"\(0, 3\) holds no samples"),
    ],
)
def test_refuses(x: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gram(x)


@given(n=st.integers(1, 6), d=st.integers(1, 40), seed=st.integers(0, 2**31), exponent=st.sampled_from([0, 40, -40]))
def test_agrees_with_the_twin(n: int, d: int, seed: int, exponent: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, d)) * 10.0 ** generator.integers(-abs(exponent), abs(exponent) + 1, (n, 1))
    np.testing.assert_allclose(gram(torch.from_numpy(x)), reference.gram(x), rtol=1e-12, atol=0)


def test_pieces_add_up_and_the_result_is_exactly_symmetric(rng: torch.Generator) -> None:
    x = torch.randn(7, 3, 200_001, generator=rng)  # three pieces, the last one shorter
    flat = x.double().flatten(1)
    torch.testing.assert_close(gram(x), flat @ flat.T / flat.shape[1], rtol=1e-12, atol=1e-12)
    assert torch.equal(gram(x), gram(x).T)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_no_large_copy_at_a_million_features(layout: torch.memory_format) -> None:
    """Besides n·n, nothing made on the way has more than 2^18 elements: x itself has 4 million."""
    largest = 0

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor) and out.untyped_storage().data_ptr() != x.untyped_storage().data_ptr():
                largest = max(largest, out.numel())
            return out

    x = torch.ones(4, 16, 250, 250).to(memory_format=layout)
    with Recorder():
        result = gram(x)
    assert torch.equal(result, torch.ones(4, 4, dtype=torch.float64))
    assert 0 < largest <= 2**18


@pytest.mark.parametrize(
    ("norms", "dtype"),
    [
        ((1e-30, 1e-30), torch.float32),
        ((1e30, 1e-30), torch.float32),
        ((1e-150, 1e-150), torch.float64),
        ((1e150, 1e150), torch.float64),
        ((1e150, 1e-150), torch.float64),
        ((1e-30, 1e30), torch.bfloat16),
    ],
)
def test_holds_what_float64_holds(norms: tuple[float, float], dtype: torch.dtype) -> None:
    x = torch.tensor(norms, dtype=dtype)[:, None] * torch.ones(2, 1000, dtype=dtype)
    a, b = x[:, 0].tolist()
    expected = torch.tensor([[a * a, a * b], [a * b, b * b]], dtype=torch.float64)
    torch.testing.assert_close(gram(x), expected, rtol=1e-13, atol=0)


def test_a_mean_of_squares_near_the_largest_float64_does_not_overflow() -> None:
    x = torch.full((2, 5000), -1e154, dtype=torch.float64)  # 5000 · 1e308 is not a float64
    torch.testing.assert_close(gram(x), torch.full((2, 2), 1e308, dtype=torch.float64), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_bad_feature_spoils_its_row_and_column_only(bad: float, dtype: torch.dtype) -> None:
    x = torch.ones(3, 5, dtype=dtype)
    x[1, 2] = bad
    finite = gram(x).isfinite()
    assert finite.tolist() == [[True, False, True], [False, False, False], [True, False, True]]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        *((1.0, 1.0), (3.0, 2.0), (0.75, 0.5), (5e-324, 5e-324), (1.7e308, 2.0**1023), (1e-310, 2.0**-1030)),
        *((0.0, 1.0), (torch.inf, 1.0), (torch.nan, 1.0)),
    ],
)
def test_power_of_two(x: float, expected: float) -> None:
    assert power_of_two(torch.tensor(x, dtype=torch.float64)).item() == expected


def test_layout_does_not_matter(rng: torch.Generator) -> None:
    x = torch.randn(5, 4, 6, 6, generator=rng)
    expected = gram(x)
    for same in (
        x.to(memory_format=torch.channels_last),
        x.transpose(1, 3).contiguous().transpose(1, 3),
        torch.cat([x, x])[:5],
        x[:, :, None].expand(-1, -1, 3, -1, -1),  # three times the same features: the same mean
    ):
        torch.testing.assert_close(gram(same), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_surroundings_do_not_matter(dtype: torch.dtype, rng: torch.Generator) -> None:
    x = torch.randn(4, 30, generator=rng, dtype=dtype)
    expected = gram(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gram(x), expected)
    with torch.inference_mode():
        assert torch.equal(gram(x), expected)
    assert gram(x.to("meta")).device.type == "meta"


def test_vmap_and_gradients(rng: torch.Generator) -> None:
    x = torch.randn(3, 4, 2, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    batched = torch.func.vmap(gram)(x.detach())
    torch.testing.assert_close(batched, torch.stack([gram(one) for one in x.detach()]))
    assert torch.autograd.gradcheck(gram, (x[0],))
    assert not gram(x.detach()).requires_grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_leaves_input_alone(dtype: torch.dtype, rng: torch.Generator) -> None:
    x = torch.randn(3, 4, generator=rng).to(dtype)
    before, state = x.clone(), torch.get_rng_state()
    gram(x)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
