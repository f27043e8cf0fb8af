from __future__ import annotations

import itertools
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from normscope.nn.functional import decomposed_batch_norm
from reference import nn as reference
from reference.nn import STATISTICS, VARIANTS, Variant

SHAPES = [(4, 3), (3, 2, 4), (2, 3, 2, 3), (2, 2, 2, 1, 2)]
AFFINE = ["none", "weight", "bias", "both"]
TRULY_DECOMPOSED = [v for v in VARIANTS if v != Variant(True, True, "std")]
# The first use of forward mode makes torch script its own decompositions, which torch deprecates.
SCRIPTS = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


def draw(shape: tuple[int, ...], rng: torch.Generator, **kwargs: Any) -> Tensor:
    return (0.7 + 1.5 * torch.randn(shape, generator=rng, dtype=torch.float64)).to(**kwargs)


def draw_affine(affine: str, channels: int, rng: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
    weight = draw((channels,), rng) if affine in ("weight", "both") else None
    return weight, draw((channels,), rng) if affine in ("bias", "both") else None


def draw_running(channels: int, rng: torch.Generator, **kwargs: Any) -> dict[str, Tensor]:
    return {
        "running_mean": draw((channels,), rng, **kwargs),
        "running_var": draw((channels,), rng, **kwargs).square() + 0.5,
        "running_mean_square": draw((channels,), rng, **kwargs).square() + 0.5,
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_training_agrees_with_values_written_out(variant, affine, shape, rng):
    x = draw(shape, rng)
    weight, bias = draw_affine(affine, shape[1], rng)
    running = draw_running(shape[1], rng)
    before = {name: value.clone() for name, value in running.items()}
    y = decomposed_batch_norm(
        x, weight=weight, bias=bias, training=True, momentum=0.3, eps=0.01, **running, **variant._asdict()
    )
    torch.testing.assert_close(y, reference.normalize(x, weight, bias, variant, 0.01))
    statistics = reference.batch_statistics(x)
    for name, value in running.items():
        expected = before[name]
        if name in STATISTICS[variant]:
            expected = 0.7 * expected + 0.3 * torch.tensor(statistics[name], dtype=torch.float64)
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_evaluation_agrees_with_values_written_out(variant, affine, shape, rng):
    x = draw(shape, rng)
    weight, bias = draw_affine(affine, shape[1], rng)
    running = draw_running(shape[1], rng)
    used = {name: running[name] for name in STATISTICS[variant]}
    before = {name: value.clone() for name, value in used.items()}
    y = decomposed_batch_norm(x, weight=weight, bias=bias, eps=0.01, **used, **variant._asdict())
    torch.testing.assert_close(y, reference.normalize(x, weight, bias, variant, 0.01, running))
    assert all(torch.equal(used[name], before[name]) for name in used)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_auto_is_std_when_recentering_and_rms_when_not(variant, rng):
    x = draw((5, 3), rng)
    switches = {"recenter": variant.recenter, "rescale": variant.rescale}
    word = "std" if variant.recenter else "rms"
    auto = decomposed_batch_norm(x, training=True, **switches)
    assert torch.equal(auto, decomposed_batch_norm(x, training=True, scale=word, **switches))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2), (2, 2, 1, 2), (2, 1, 1, 2, 1)], ids=str)
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_first_and_second_derivatives(variant, affine, shape, training, rng):
    running = {} if training else draw_running(shape[1], rng)
    x = draw(shape, rng)
    parameters = [x, *draw_affine(affine, shape[1], rng)]
    present = [p is not None for p in parameters]

    def function(*tensors: Tensor) -> Tensor:
        given_ones = iter(tensors)
        x, weight, bias = (next(given_ones) if p else None for p in present)
        assert x is not None
        return decomposed_batch_norm(
            x, weight=weight, bias=bias, training=training, eps=0.1, **running, **variant._asdict()
        )

    inputs = tuple(p.requires_grad_() for p in parameters if p is not None)
    # The fast mode compares projections of the Jacobians: enough where only the number of dimensions is another.
    assert torch.autograd.gradcheck(function, inputs, fast_mode=len(shape) > 2)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=len(shape) > 2)


