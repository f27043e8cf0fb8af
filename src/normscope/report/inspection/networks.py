"""The networks of an inspection: the user's own, and the one beside it, in their mode and on their device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from normscope.loading import load_model, one_line
from normscope.nn import DecomposedBatchNorm, convert
from normscope.report.inspection.failing_layer import InspectionError, naming_the_layer
from normscope.report.inspection.settings import Inspection
from normscope.report.norms import SWITCHES

_VARIANTS = {"none": "no norm", "recenter": "recenter only", "rescale": "rescale only", "batch": "batch norm"}


def networks_of(settings: Inspection, device: torch.device) -> list[tuple[str, nn.Module]]:
    """The networks by name, in their mode and on their device: one, or two where there is one to compare.

    Raises:
        ValueError: a network cannot be made, has no layers, or has nothing of what is to be changed in it.
    """
    model = load_model(settings.model, settings.keywords, settings.weights, seed=settings.seed)
    _require_layers(model, settings)
    name = _name(settings.model)
    networks = [(name, model)]
    if settings.compare in SWITCHES:
        networks.append((f"{name}, {_VARIANTS[settings.compare]}", _variant(model, settings.compare)))
    elif settings.compare is not None:
        other = load_model(settings.compare, settings.compare_keywords, seed=settings.seed)
        _require_layers(other, settings)
        networks.append((_name(settings.compare), other))
        networks = _distinct(networks, settings)
    for _, network in networks:
        with naming_the_layer(network, ()):
            network.to(device)
        if settings.mode != "as made":
            network.train(settings.mode == "train")
    return networks


def _require_layers(model: nn.Module, settings: Inspection) -> None:
    holds = next(model.children(), None) is not None or any(True for _ in model.parameters())
    if not holds and settings.capture == "modules":
        raise InspectionError(
            f"{type(model).__name__} has no layers: it holds no modules and no parameters; "
            "what its forward computes by functions is seen with --capture ops"
        )


def _variant(model: nn.Module, which: str) -> nn.Module:
    recenter, rescale = SWITCHES[which]
    try:
        other = convert(model, recenter, rescale)
    except TypeError as error:
        raise InspectionError(f"--compare {which}: {one_line(str(error))}") from error
    if not any(isinstance(layer, DecomposedBatchNorm) for layer in other.modules()):
        raise InspectionError(
            f"--compare {which} changes the batch normalization of the model, and {type(model).__name__} has none; "
            "name another factory to compare with"
        )
    return other


def _name(spec: str) -> str:
    return one_line(spec.rpartition(":")[2], 60)


def _distinct(networks: Sequence[tuple[str, nn.Module]], settings: Inspection) -> list[tuple[str, nn.Module]]:
    """Names that tell two factories of one name apart: by their keywords, or else by their numbers."""
    (first, a), (second, b) = networks
    if first != second:
        return list(networks)
    keywords = [one_line(", ".join(f"{k}={v}" for k, v in kw.items()), 40)
                for kw in (settings.keywords, settings.compare_keywords)]  # fmt: skip
    if keywords[0] != keywords[1]:
        return [(f"{first}({keywords[0]})", a), (f"{second}({keywords[1]})", b)]
    return [(f"{first} 1", a), (f"{second} 2", b)]
