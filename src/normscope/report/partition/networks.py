"""The networks of `normscope partition`: the reference network, or a user's, with the asked parts of batch norm."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from normscope.loading import load_model, one_line
from normscope.models import mlp
from normscope.nn import DecomposedBatchNorm, convert
from normscope.report.norms import NAMES, SWITCHES
from normscope.report.partition.settings import PartitionError, PartitionSettings

_DEFAULT = ("batch", "none")
_NAME = 60


def networks_of(settings: PartitionSettings, inputs: Tensor, classes: int) -> list[tuple[str, nn.Module]]:
    """The networks by name, one a picture.

    Args:
        settings: which.
        inputs: the batch, whose shape decides that of the reference network.
        classes: outputs of the reference network.

    Raises:
        ValueError: a network cannot be made, or has no batch norm of which parts could be left.
    """
    if settings.model is None:
        return [(NAMES[norm], reference(settings, norm, inputs, classes)) for norm in settings.norms or _DEFAULT]
    model = load_model(settings.model, settings.keywords, settings.weights, seed=settings.seed)
    if settings.norms is None:
        return [(called(settings), model)]
    return [(NAMES[norm], _variant(model, norm)) for norm in settings.norms]


def reference(settings: PartitionSettings, norm: str, inputs: Tensor, classes: int) -> nn.Module:
    """The reference network: random weights and offsets, which all norms share."""
    model = mlp(
        inputs[0].numel(), settings.width, settings.depth, classes,
        norm=norm, activation=settings.activation, bias=True, seed=settings.seed,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("blocks.") and name.endswith(".linear.bias"):
                parameter.normal_(0, settings.offsets, generator=generator)
    return model


def called(settings: PartitionSettings) -> str:
    """What the user's model is called."""
    return one_line((settings.model or "").rpartition(":")[2], _NAME)


def described(settings: PartitionSettings) -> str:
    """One line on the network."""
    if settings.model is not None:
        return f"{called(settings)}: {one_line(settings.model, 200)}"
    layers = f"{settings.depth} hidden layer{'' if settings.depth == 1 else 's'}"
    units = f"{settings.width} {settings.activation} unit{'' if settings.width == 1 else 's'}"
    return (
        f"Reference network: {layers} of {units}, weights and offsets random and the same in all pictures "
        f"(offsets: standard deviation {settings.offsets:g})"
    )


def normalized(model: nn.Module) -> bool:
    """Whether there is a batch norm in it that does something."""
    return any(
        not isinstance(layer, DecomposedBatchNorm) or layer.recenter or layer.rescale for layer in _norms(model)
    )  # fmt: skip


def _norms(model: nn.Module) -> list[nn.Module]:
    kinds = nn.modules.batchnorm._BatchNorm | DecomposedBatchNorm
    return [layer for layer in model.modules() if isinstance(layer, kinds)]


def _variant(model: nn.Module, norm: str) -> nn.Module:
    if not _norms(model):
        raise PartitionError(
            f"--norm {norm} changes the batch normalization of the model, and {type(model).__name__} has none; "
            "leave --norm out"
        )
    recenter, rescale = SWITCHES[norm]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of statistics that start afresh: networks_of says which are used
            return convert(model, recenter, rescale)
    except TypeError as error:
        raise PartitionError(f"--norm {norm}: {one_line(str(error))}") from error
