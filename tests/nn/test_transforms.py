"""Decomposed layers under torch.compile and torch.func."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

from normscope.nn import DecomposedBatchNorm1d, DecomposedBatchNorm2d
from normscope.nn.functional import decomposed_batch_norm
from reference import nn as reference
from reference.nn import STATISTICS, VARIANTS, Variant

TRULY_DECOMPOSED = [v for v in VARIANTS if v != Variant(True, True, "std")]
# Parts of torch script functions when they are first used, which torch deprecates.
SCRIPTS = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


def draw(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return 0.5 + torch.randn(shape, generator=rng, dtype=torch.float64)


def step(layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Output, gradients, and the state after a step in training, and the output in evaluation."""
    x = x.detach().clone().requires_grad_()
    y = layer.train()(x)
    gradients = torch.autograd.grad(y.pow(3).sum(), [x, *layer.parameters()])
    return y, *gradients, *(v.clone() for v in layer.state_dict().values()), layer.eval()(x)


# torch itself can not compile momentum=None with both on, which reads the count on the host.
@pytest.mark.parametrize(("variant", "momentum"), [(v, 0.1) for v in VARIANTS] + [(v, None) for v in TRULY_DECOMPOSED])
def test_compiles_to_one_graph(variant, momentum, rng):
    torch.compiler.reset()
    layer = DecomposedBatchNorm2d(3, momentum=momentum, dtype=torch.float64, **variant._asdict())
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    for _ in range(2):
        x = draw((2, 3, 4, 4), rng)
        torch.testing.assert_close(step(compiled, x), step(layer, x))


@SCRIPTS
@pytest.mark.parametrize("variant", [Variant(True, False, "std"), Variant(False, True, "rms")], ids=str)
def test_compiles_with_the_decompositions_and_partitioner_of_inductor(variant, rng):
    """All of inductor but its C++, which takes a minute."""
    torch.compiler.reset()
    layer = DecomposedBatchNorm2d(3, **variant._asdict())
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager_decomp_partition")
    x = draw((2, 3, 4, 4), rng).float()
    torch.testing.assert_close(step(compiled, x), step(layer, x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("variant", TRULY_DECOMPOSED, ids=str)
def test_compiled_layers_return_the_dtype_of_the_input(variant, dtype, rng):
    torch.compiler.reset()
    layer = DecomposedBatchNorm1d(3, **variant._asdict())
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend="aot_eager")
    x = draw((8, 3), rng).to(dtype)
    ours, expected = step(compiled, x), step(layer, x)
    assert [t.dtype for t in ours] == [t.dtype for t in expected]
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("shared_input", [True, False], ids=["one input", "an input each"])
def test_an_ensemble_by_vmap(variant, shared_input, rng):
    """Outputs, gradients and running statistics of a stacked ensemble are those of its members."""
    members = [DecomposedBatchNorm1d(3, dtype=torch.float64, **variant._asdict()) for _ in range(4)]
    for member in members:
        for parameter in member.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5, generator=rng)
        for name in STATISTICS[variant]:
            getattr(member, name).copy_(torch.rand(3, generator=rng) + 0.5)
    x = draw((5, 3, 2), rng) if shared_input else draw((4, 5, 3, 2), rng)
    x.requires_grad_()
    for training in (True, False):
        for member in members:
            member.train(training)
        parameters, buffers = stack_module_state(members)
        skeleton = copy.deepcopy(members[0]).to("meta")

        def run(parameters, buffers, x, skeleton=skeleton):
            return functional_call(skeleton, (parameters, buffers), x)

        y = vmap(run, in_dims=(0, 0, None if shared_input else 0))(parameters, buffers, x)
        expected = torch.stack([m(x if shared_input else x[i]) for i, m in enumerate(members)])
        torch.testing.assert_close(y, expected)
        ours = torch.autograd.grad(y.pow(3).sum(), [x, *parameters.values()], retain_graph=True)
        theirs = torch.autograd.grad(expected.pow(3).sum(), [x, *(p for m in members for p in m.parameters())])
        torch.testing.assert_close(ours[0], theirs[0])
        names = [name for name, _ in members[0].named_parameters()]
        for i, name in enumerate(names):
            torch.testing.assert_close(ours[1 + i], torch.stack(theirs[1 + i :: len(names)]), msg=name)
        for name, value in buffers.items():
            torch.testing.assert_close(value, torch.stack([m.state_dict()[name] for m in members]), msg=name)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_vmap_over_any_dimension_of_some_arguments(variant, rng):
    x, weight, bias = draw((5, 3, 2), rng), draw((3,), rng), draw((3,), rng)
    many = draw((5, 3, 4, 2), rng), draw((3, 4), rng), draw((4, 3), rng)

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return decomposed_batch_norm(x, weight=weight, bias=bias, training=True, **variant._asdict())

    for arguments, dims in [
        ((many[0], weight, bias), (2, None, None)),
        ((x, many[1], bias), (None, 1, None)),
        ((x, weight, many[2]), (None, None, 0)),
        ((many[0], many[1], many[2]), (2, 1, 0)),
    ]:
        pieces = [
            run(*(a if d is None else a.select(d, i) for a, d in zip(arguments, dims, strict=True))) for i in range(4)
        ]
        torch.testing.assert_close(vmap(run, in_dims=dims)(*arguments), torch.stack(pieces))
        nested = vmap(vmap(run, in_dims=dims), in_dims=(0, None, None))(
            torch.stack([arguments[0], 2 * arguments[0]]), *arguments[1:]
        )
        torch.testing.assert_close(nested[0], torch.stack(pieces))


