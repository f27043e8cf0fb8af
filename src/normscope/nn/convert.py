"""Put decomposed batch normalization in the place of every batch normalization of a model."""

from __future__ import annotations

import copy
import warnings
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase, _NormBase
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from normscope.nn.batchnorm import (
    DecomposedBatchNorm,
    DecomposedBatchNorm1d,
    DecomposedBatchNorm2d,
    DecomposedBatchNorm3d,
)
from normscope.nn.lazy import (
    LazyDecomposedBatchNorm1d,
    LazyDecomposedBatchNorm2d,
    LazyDecomposedBatchNorm3d,
)
from normscope.nn.statistics import INITIAL_VALUES, mean_square, uninitialized_buffer
from normscope.nn.switches import STATISTICS, Scale, StatisticName, Switches, make_switches

__all__ = ["convert"]

_COUNTERPARTS: dict[type[_BatchNorm], type[DecomposedBatchNorm]] = {
    nn.LazyBatchNorm1d: LazyDecomposedBatchNorm1d,
    nn.LazyBatchNorm2d: LazyDecomposedBatchNorm2d,
    nn.LazyBatchNorm3d: LazyDecomposedBatchNorm3d,
    nn.BatchNorm1d: DecomposedBatchNorm1d,
    nn.BatchNorm2d: DecomposedBatchNorm2d,
    nn.BatchNorm3d: DecomposedBatchNorm3d,
    nn.SyncBatchNorm: DecomposedBatchNorm,
}
_TORCH_CLASSES = {*_COUNTERPARTS, _LazyNormBase, _BatchNorm, _NormBase, LazyModuleMixin, nn.Module, object}
_KNOWN_STATE = {"weight", "bias", *STATISTICS, "num_batches_tracked"}
# What a subclass may override and still be replaced; `_counterpart` looks after _check_input_dim.
_HARMLESS = {"extra_repr", "reset_parameters", "reset_running_stats", "_check_input_dim"}


