"""Gaussian expectations of activations, against integrals in many digits, quadrature in the plane and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.stats import norm

from normscope.theory.activations.activation import ACTIVATIONS, PiecewiseLinear, activation, leaky_relu
from normscope.theory.activations.arccos import relu_cosine, relu_derivative_cosine
from normscope.theory.activations.numeric_kernel import NumericActivation
from reference import theory as slow

CLOSED = ["linear", "relu", "leaky_relu", "leaky_relu:-0.7", "piecewise_linear:0.3,-2", "abs", "erf", "sin", "step"]
EVERY = [*CLOSED, "tanh", "sigmoid", "softplus", "gelu", "silu", "elu"]
PAIRS = [(1.0, 1.0, 0.3), (1.3, 0.7, 0.5), (0.2, 4.0, -0.8), (2.0, 2.0, -1.99), (1.0, 1.0, 0.9999)]
ANGLES = [1e-12, 1.4e-7, 1e-3, 0.7, math.pi / 2, 3.0, math.pi - 1e-5]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(slow.DIGITS):
        yield


def test_expectations_are_those_of_simulated_gaussians() -> None:
    """E φφ and E (φ − φ)² of all activations and pairs: 15 · 5 · 2 means, all within a familywise error of 1e-6."""
    rng, count = np.random.default_rng(0), 100_000
    bound = norm.isf(1e-6 / (2 * len(EVERY) * len(PAIRS) * 2))
    for v1, v2, c in PAIRS:
        u, w = rng.standard_normal((2, count))
        x, y = math.sqrt(v1) * u, c / math.sqrt(v1) * u + math.sqrt(v2 - c * c / v1) * w
        for name in EVERY:
            phi = activation(name)
            for sample, expected in (
                (phi(x) * phi(y), phi.kernel(v1, v2, c)),
                ((phi(x) - phi(y)) ** 2, phi.distance_kernel(v1, v2, v1 + v2 - 2 * c)),
            ):
                error = sample.std(ddof=1) / math.sqrt(count)
                assert abs(sample.mean() - float(expected)) <= bound * error + 1e-14, (name, v1, v2, c)


@pytest.mark.parametrize("name", slow.HOMOGENEOUS)
@pytest.mark.parametrize(("v1", "v2"), [(1.0, 1.0), (2.5, 0.3)])
def test_homogeneous_kernels_are_integrals_over_angles(name: str, v1: float, v2: float) -> None:
    phi = activation(name)
    for theta in ANGLES:
        angle, first, second = mpf(theta), mpf(v1), mpf(v2)
        product, apart = slow.angle_pair(name, first, second, angle)
        c = mp.sqrt(first * second) * mp.cos(angle)
        d = first + second - 2 * c
        # the step's kernel follows the angle, and that the rounding of c and, between norms that differ, of d
        lost = 1e-16 / math.sin(theta) if name == "step" else 0.0
        scale = math.sqrt(phi.second_moment(v1) * phi.second_moment(v2))
        assert phi.kernel(v1, v2, float(c)) == pytest.approx(float(product), abs=(4e-16 + lost) * scale)
        if not (name == "step" and v1 != v2):
            # of opposite points d holds E(x + y)² to its own rounding only; the others do not look at that
            lost = {"abs": 1e-15 * (v1 + v2), "leaky_relu:-0.7": 1e-15 * (v1 + v2)}.get(name, lost)
            assert phi.distance_kernel(v1, v2, float(d)) == pytest.approx(
                float(apart), rel=1e-13, abs=lost if theta > 3 else 0
            )


@pytest.mark.parametrize("name", ["erf", "sin"])
@pytest.mark.parametrize(
    ("v1", "v2"), [(1.0, 1.0), (1.0, 1 + 1e-8), (2.5, 0.3), (1e-20, 1e-20), (1e-3, 50.0), (90.0, 90.5)]
)
def test_smooth_distances_do_not_cancel(name: str, v1: float, v2: float) -> None:
    """K(v1, v1) + K(v2, v2) − 2 K(v1, v2) in 50 digits, of the textbook formulas."""

    def kernel(a: mpf, b: mpf, c: mpf) -> mpf:
        if name == "sin":
            return mp.exp(-(a + b) / 2) * mp.sinh(c)
        return 2 / mp.pi * mp.asin(2 * c / mp.sqrt((1 + 2 * a) * (1 + 2 * b)))

    a, b = mpf(v1), mpf(v2)
    for theta in ANGLES:
        c = mp.sqrt(a * b) * mp.cos(mpf(theta))
        apart = kernel(a, a, a) + kernel(b, b, b) - 2 * kernel(a, b, c)
        computed = activation(name).distance_kernel(v1, v2, float(a + b - 2 * c))
        assert computed == pytest.approx(float(apart), rel=1e-13)
        assert activation(name).kernel(v1, v2, float(c)) == pytest.approx(float(kernel(a, b, c)), rel=1e-13, abs=1e-16)


@pytest.mark.parametrize("name", ["erf", "sin", "tanh", "sigmoid", "softplus", "gelu", "silu"])
def test_smooth_kernels_are_integrals_over_the_plane(name: str) -> None:
    phi = activation(name)
    for v1, v2, c in [(1.0, 1.0, 0.3), (1.3, 0.7, 0.5), (0.2, 2.0, -0.6)]:
        assert phi.kernel(v1, v2, c) == pytest.approx(slow.plane_mean(phi, v1, v2, c), rel=1e-11)


@pytest.mark.parametrize("name", [name for name in CLOSED if name != "step"])
def test_quadrature_finds_the_closed_forms(name: str) -> None:
    """The numeric route, on kinks and close points too, within 1e-9 and within its own estimate of the error."""
    exact = activation(name)
    numeric = NumericActivation(exact, "twin")
    for v1, v2, c in PAIRS:
        value, error = numeric.kernel_with_error(v1, v2, c)
        scale = float(np.sqrt(exact.second_moment(v1) * exact.second_moment(v2)))
        assert abs(value - exact.kernel(v1, v2, c)) <= min(1e-9 * scale, float(error) + 1e-15 * scale)
        for own, expected in zip(numeric.kernel_gradient(v1, v2, c), exact.kernel_gradient(v1, v2, c), strict=True):
            assert own == pytest.approx(float(expected), rel=1e-7, abs=1e-8)
    for d in (1e-14, 1e-9, 1e-3, 1.0):
        value, error = numeric.distance_kernel_with_error(1.0, 1 + d / 3, d)
        # differences of rounded φ, 1e-16 / √d each, average out over the nodes if only y − x does not add its own
        assert value == pytest.approx(float(exact.distance_kernel(1.0, 1 + d / 3, d)), rel=4e-10)
        assert error < 1e-7 * value


def test_the_error_estimate_knows_a_kink_it_was_not_told_of() -> None:
    """A shifted hard tanh, kinks at −0.5 and 1.5, at r = 0: the square of its mean."""
    phi = activation(lambda x: np.clip(x - 0.5, -1.0, 1.0))
    value, error = phi.kernel_with_error(1.0, 1.0, 0.0)
    # E clip(x − a, −1, 1) in closed form, squared
    first, last = -0.5, 1.5
    inside = norm.pdf(first) - norm.pdf(last) - 0.5 * (norm.cdf(last) - norm.cdf(first))
    mean = inside - norm.cdf(first) + norm.sf(last)
    assert 1e-12 < error < 1e-3
    assert abs(value - mean**2) <= 3 * error


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_differences(name: str) -> None:
    """Central differences of fourth order, and Price's theorem: E φ'φ' by quadrature of φ' where φ' is a function."""
    phi, h = activation(name), 2e-3
    for point in [(1.3, 0.7, 0.5), (0.4, 2.0, -0.6)]:
        gradient = phi.kernel_gradient(*point)
        for k, computed in enumerate(gradient):
            step = np.eye(3)[k] * h
            values = [float(phi.kernel(*(np.array(point) + m * step))) for m in (-2, -1, 1, 2)]
            assert computed == pytest.approx(
                (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h), abs=1e-7
            )
        assert phi.derivative_kernel(*point) == pytest.approx(float(gradient[2]), rel=1e-12)
        if name != "step":
            slopes = NumericActivation(phi.derivative, "slope")
            assert phi.derivative_kernel(*point) == pytest.approx(float(slopes.kernel(*point)), rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_derivative_is_the_derivative(name: str) -> None:
    phi, x, h = activation(name), np.array([-3.1, -1.0, -0.2, 0.3, 1.0, 4.0]), 1e-4
    np.testing.assert_allclose(phi.derivative(x), (phi(x + h) - phi(x - h)) / (2 * h), atol=1e-7)


def test_derivative_of_a_function_is_found() -> None:
    x = np.array([-20.0, -1.0, -1e-3, 1e-6, 0.5, 3.0])
    phi = activation(lambda x: np.where(x > 0, np.sinh(x / 5), 2 * x))
    np.testing.assert_allclose(phi.derivative(x), np.where(x > 0, np.cosh(x / 5) / 5, 2), rtol=1e-8)


@given(
    name=st.sampled_from([name for name in CLOSED if name != "step"]),
    v1=st.floats(1e-6, 1e3),
    ratio=st.floats(1e-3, 1e3),
    r=st.floats(-1, 1),
)
def test_distance_and_kernel_agree(name: str, v1: float, ratio: float, r: float) -> None:
    """E(φ − φ)² = Eφ² + Eφ² − 2Eφφ, symmetric in the points; |E φφ| below the norms (Cauchy and Schwarz)."""
    phi, v2 = activation(name), v1 * ratio
    c = r * math.sqrt(v1 * v2)
    norms = phi.second_moment(v1) + phi.second_moment(v2)
    assert phi.distance_kernel(v1, v2, v1 + v2 - 2 * c) == pytest.approx(
        float(norms - 2 * phi.kernel(v1, v2, c)), abs=1e-13 * norms
    )
    assert phi.kernel(v1, v2, c) == pytest.approx(float(phi.kernel(v2, v1, c)), abs=1e-14 * norms)
    assert abs(phi.kernel(v1, v2, c)) <= np.sqrt(phi.second_moment(v1) * phi.second_moment(v2)) * (1 + 1e-13)


@given(
    name=st.sampled_from(["linear", "relu", "abs", "leaky_relu:0.2", "step"]),
    s=st.floats(1e-8, 1e8),
    r=st.floats(-1, 1),
)
def test_homogeneous_kernels_scale(name: str, s: float, r: float) -> None:
    phi = activation(name)
    assert phi.kernel(s, 2 * s, r * s) == pytest.approx(
        s**phi.degree * float(phi.kernel(1, 2, r)), rel=1e-9, abs=1e-15 * s
    )
    np.testing.assert_allclose(phi(np.array([-s, s])), s**phi.degree * phi(np.array([-1.0, 1.0])))


def test_relu_is_the_arc_cosine_kernel() -> None:
    c = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(2 * activation("relu").kernel(1, 1, c), relu_cosine(c), atol=1e-15)
    np.testing.assert_allclose(2 * activation("relu").derivative_kernel(1, 1, c), relu_derivative_cosine(c), atol=1e-15)
    assert activation("relu").kernel(2.0, 3.0, -math.sqrt(6)) == 0


def test_a_point_at_zero() -> None:
    for name in ("linear", "relu", "abs", "erf", "sin", "step", "tanh"):
        phi = activation(name)
        assert phi.kernel(0, 1, 0) == phi.kernel(0, 0, 0) == phi.second_moment(0) == phi.distance_kernel(0, 0, 0) == 0
        assert phi.distance_kernel(0, 1, 1) == pytest.approx(float(phi.second_moment(1)), rel=1e-12)
    assert activation("sigmoid").kernel(0, 1, 0) == pytest.approx(0.25, rel=1e-12)
    assert np.isnan(activation("relu").kernel_gradient(0, 0, 0)[0])


def test_arguments_broadcast() -> None:
    for name in ("relu", "erf", "sin", "step", "tanh"):
        value = activation(name).kernel(np.ones((3, 1)), np.ones(2), 0.5)
        np.testing.assert_array_equal(value, np.full((3, 2), activation(name).kernel(1, 1, 0.5)))


def test_names() -> None:
    assert all(activation(name) is phi for name, phi in ACTIVATIONS.items())
    assert activation(activation("relu")) is activation("relu")
    assert activation("leaky_relu:0.2") == leaky_relu(0.2) == PiecewiseLinear(0.6, 0.4, "leaky_relu:0.2")
    assert repr(activation("leaky_relu:0.25")) == "activation('leaky_relu:0.25')"
    assert activation(leaky_relu(1 / 3).name) == leaky_relu(1 / 3)
    assert [activation(name).degree for name in ("relu", "step", "erf", "tanh")] == [1, 0, None, None]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: activation("rleu"), ValueError, "unknown activation 'rleu'; choose one of linear, relu, abs"),
        (lambda: activation("leaky_relu:x"), ValueError, "'leaky_relu:x': 'x' is not a number"),
        (lambda: activation("relu:1"), ValueError, "unknown activation 'relu:1'"),
        (lambda: activation(3), TypeError, "a name or an elementwise function, got 3"),
        (lambda: PiecewiseLinear(0.0, 0.0), ValueError, "not both 0"),
        (lambda: activation(lambda x: x.sum()), ValueError, "is not an elementwise function"),
        (lambda: activation(lambda x: x[:1]), ValueError, r"not elementwise: shape \(2, 6\) became \(1, 6\)"),
        (lambda: activation(lambda x: x - x.mean()), ValueError, "depends on the other entries"),
        (lambda: activation(np.sqrt), ValueError, "sqrt is not finite everywhere: at -30 it is nan"),
        (lambda: activation(lambda x: "no"), ValueError, "not an elementwise function of a float64 array"),
        (
            lambda: activation(lambda x: np.exp(x**2)).kernel(1, 1, 0),
            ValueError,
            "not finite everywhere: at -30 it is inf",
        ),
        (
            lambda: activation(lambda x: np.exp(x**2 / 3)).kernel(1, 1, 0.9),
            ValueError,
            "grows too fast for Gaussian input",
        ),
        (lambda: activation("relu").kernel(1, 1, 1.1), ValueError, "variances 1 and 1 have covariance 1.1"),
        (lambda: activation("relu").kernel(-1, 1, 0), ValueError, "at least 0, got -1"),
        (lambda: activation("relu").kernel(np.nan, 1, 0), ValueError, "at least 0, got nan"),
        (
            lambda: activation("erf").distance_kernel(1, 4, 0.5),
            ValueError,
            "variances 1 and 4 have squared distance 0.5",
        ),
    ],
)
def test_bad_input_is_told(call, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