@SCRIPTS
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_functional_derivatives(variant, rng):
    x, direction = draw((3, 2, 2), rng), draw((3, 2, 2), rng)

    def ours(x: Tensor) -> Tensor:
        return decomposed_batch_norm(x, training=True, eps=0.1, **variant._asdict())

    def definition(x: Tensor) -> Tensor:
        return reference.differentiable(x, None, None, variant, 0.1)

    for transform in (jacrev, jacfwd, lambda f: lambda x: jvp(f, (x,), (direction,))[1]):
        torch.testing.assert_close(transform(ours)(x), transform(definition)(x))
    for transform in (grad, hessian, lambda f: jacrev(jacrev(f)), lambda f: vmap(grad(f))):
        x_or_batch = torch.stack([x, 2 * x]) if "vmap" in transform.__code__.co_names else x
        results = [transform(lambda x, f=f: f(x).pow(3).sum())(x_or_batch) for f in (ours, definition)]
        torch.testing.assert_close(*results)


@SCRIPTS
@pytest.mark.parametrize("variant", TRULY_DECOMPOSED, ids=str)
def test_nested_forward_mode(variant, rng):
    """Torch's own batch norm is wrong here, too."""
    x, direction = draw((3, 2, 2), rng), draw((3, 2, 2), rng)

    def second(f):
        def first(x):
            return jvp(lambda x: f(x).pow(3), (x,), (direction,))[1]

        return jvp(first, (x,), (direction,))[1]

    ours = second(lambda x: decomposed_batch_norm(x, training=True, eps=0.1, **variant._asdict()))
    torch.testing.assert_close(ours, second(lambda x: reference.differentiable(x, None, None, variant, 0.1)))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_batched_gradients_through_the_fast_backward(variant, rng):
    x, weight = draw((3, 2, 2), rng).requires_grad_(), draw((2,), rng).requires_grad_()
    y = decomposed_batch_norm(x, weight=weight, training=True, **variant._asdict())
    directions = draw((5, 3, 2, 2), rng)
    batched = torch.autograd.grad(y, [x, weight], directions, is_grads_batched=True, retain_graph=True)
    single = [torch.autograd.grad(y, [x, weight], d, retain_graph=True) for d in directions]
    torch.testing.assert_close(list(batched), [torch.stack(g) for g in zip(*single, strict=True)])


@SCRIPTS
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_forward_mode_over_a_backward_that_began_outside(variant, rng):
    x, dy, direction = draw((3, 2), rng).requires_grad_(), draw((3, 2), rng), draw((3, 2), rng)
    results = []
    for y in (
        decomposed_batch_norm(x, training=True, eps=0.1, **variant._asdict()),
        reference.differentiable(x, None, None, variant, 0.1),
    ):
        with forward_ad.dual_level():
            (gradient,) = torch.autograd.grad(y, x, forward_ad.make_dual(dy, direction))
            results.append(forward_ad.unpack_dual(gradient))
    torch.testing.assert_close(*results)


@SCRIPTS
@pytest.mark.parametrize("transform", [jacrev, jacfwd], ids=["jacrev", "jacfwd"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_running_statistics_inside_a_transform(variant, transform, rng):
    """As with torch's layer: buffers made inside are updated, captured ones are refused."""
    layer = DecomposedBatchNorm1d(2, dtype=torch.float64, **variant._asdict())
    x = draw((5, 2), rng)

    def run(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        state = {name: value.clone() for name, value in layer.state_dict().items()}
        return functional_call(layer, state, x), state

    jacobian, state = transform(run, has_aux=True)(x)
    expected = transform(lambda x: reference.differentiable(x, None, None, variant, 1e-5))(x)
    torch.testing.assert_close(jacobian, expected)
    if STATISTICS[variant]:
        with pytest.raises(RuntimeError, match="mutate a captured Tensor"):
            transform(layer)(x)
    layer(x)
    torch.testing.assert_close(state, dict(layer.state_dict()))
    torch.testing.assert_close(transform(layer.eval())(x).shape, expected.shape)
