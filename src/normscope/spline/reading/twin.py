"""A copy of a model in float64 and eval mode, on which anything may be done."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from normscope.loading import LoadingError, describe, origin
from normscope.spline.reading.refusal import NotPiecewiseAffineError, layer_label


def float64_twin(model: nn.Module) -> nn.Module:
    """The copy, on the CPU, without gradients. What torch.compile and data parallelism wrap is taken out of them.

    Raises:
        TypeError: the model is no module, or one of TorchScript.
        NotPiecewiseAffineError: a layer is quantized.
        LoadingError: it holds something that cannot be copied, or has parameters without a shape or without values.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {describe(model)}")
    model = _unwrapped(model)
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise TypeError("a model compiled by TorchScript cannot be read: pass the module that it was compiled from")
    _require_values(model)
    _require_unquantized(model)
    try:
        twin = copy.deepcopy(model, _computed_attributes(model)).cpu().double()
    except Exception as error:  # anything that a model holds is asked to copy itself
        raise LoadingError(f"the model cannot be copied in float64: {origin(error)}") from error
    for module in twin.modules():
        for name, value in module.__dict__.items():
            if not name.startswith("_"):
                module.__dict__[name] = _widened(value)
    return twin.eval().requires_grad_(False)


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        compiled = getattr(model, "_orig_mod", None)  # by torch.compile
        if isinstance(compiled, nn.Module):
            model = compiled
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _require_values(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise LoadingError(f"{name} has no shape yet: run the model on a batch once")
        if tensor.is_meta:
            raise LoadingError(f"{name} is on the meta device and has no values: load them first")


def _require_unquantized(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if type(module).__module__.startswith(_QUANTIZED):
            raise NotPiecewiseAffineError(
                f"{layer_label(name, type(module).__name__)} is quantized, or on the way to it: it rounds, and so "
                f"jumps; pass the model from before"
            )


# the stubs of a model that is to be quantized do nothing
_QUANTIZED = (
    "torch.ao.nn.quantized", "torch.ao.nn.qat", "torch.ao.nn.intrinsic", "torch.ao.quantization.observer",
    "torch.ao.quantization.fake_quantize",
)  # fmt: skip


def _computed_attributes(model: nn.Module) -> dict[int, Any]:
    """What `copy.deepcopy` cannot copy: attributes that were computed with gradients, weights before all."""
    values = [value for module in model.modules() for value in module.__dict__.values()]
    computed = [value for value in values if isinstance(value, Tensor) and not value.is_leaf]
    return {id(tensor): tensor.detach().clone() for tensor in computed}


def _widened(value: Any) -> Any:
    """Tensors that are plain attributes, which ``.double()`` does not reach, in float64 too."""
    if isinstance(value, Tensor):
        return value.to("cpu", torch.float64) if value.is_floating_point() else value.cpu()
    if type(value) in (list, tuple):
        return type(value)(map(_widened, value))
    if type(value) is dict:
        return {key: _widened(item) for key, item in value.items()}
    return value
