"""Overflow and trainable depths, against numbers that are multiplied layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normscope import theory
from normscope.theory.layers.gram_map import GramMap

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(list(DTYPES)),
    growth=st.one_of(st.floats(0.05, 0.98), st.floats(1.02, 20)),
    start=st.floats(1e-3, 1e3),
)
def test_overflow_is_where_a_number_leaves_its_format(dtype: str, growth: float, start: float) -> None:
    depth = theory.overflow_depth(growth, dtype, start)
    limits = torch.finfo(DTYPES[dtype])
    smallest = limits.smallest_normal * limits.eps  # the smallest subnormal

    def fits(layers: float) -> bool:
        value = start * growth ** (layers / 2)
        return value <= limits.max * (1 + 1e-12) if growth > 1 else value >= smallest * (1 - 1e-12)

    assert depth == int(depth)
    assert fits(depth - 1)
    assert not fits(depth + 1e-6)


def test_overflow_by_hand() -> None:
    # the 16th doubling overflows, as 2^15 < 65504 < 2^16; the 25th halving is 0, as 2^-24 is the smallest half
    assert theory.overflow_depth(4, "float16") == 16
    assert theory.overflow_depth(1 / 4, "float16") == 25
    assert theory.overflow_depth(1 / 4, "bfloat16") == 134
    assert theory.overflow_depth(4, "float32") == 128
    assert theory.overflow_depth(1.0) == math.inf
    with np.errstate(over="ignore"):
        assert np.isinf(np.float16(2.0**16))
    assert np.float16(2.0**-24) > 0
    assert np.float16(2.0**-25) == 0


def test_batch_normalization_and_half_precision() -> None:
    """BN + ReLU in plain networks: from 58 layers on an entry of size 1 is beyond float16."""
    growth = GramMap(True, True, "relu").gradient_growth(10**6)
    assert theory.overflow_depth(growth, "float16") == math.floor(2 * math.log(65504) / math.log(growth)) + 1


def test_trainable_depth_by_hand() -> None:
    depths = theory.trainable_depth(math.e, math.exp(-1 / 3))
    assert depths == pytest.approx((1, 3, 6))
    assert theory.trainable_depth(1 / math.e, 1.0, span=2) == pytest.approx((1, math.inf, 2))
    assert theory.trainable_depth(1.0, 0.0) == pytest.approx((math.inf, 0, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.overflow_depth(2, "int8"), "unknown number format 'int8': choose one of float16"),
        (lambda: theory.overflow_depth(0), "growth is positive and finite, got 0"),
        (lambda: theory.overflow_depth(2, start=math.nan), "start is positive and finite, got nan"),
        (lambda: theory.overflow_depth(2, start=1e6), "outside the range of float16"),
        (lambda: theory.trainable_depth(-1), "growth is positive and finite, got -1"),
        (lambda: theory.trainable_depth(2, -0.5), "rate is at least 0, got -0.5"),
        (lambda: theory.trainable_depth(2, 0.5, 0), "span is positive and finite, got 0"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
