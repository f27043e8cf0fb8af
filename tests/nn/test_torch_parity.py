"""With both switches on the layers are torch's: checked on the inputs that torch tests its own layers with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInfo, module_db

from normscope.nn import DecomposedBatchNorm, DecomposedBatchNorm1d, DecomposedBatchNorm2d, DecomposedBatchNorm3d

LAYERS = {
    nn.BatchNorm1d: DecomposedBatchNorm1d,
    nn.BatchNorm2d: DecomposedBatchNorm2d,
    nn.BatchNorm3d: DecomposedBatchNorm3d,
}
INFOS = [info for info in module_db if info.module_cls in LAYERS]


def module_inputs(dtype: torch.dtype, training: bool = True) -> list[Any]:
    cases = []
    for info in INFOS:
        torch_inputs = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        for module_input in torch_inputs:
            name = f"{info.module_cls.__name__}-{module_input.desc or 'plain'}"
            cases.append(pytest.param(info.module_cls, module_input, id=name))
    return cases


def outcome(layer: nn.Module, x: Tensor, double: bool) -> dict[str, Tensor | None]:
    """Output, gradients of the input and parameters, and, if asked, those of a function of the gradients."""
    x = x.detach().clone().requires_grad_()
    parameters = [x, *layer.parameters()]
    y = layer(x)
    first = torch.autograd.grad(y.pow(3).sum(), parameters, create_graph=double)
    results = {"y": y, **{f"first {i}": g for i, g in enumerate(first)}}
    if double:
        second = torch.autograd.grad(
            sum(g.pow(2).sum() for g in first), parameters, allow_unused=True, materialize_grads=True
        )
        results |= {f"second {i}": g for i, g in enumerate(second)}
    return results


def assert_same_bits(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=0, equal_nan=True, msg=name)


def test_torch_has_inputs_for_all_three_layers():
    assert [info.module_cls for info in INFOS] == list(LAYERS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("torch_class", "module_input"), module_inputs(torch.float64))
def test_same_numbers_and_same_state(torch_class, module_input, dtype, rng):
    arguments = module_input.constructor_input
    theirs = torch_class(*arguments.args, **arguments.kwargs, dtype=dtype)
    with torch.no_grad():
        for tensor in (*theirs.parameters(), theirs.running_mean, theirs.running_var):
            if tensor is not None:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=rng))
    ours = LAYERS[torch_class](*arguments.args, **arguments.kwargs, dtype=dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    (x,) = module_input.forward_input.args
    x = x.to(dtype)
    for training in (True, True, False):  # twice, so that momentum=None has something to average
        ours.train(training)
        theirs.train(training)
        assert_same_bits(outcome(ours, x, double=True), outcome(theirs, x, double=True))
        assert_same_bits(ours.state_dict(), theirs.state_dict())
    other = torch_class(*arguments.args, **arguments.kwargs, dtype=dtype)
    other.load_state_dict(ours.state_dict())
    assert_same_bits(other.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("parameters", ["same", "float32"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("torch_class", "module_input"), module_inputs(torch.float64))
def test_same_numbers_in_half_precision(torch_class, module_input, dtype, parameters, rng):
    arguments = module_input.constructor_input
    kind = dtype if parameters == "same" else torch.float32
    theirs = torch_class(*arguments.args, **arguments.kwargs, dtype=kind)
    ours = LAYERS[torch_class](*arguments.args, **arguments.kwargs, dtype=kind)
    (x,) = module_input.forward_input.args
    x = x.to(dtype)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        assert_same_bits(outcome(ours, x, double=False), outcome(theirs, x, double=False))
        assert_same_bits(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.module_cls.__name__)
def test_same_errors(info: ModuleInfo):
    cases = info.module_error_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True)
    assert cases
    for case in cases:
        assert case.error_on == ModuleErrorEnum.FORWARD_ERROR
        arguments = case.module_error_input.constructor_input
        (x,) = case.module_error_input.forward_input.args
        for switches in ({}, {"recenter": False}, {"scale": "rms"}):
            layer = LAYERS[info.module_cls](*arguments.args, **arguments.kwargs, **switches)
            with pytest.raises(case.error_type, match=case.error_regex):
                layer(x)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(
    "shape", [(4,), (1, 3), (1, 3, 1), (4, 2), (4, 3), (1, 3, 1, 1), (2, 3, 2, 2), (1, 3, 1, 1, 1)]
)
@pytest.mark.parametrize("torch_class", LAYERS, ids=lambda c: c.__name__)
def test_accepts_and_refuses_the_same_shapes(torch_class, shape, training):
    def attempt(layer: nn.Module) -> Tensor | tuple[type[Exception], str]:
        try:
            return layer.train(training)(torch.ones(shape))
        except (ValueError, RuntimeError) as error:
            return type(error), str(error)

    theirs, ours = attempt(torch_class(3)), attempt(LAYERS[torch_class](3))
    if isinstance(theirs, Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def test_the_dimension_free_layer_is_sync_batch_norm_of_one_process(rng):
    ours, theirs = DecomposedBatchNorm(3), nn.SyncBatchNorm(3)
    for shape in [(4, 3), (2, 3, 2), (2, 3, 2, 2), (2, 3, 1, 2, 1), (2, 3, 1, 2, 1, 2)]:
        x = torch.randn(shape, generator=rng)
        assert_same_bits(outcome(ours, x, double=True), outcome(theirs, x, double=True))
        assert_same_bits(ours.state_dict(), theirs.state_dict())
    for layer in (ours, theirs):
        with pytest.raises(ValueError, match=r"expected at least 2D input \(got 1D input\)"):
            layer(torch.ones(3))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_same_numbers_in_every_memory_format(memory_format, rng):
    x = torch.randn(4, 3, 5, 6, generator=rng).to(memory_format=memory_format)
    ours, theirs = DecomposedBatchNorm2d(3), nn.BatchNorm2d(3)
    assert_same_bits(outcome(ours, x, double=True), outcome(theirs, x, double=True))
    assert ours(x).stride() == theirs(x).stride() == x.stride()


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_same_removed_statistics(eps, rng):
    """Statistics that were set to None mean those of the batch, in evaluation too."""
    ours, theirs = DecomposedBatchNorm1d(3, eps), nn.BatchNorm1d(3, eps)
    for layer in (ours, theirs):
        layer.running_mean = layer.running_var = None
    for training in (True, False):
        x = torch.randn(4, 3, generator=rng)
        assert torch.equal(ours.train(training)(x), theirs.train(training)(x))
    assert_same_bits(copy.deepcopy(ours).state_dict(), theirs.state_dict())
