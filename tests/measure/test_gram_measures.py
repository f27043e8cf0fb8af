"""What every registered measure must do. A new one is covered by its line in the registry and its twin."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.measure import GRAM_MEASURES, gram
from reference import measure as reference

each_measure = pytest.mark.parametrize("name", GRAM_MEASURES)
seeds = st.integers(0, 2**31)

# Exact cases. Columns: mean cosine, orthogonality gap, isometry gap, effective rank, stable rank, rank collapse,
# condition number; odd point's cosine, cluster's cosine, norm ratio, score.
_E1 = [1.0, 0.0]
_P, _Q = 3 / (3 + math.sqrt(3)), math.sqrt(3) / (3 + math.sqrt(3))
HAND_COMPUTED: dict[str, tuple[list[list[float]], list[float]]] = {
    "orthogonal": (
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]],
        [0, 0, 0, 3, 3, 3, 1, 0, 0, 1, 0],
    ),
    "duplicates": (
        [[3.0, 4.0]] * 3,
        [1, math.sqrt(2 / 3), math.inf, 1, 1, 1, math.inf, 1, 1, 1, 0],
    ),
    "two orthogonal points": (
        [[2.0, 0.0], [0.0, 1.0]],
        [0, 0.3 * math.sqrt(2), math.log(1.25), 3 / 2 ** (2 / 3), 1.25, 25 / 17, 2, *[math.nan] * 4],
    ),
    "opposite points": (
        [[1.0, 1.0], [-1.0, -1.0]],
        [-1, math.sqrt(0.5), math.inf, 1, 1, 1, math.inf, *[math.nan] * 4],
    ),
    "cluster and orthogonal point": (
        [_E1, _E1, _E1, [0.0, 3.0]],
        [
            *(0.5, math.sqrt(0.375), math.inf, math.exp(-_P * math.log(_P) - _Q * math.log(_Q)), 12 / 9, 144 / 90),
            *(math.inf, 0, 1, 3, 1),
        ],
    ),
    "cluster and point at 60 degrees": (
        [_E1, _E1, _E1, [1.0, math.sqrt(3)]],
        [0.75, None, math.inf, None, None, None, math.inf, 0.5, 1, 2, 0.5 * 4 / 3],
    ),
    "two equally odd points": (
        [[1.0, 0.0, 0.0]] * 3 + [[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]],
        [0.3, None, math.inf, None, 11 / 4, 121 / (9 + 16 + 16), math.inf, 0, 0.5, 2 / 1.25, 0],
    ),
    "centred": (
        [[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]],
        [-0.5, math.sqrt(1 / 6), math.inf, 2, 2, 2, math.inf, -0.5, -0.5, 1, 0],
    ),
    "one point": ([[3.0, 4.0]], [math.nan, 0, 0, 1, 1, 1, 1, *[math.nan] * 4]),
    "zero row": (
        [[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]],
        [0, None, math.inf, None, 10 / 9, 100 / 82, math.inf, *[math.nan] * 4],
    ),
    "zero row beside a cluster": (
        [[0.0, 0.0], _E1, _E1, [0.0, 3.0]],
        [1 / 3, None, math.inf, None, None, None, math.inf, 0, 1, 3, 1],
    ),
    "all zero": ([[0.0, 0.0]] * 3, [math.nan] * 11),
}
HAND_COLUMNS = [
    *("mean_cosine", "orthogonality_gap", "isometry_gap", "effective_rank", "stable_rank", "rank_collapse"),
    *("condition_number", "odd_cosine", "cluster_cosine", "odd_norm_ratio", "odd_score"),
]


def well_conditioned(seed: int) -> np.ndarray:
    """3 to 8 generic points in more dimensions, norms within a factor of 4, half of the batches in a cone."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(3, 9))
    x = generator.standard_normal((n, n + 24)) + generator.choice([0.0, 1.0]) * generator.standard_normal(n + 24)
    return x * 2.0 ** generator.uniform(-1, 1, (n, 1))


def degenerate(seed: int) -> np.ndarray:
    """Small integers: zero rows, duplicates, parallel and opposite points, ties, too few features, one point."""
    generator = np.random.default_rng(seed)
    n, d = generator.integers(1, 7, 2)
    return generator.integers(-2, 3, (n, d)).astype(np.float64)


def measured(name: str, x: np.ndarray) -> float:
    return GRAM_MEASURES[name](gram(torch.from_numpy(x))).item()


def close(value: float, expected: float, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol, equal_nan=True)


@pytest.mark.parametrize("case", HAND_COMPUTED)
@pytest.mark.parametrize("name", HAND_COLUMNS)
def test_hand_computed(name: str, case: str) -> None:
    x, row = HAND_COMPUTED[case]
    expected = row[HAND_COLUMNS.index(name)]
    if expected is None:  # no short closed form: the twin knows it
        expected = getattr(reference, name)(np.array(x))
    close(measured(name, np.array(x)), expected, rtol=4e-15)


@each_measure
@pytest.mark.parametrize("points", [well_conditioned, degenerate], ids=lambda f: f.__name__)
@given(seed=seeds)
def test_agrees_with_the_twin(name: str, points: Callable[[int], np.ndarray], seed: int) -> None:
    x = points(seed)
    close(measured(name, x), getattr(reference, name)(x))


@each_measure
@given(seed=seeds)
def test_permuting_points_and_rotating_features_change_nothing(name: str, seed: int) -> None:
    x = well_conditioned(seed)
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(generator.standard_normal((x.shape[1], x.shape[1])))
    expected = measured(name, x)
    close(measured(name, generator.permutation(x)), expected)
    close(measured(name, x @ rotation), expected)