@SCRIPTS
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_forward_mode_and_batched_derivatives(variant, rng):
    inputs = tuple(t.requires_grad_() for t in (draw((3, 2, 2), rng), draw((2,), rng), draw((2,), rng)))

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return decomposed_batch_norm(x, weight=weight, bias=bias, training=True, eps=0.1, **variant._asdict())

    assert torch.autograd.gradcheck(
        function, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("create_graph", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_both_backwards_agree_with_autograd_of_the_definition(variant, create_graph, rng):
    inputs = [t.requires_grad_() for t in (draw((3, 4, 3, 2), rng), draw((4,), rng), draw((4,), rng))]
    x, weight, bias = inputs
    dy = draw((3, 4, 3, 2), rng)
    y = decomposed_batch_norm(x, weight=weight, bias=bias, training=True, eps=0.1, **variant._asdict())
    expected = reference.differentiable(x, weight, bias, variant, 0.1)
    for wanted in ([0], [1], [2], [0, 1, 2]):  # also when only some of them need a gradient
        some = [inputs[i] for i in wanted]
        ours = torch.autograd.grad(y, some, dy, create_graph=create_graph, retain_graph=True)
        torch.testing.assert_close(ours, torch.autograd.grad(expected, some, dy, retain_graph=True))


@pytest.mark.parametrize("variant", TRULY_DECOMPOSED, ids=str)
def test_third_derivatives(variant, rng):
    """Those of torch's own batch norm are wrong: it takes the statistics for constants in its second backward."""
    x, direction = draw((3, 2, 2), rng).requires_grad_(), draw((3, 2, 2), rng)

    def third(y: Tensor) -> Tensor:
        derivative = (y.pow(3) + x.pow(3)).sum()  # with a derivative of every order, also where y is linear in x
        for _ in range(3):
            (gradient,) = torch.autograd.grad(derivative, x, create_graph=True)
            derivative = (gradient * direction).sum()
        return gradient

    ours = decomposed_batch_norm(x, training=True, eps=0.1, **variant._asdict())
    torch.testing.assert_close(third(ours), third(reference.differentiable(x, None, None, variant, 0.1)))


@pytest.mark.parametrize("which", range(3), ids=["input", "weight", "bias"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_only_what_requires_a_gradient_gets_one(variant, which, rng):
    tensors = [draw((3, 2), rng), draw((2,), rng), draw((2,), rng)]
    tensors[which].requires_grad_()
    x, weight, bias = tensors
    y = decomposed_batch_norm(x, weight=weight, bias=bias, training=True, **variant._asdict())
    y.square().sum().backward()
    assert [t.grad is not None for t in tensors] == [i == which for i in range(3)]


@pytest.mark.parametrize("affine", [False, True], ids=["plain", "affine"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_saves_no_more_for_backward_than_torch(variant, affine, rng):
    x = draw((4, 8, 5, 5), rng, dtype=torch.float32).requires_grad_()
    parameters = (
        {"weight": torch.ones(8, requires_grad=True), "bias": torch.ones(8, requires_grad=True)} if affine else {}
    )

    def saved_bytes(normalize: Any, **kwargs: Any) -> int:
        storages: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        running = {"running_mean": torch.zeros(8), "running_var": torch.ones(8)}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            y = normalize(x, **running, **parameters, training=True, **kwargs)
        assert y.requires_grad
        return sum(storages.values())

    torchs = saved_bytes(F.batch_norm)
    assert torchs >= x.nbytes
    assert saved_bytes(decomposed_batch_norm, **variant._asdict()) <= torchs


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_graph_keeps_nothing_alive_that_hooks_have_packed_away(variant, rng):
    """As with torch.autograd.graph.save_on_cpu: what was offloaded must be freed here."""
    x = draw((4, 3), rng).requires_grad_() * 1
    reference_to_x = weakref.ref(x)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = decomposed_batch_norm(x, training=True, **variant._asdict())
    del x
    assert y.requires_grad
    assert reference_to_x() is None


@pytest.mark.parametrize("variant", TRULY_DECOMPOSED, ids=str)
@pytest.mark.parametrize("parameters", ["same", "float32"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_once(dtype, parameters, variant, rng):
    """Torch's own batch norm does not, when its parameters are in half precision, too."""
    x = draw((16, 3, 8), rng, dtype=dtype).requires_grad_()
    dy = draw((16, 3, 8), rng, dtype=dtype)
    kind = dtype if parameters == "same" else torch.float32
    weight, bias = (draw((3,), rng, dtype=kind).requires_grad_() for _ in range(2))
    running = draw_running(3, rng, dtype=kind)
    before = {name: value.double() for name, value in running.items()}
    y = decomposed_batch_norm(x, weight=weight, bias=bias, training=True, **running, **variant._asdict())
    y.backward(dy)
    assert y.dtype == x.grad.dtype == dtype
    assert weight.grad.dtype == bias.grad.dtype == kind
    exact = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    expected = reference.differentiable(*exact, variant, 1e-5)
    expected.backward(dy.double())
    for ours, true in zip((y, x.grad, weight.grad, bias.grad), (expected, *(t.grad for t in exact)), strict=True):
        half_a_digit = 0.501 * torch.finfo(ours.dtype).eps
        torch.testing.assert_close(ours.double(), true, rtol=half_a_digit, atol=1e-5 * true.abs().max().item())
    statistics = reference.batch_statistics(x)
    for name in STATISTICS[variant]:
        new = 0.9 * before[name] + 0.1 * torch.tensor(statistics[name], dtype=torch.float64)
        assert running[name].dtype == kind
        rounding = torch.finfo(kind).eps
        torch.testing.assert_close(running[name].double(), new, rtol=rounding, atol=rounding)
    evaluated = decomposed_batch_norm(x, weight=weight, bias=bias, **running, **variant._asdict())
    assert evaluated.dtype == dtype


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_large_mean_leaves_the_scale_its_digits(variant, rng):
    """At a mean of 2000 deviations E[x²] − E[x]² in float32 would have an error of order 1."""
    x = (2000.0 + torch.randn(64, 2, 8, generator=rng)).requires_grad_()
    exact = x.detach().double().requires_grad_()
    dy = torch.randn(64, 2, 8, generator=rng)
    running = {"running_mean": torch.zeros(2), "running_var": torch.ones(2), "running_mean_square": torch.ones(2)}
    y = decomposed_batch_norm(x, training=True, momentum=1.0, **running, **variant._asdict())
    y.backward(dy)
    expected = reference.differentiable(exact, None, None, variant, 1e-5)
    expected.backward(dy.double())
    size = expected.abs().max().item()
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=max(1e-6 * size, 1e-3))
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=1e-3, atol=1e-3 * exact.grad.abs().max().item())
    for name in STATISTICS[variant]:
        true = torch.tensor(reference.batch_statistics(x)[name])
        torch.testing.assert_close(running[name], true, rtol=1e-5, atol=0)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(
    ("shape", "layout"),
    [((2, 3, 4, 5), torch.channels_last), ((2, 3, 4, 2, 3), torch.channels_last_3d)],
    ids=["channels_last", "channels_last_3d"],
)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_keeps_the_memory_format(variant, shape, layout, training, rng):
    running = draw_running(3, rng)
    results = []
    dense, dy, weight = draw(shape, rng), draw(shape, rng), draw((3,), rng)
    for memory_format in (torch.contiguous_format, layout):
        x = dense.to(memory_format=memory_format).detach().requires_grad_()
        y = decomposed_batch_norm(x, weight=weight, training=training, **running, **variant._asdict())
        y.backward(dy.to(memory_format=memory_format))
        assert y.is_contiguous(memory_format=memory_format)
        assert x.grad.is_contiguous(memory_format=memory_format)
        results.append((y, x.grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_strided_input_and_gradient(variant, rng):
    wide = draw((4, 6, 5, 3), rng)
    x = wide[:, ::2].transpose(2, 3).detach().requires_grad_()
    y = decomposed_batch_norm(x, training=True, **variant._asdict())
    dense = x.detach().contiguous().requires_grad_()
    expected = decomposed_batch_norm(dense, training=True, **variant._asdict())
    dy = draw((4, 3, 1, 5), rng).expand(4, 3, 3, 5)
    y.backward(dy)
    expected.backward(dy.contiguous())
    torch.testing.assert_close((y, x.grad), (expected, dense.grad))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_an_inplace_relu_behind_does_not_write_into_the_input(variant, training, rng):
    x = draw((4, 3, 2), rng).requires_grad_()
    before = x.detach().clone()
    y = decomposed_batch_norm(x * 1, training=training, **draw_running(3, rng), **variant._asdict())
    F.relu(y, inplace=True).sum().backward()
    assert y.data_ptr() != x.data_ptr()
    assert torch.equal(x, before)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 2, 2), (3, 5, 0)], ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_empty_batch_is_treated_as_by_torch(variant, shape, training, rng):
    running = draw_running(5, rng)
    before = {name: value.clone() for name, value in running.items()}
    x = draw(shape, rng).requires_grad_()
    weight, bias = (draw((5,), rng).requires_grad_() for _ in range(2))
    y = decomposed_batch_norm(x, weight=weight, bias=bias, training=training, **running, **variant._asdict())
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert not weight.grad.any()
    assert not bias.grad.any()
    assert all(torch.equal(running[name], before[name]) for name in running)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nan_and_inf_stay_in_their_channel(variant, rng):
    x = draw((4, 3), rng)
    x[0, 0], x[0, 1] = torch.nan, torch.inf
    y = decomposed_batch_norm(x, training=True, **variant._asdict())
    assert y[0, 0].isnan()
    assert not y[0, 1].isfinite()
    assert y[:, 2].isfinite().all()


@given(
    seed=st.integers(0, 2**31),
    variant=st.sampled_from(TRULY_DECOMPOSED),
    shape=st.sampled_from([(2, 1), (9, 4), (3, 2, 5), (2, 3, 4, 2)]),
    factor=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
)
def test_invariances(seed, variant, shape, factor, shift):
    rng = torch.Generator().manual_seed(seed)
    x = draw(shape, rng)
    dims = [d for d in range(len(shape)) if d != 1]

    def normalize(x: Tensor) -> Tensor:
        return decomposed_batch_norm(x, training=True, eps=1e-30, **variant._asdict())

    y = normalize(x)
    order = torch.randperm(len(x), generator=rng)
    torch.testing.assert_close(normalize(x[order]), y[order])  # equivariant to the order of the points
    torch.testing.assert_close(normalize(factor * x), y if variant.rescale else factor * y)
    if variant.recenter:
        torch.testing.assert_close(y.mean(dims), torch.zeros(shape[1], dtype=y.dtype), rtol=0, atol=1e-12)
        if not (variant.rescale and variant.scale == "rms"):
            torch.testing.assert_close(normalize(x + shift), y)
    elif variant.rescale:
        second = y.var(dims, correction=0) if variant.scale == "std" else y.square().mean(dims)
        torch.testing.assert_close(second, torch.ones(shape[1], dtype=y.dtype))


def vector(*shape: int, **kwargs: Any) -> Tensor:
    return torch.ones(*shape, **kwargs)


@pytest.mark.parametrize(
    ("variant", "call", "error", "message"),
    [
        (v, call, error, message)
        for v in TRULY_DECOMPOSED
        for call, error, message in [
            ({"input": vector(4)}, ValueError, r"expected at least 2D input \(got 1D input\)"),
            ({"input": vector(4, 3, dtype=torch.int64)}, NotImplementedError, r"torch.int64: convert the input"),
            ({"input": vector(4, 3, dtype=torch.complex64)}, NotImplementedError, r"torch.complex64"),
            ({"weight": vector(2)}, RuntimeError, r"weight should contain 3 elements.*not have shape \(2,\)"),
            ({"bias": vector(3, 1)}, RuntimeError, r"bias should contain 3 elements.*not have shape \(3, 1\)"),
            ({"weight": vector(3, dtype=torch.float64)}, RuntimeError, r"mixed dtype"),
        ]
    ]
    + [
        (v, {name: vector(2), "training": training}, RuntimeError, f"{name} should contain 3 elements")
        for v, training in itertools.product(TRULY_DECOMPOSED, [True, False])
        for name in STATISTICS[v]
    ]
    + [
        (v, {name: None, "training": False}, RuntimeError, f"{name} must be defined in evaluation mode")
        for v in TRULY_DECOMPOSED
        for name in STATISTICS[v]
    ]
    + [
        (
            v,
            {"input": vector(shape), "training": True},
            ValueError,
            "Expected more than 1 value per channel when training",
        )
        for v in TRULY_DECOMPOSED
        if STATISTICS[v]
        for shape in [(1, 3), (1, 3, 1), (1, 3, 1, 1)]
    ]
    + [
        (v, {"eps": eps, "training": training}, ValueError, "eps must be")
        for v in TRULY_DECOMPOSED
        if v.rescale
        for eps, training in [(0.0, True), (-1.0, True), (-1.0, False)]
    ],
)
def test_refuses(variant, call, error, message):
    running = {"running_mean": vector(3), "running_var": vector(3), "running_mean_square": vector(3)}
    accepted = {"input": vector(4, 3), **running, **variant._asdict()}
    decomposed_batch_norm(**accepted)
    with pytest.raises(error, match=message):
        decomposed_batch_norm(**(accepted | call))


def test_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match="scale must be 'auto', 'std' or 'rms', got 'l1'"):
        decomposed_batch_norm(vector(4, 3), training=True, scale="l1")


@pytest.mark.parametrize("variant", [v for v in TRULY_DECOMPOSED if not v.rescale], ids=str)
def test_eps_is_not_used_without_rescaling(variant, rng):
    x = draw((4, 3), rng)
    outputs = [decomposed_batch_norm(x, training=True, eps=eps, **variant._asdict()) for eps in (0.0, 1e-5, 100.0)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (1, 3, 1, 2)], ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_two_values_per_channel_will_do(variant, shape, rng):
    x = draw(shape, rng)
    y = decomposed_batch_norm(x, training=True, **variant._asdict())
    torch.testing.assert_close(y, reference.normalize(x, None, None, variant, 1e-5))


def test_without_any_switch_one_value_per_channel_will_do(rng):
    x = draw((1, 3), rng)
    assert torch.equal(decomposed_batch_norm(x, training=True, recenter=False, rescale=False), x)