def convert(
    model: nn.Module,
    recenter: bool = True,
    rescale: bool = False,
    *,
    scale: Scale = "auto",
    inplace: bool = False,
) -> nn.Module:
    """The model with ``y = (x − [recenter] μ) / s · weight + bias`` in the place of every batch normalization.

    Replaced, wherever they are, the root included: torch's BatchNorm1d/2d/3d, their lazy forms, SyncBatchNorm, and
    decomposed layers. A layer keeps its parameters (the same objects, so that device, dtype, ``requires_grad`` and
    tying stay), its mode, hooks and settings; a layer used in several places stays one layer. With both switches on
    and ``scale="std"`` the model computes what it did.

    Statistics are carried over. A mean square that the layer did not keep is ``running_var + running_mean²``. A
    statistic that cannot be had (the variance, of a layer that only recentered) starts afresh, with a warning.

    Args:
        model: any module.
        recenter: subtract the mean.
        rescale: divide by the scale.
        scale: ``"std"``, ``"rms"``, or ``"auto"``: std when recentering, rms when not.
        inplace: convert the layers of ``model`` itself; they become decomposed layers and stay the same objects.
            Otherwise ``model`` is copied and left as it is.

    Returns:
        The converted copy, or ``model`` itself with ``inplace``.

    Raises:
        TypeError: if ``model`` is not a module, or one of its layers may do more than torch's batch normalization: a
            subclass that overrides methods, a layer with state of its own or parametrizations, or one compiled by
            TorchScript. Nothing is changed then.
        ValueError: for an unknown ``scale``.

    Warns:
        UserWarning: for statistics that start afresh; for SyncBatchNorm among several processes, because decomposed
            layers use the statistics of their own process.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert needs a torch.nn.Module, got {type(model).__name__}")
    switches = make_switches(recenter, rescale, scale)
    if not inplace:
        # torch copies parameters of lazy layers, but not their buffers
        memo: dict[int, Any] = {id(b): uninitialized_buffer(b.device, b.dtype) for b in model.buffers() if is_lazy(b)}
        model = copy.deepcopy(model, memo)
    plan = _plan(model)  # raises before anything is changed
    synchronized = [name for name, layer, _ in plan if isinstance(layer, nn.SyncBatchNorm)]
    fresh = [name for name, layer, counterpart in plan if _become(layer, counterpart, switches, model)]
    if synchronized and _world_size() > 1:
        warnings.warn(
            f"decomposed layers use the statistics of their own process, not of all {_world_size()} processes "
            f"as SyncBatchNorm does: {', '.join(synchronized)}",
            stacklevel=2,
        )
    if fresh:
        warnings.warn(
            f"running statistics start afresh in {len(fresh)} layer(s) that did not keep what is used now: "
            f"{', '.join(fresh)}. Run some batches in train mode before using eval mode.",
            stacklevel=2,
        )
    return model


def _world_size() -> int:
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _plan(model: nn.Module) -> list[tuple[str, nn.Module, type[DecomposedBatchNorm]]]:
    """Name, layer and class to become, of each layer to convert; shared layers once."""
    plan: list[tuple[str, nn.Module, type[DecomposedBatchNorm]]] = []
    for path, layer in model.named_modules():
        name = path or "(the model itself)"
        if isinstance(layer, DecomposedBatchNorm):
            plan.append((name, layer, type(layer)))
        elif isinstance(layer, _BatchNorm):
            _refuse_more_than_batch_norm(name, layer)
            plan.append((name, layer, _counterpart(layer)))
        elif isinstance(layer, torch.jit.ScriptModule) and "BatchNorm" in layer.original_name:
            raise TypeError(
                f"layer {name} is a {layer.original_name} compiled by TorchScript: convert the model before scripting"
            )
    return plan


def _counterpart(layer: _BatchNorm) -> type[DecomposedBatchNorm]:
    # A subclass may allow inputs of other dimensions, and then gets the class that allows all.
    for source, counterpart in _COUNTERPARTS.items():
        if isinstance(layer, source) and type(layer)._check_input_dim is source._check_input_dim:
            return counterpart
    return DecomposedBatchNorm


def _refuse_more_than_batch_norm(name: str, layer: _BatchNorm) -> None:
    kind = type(layer)
    advice = (
        "what it does beyond torch's layer would be lost. Replace it by torch's layer, "
        "or convert the other parts of the model one by one"
    )
    if nn.utils.parametrize.is_parametrized(layer):
        raise TypeError(
            f"layer {name} ({kind.__name__}) has parametrizations, which would be lost: "
            "remove them first with torch.nn.utils.parametrize.remove_parametrizations"
        )
    own = {n for c in kind.__mro__ if c not in _TORCH_CLASSES for n in vars(c)} | vars(layer).keys()
    own = {n for n in own if n == "__call__" or not n.startswith("__")} - _HARMLESS
    overridden = {n for n in own if callable(getattr(_BatchNorm, n, None))}
    if overridden:
        raise TypeError(f"layer {name} is a {kind.__qualname__}, which overrides {sorted(overridden)}: {advice}")
    state = layer._parameters.keys() | layer._buffers.keys() | layer._modules.keys()
    if state - _KNOWN_STATE:
        raise TypeError(f"layer {name} ({kind.__qualname__}) also has {sorted(state - _KNOWN_STATE)}: {advice}")


def _become(layer: nn.Module, counterpart: type[DecomposedBatchNorm], switches: Switches, model: nn.Module) -> bool:
    """Turn the layer into its counterpart; whether a statistic starts afresh.

    The object stays and changes its class, as torch's lazy modules do: whatever refers to it (several parents, plain
    lists, hooks and their handles) goes on referring to a layer of the model.
    """
    kept: tuple[StatisticName, ...] = ("running_mean", "running_var")
    if isinstance(layer, DecomposedBatchNorm):
        kept = layer.switches.statistics
    vars(layer).pop("process_group", None)  # SyncBatchNorm's
    layer.__class__ = counterpart
    assert isinstance(layer, DecomposedBatchNorm)
    layer.recenter, layer.rescale, layer.scale = switches
    tensors = chain(layer.parameters(), layer.buffers(), model.parameters(), model.buffers())
    like = next((t for t in tensors if t.dtype.is_floating_point), torch.empty(0))
    return _carry_statistics(layer, kept, like)


def _carry_statistics(layer: DecomposedBatchNorm, kept: tuple[StatisticName, ...], like: Tensor) -> bool:
    """Give the layer the statistics that it uses now; whether one of them had to start afresh."""
    used = layer.switches.statistics if layer.track_running_stats else ()
    old = {name: layer._buffers.pop(name, None) for name in STATISTICS}
    count = layer._buffers.pop("num_batches_tracked", None)
    removed = bool(kept) and all(old[name] is None for name in kept)  # by the user, for batch statistics in evaluation
    lacking = []
    for name in STATISTICS:  # in the order of a state dict
        statistic = old[name] if name in used else None
        if statistic is None and name in used and name not in kept and not removed:
            mean, variance = old["running_mean"], old["running_var"]
            if name == "running_mean_square" and mean is not None and variance is not None:
                statistic = mean_square(mean, variance)
            else:
                lacking.append(name)
                statistic = _fresh_statistic(layer, name, like)
        layer._buffers[name] = statistic  # not register_buffer, which would make it persistent
    if used and (not kept or (lacking and layer.momentum is None)):  # a mean over all batches counts from here
        count = torch.zeros((), dtype=torch.long, device=like.device)
    layer._buffers["num_batches_tracked"] = count if used else None
    return bool(lacking) and not isinstance(layer, LazyModuleMixin)


def _fresh_statistic(layer: DecomposedBatchNorm, name: StatisticName, like: Tensor) -> Tensor:
    if isinstance(layer, LazyModuleMixin):
        return uninitialized_buffer(like.device, like.dtype)
    return torch.full((layer.num_features,), INITIAL_VALUES[name], device=like.device, dtype=like.dtype)