@each_measure
@pytest.mark.parametrize("factor", [1e-30, 1e30, 1e-140, 1e150, -3.0])
@given(seed=seeds)
def test_scale_changes_nothing(name: str, factor: float, seed: int) -> None:
    x = well_conditioned(seed)
    close(measured(name, x * factor), measured(name, x), rtol=1e-12)


@each_measure
@pytest.mark.parametrize("exponent", [-100, 100])
def test_scale_of_float32_representations_changes_nothing(name: str, exponent: int, rng: torch.Generator) -> None:
    x = torch.randn(6, 20, generator=rng)
    measure = GRAM_MEASURES[name]
    # About 1e-30 and 1e30, and a power of two, so that float32 itself rounds nothing.
    scaled = x * 2.0**exponent
    assert scaled.dtype == torch.float32
    assert measure(gram(scaled)) == measure(gram(x))


@each_measure
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_scale_of_the_gram_matrix_changes_nothing(name: str, scale: float) -> None:
    g = gram(torch.from_numpy(well_conditioned(1)))
    close(GRAM_MEASURES[name](g * scale).item(), GRAM_MEASURES[name](g).item(), rtol=1e-12)


@each_measure
def test_a_batched_call_is_a_loop_is_a_vmap(name: str, rng: torch.Generator) -> None:
    x = torch.randn(2, 5, 6, 9, generator=rng, dtype=torch.float64)
    x[0, 0, 1] = 0  # a zero row
    x[0, 1] = 0
    x[0, 2, 3] = torch.nan
    x[1, 0, :, 1:] = 0  # all points parallel
    x[1, 1, 2] = torch.inf
    grams = torch.stack([torch.stack([gram(one) for one in row]) for row in x])  # shape: (2, 5, 6, 6)
    measure = GRAM_MEASURES[name]
    loop = torch.stack([torch.stack([measure(g) for g in row]) for row in grams])
    batched = measure(grams)
    assert batched.shape == (2, 5)
    assert batched.dtype == torch.float64
    torch.testing.assert_close(batched, loop, rtol=1e-12, atol=1e-14, equal_nan=True)
    mapped = torch.func.vmap(torch.func.vmap(measure))(grams)
    torch.testing.assert_close(mapped, loop, rtol=1e-12, atol=1e-14, equal_nan=True)
    assert measure(grams[:, :0]).shape == (2, 0)


@each_measure
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, -1.0], ids=str)
def test_what_is_no_gram_matrix_gives_nan(name: str, bad: float, n: int) -> None:
    g = torch.eye(n, dtype=torch.float64)
    g[n - 1, n - 1] = bad
    assert GRAM_MEASURES[name](g).isnan()


@each_measure
@pytest.mark.parametrize("bad", [torch.nan, torch.inf], ids=str)
def test_a_bad_entry_off_the_diagonal_gives_nan(name: str, bad: float) -> None:
    g = torch.eye(4, dtype=torch.float64)
    g[0, 3] = g[3, 0] = bad
    assert GRAM_MEASURES[name](g).isnan()


@each_measure
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_all_zero_gives_nan(name: str, n: int) -> None:
    assert GRAM_MEASURES[name](torch.zeros(n, n)).isnan()


@each_measure
@pytest.mark.parametrize(
    ("g", "error", "message"),
    [
        (torch.eye(3, dtype=torch.int64), TypeError, r"gram: expected a real floating.*int64"),
        (torch.eye(3, dtype=torch.complex64), TypeError, "complex64"),
        (torch.tensor(1.0), ValueError, r"square matrices.*\(\)"),
        (torch.ones(3), ValueError, r"square matrices.*\(3,\)"),
        (torch.ones(2, 3), ValueError, r"square matrices.*\(2, 3\).*gram\(x\)"),
        (torch.ones(4, 0, 0), ValueError, "no points"),
    ],
)
def test_refuses(name: str, g: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GRAM_MEASURES[name](g)


@each_measure
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_narrow_gram_matrices_are_measured_in_float64(name: str, dtype: torch.dtype) -> None:
    narrow = gram(torch.from_numpy(well_conditioned(2))).to(dtype)
    result = GRAM_MEASURES[name](narrow)
    assert result.dtype == torch.float64
    assert result == GRAM_MEASURES[name](narrow.double())


@each_measure
def test_leaves_input_and_random_state_alone(name: str) -> None:
    g = gram(torch.from_numpy(well_conditioned(3)))
    before, state = g.clone(), torch.get_rng_state()
    result = GRAM_MEASURES[name](g)
    assert torch.equal(g, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not result.requires_grad


@each_measure
def test_stays_on_its_device(name: str) -> None:
    """The meta device stands for any other: an operand left on the CPU raises."""
    result = GRAM_MEASURES[name](torch.ones(2, 4, 4, device="meta"))
    assert result.device.type == "meta"
    assert result.shape == (2,)


@each_measure
def test_gradients_are_right(name: str) -> None:
    x = torch.from_numpy(well_conditioned(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: GRAM_MEASURES[name](gram(x)), (x,))


@each_measure
def test_gradients_stay_finite_with_a_zero_row_and_duplicates(name: str) -> None:
    x = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [0.0, 1.0, 3.0]], dtype=torch.float64)
    g = gram(x).requires_grad_()
    GRAM_MEASURES[name](g).backward()
    assert g.grad is not None
    assert g.grad.isfinite().all()
