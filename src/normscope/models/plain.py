"""Convolutional networks without shortcuts."""

from __future__ import annotations

from typing import Final

from torch import nn

from normscope.models.activations import ActivationFactory
from normscope.models.builder import Builder, named, require_positive, sequential

_VGG_CONVOLUTIONS: Final[dict[int, tuple[int, ...]]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_VGG_WIDTHS: Final = (1, 2, 4, 8, 8)


class ConvNet(nn.Sequential):
    """What :func:`convnet` returns: ``blocks``, ``pool``, ``flatten``, ``head``."""


class VGG(nn.Sequential):
    """What :func:`vgg` returns: ``stage1`` … ``stage5``, ``pool``, ``flatten``, ``head``."""


def convnet(
    depth: int = 8,
    width: int = 16,
    *,
    norm: str = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
    activation: str | ActivationFactory = "relu",
    init: str = "he",
    bias: bool = False,
    seed: int = 0,
) -> ConvNet:
    """``x ← φ(norm(W ∗ x))``, ``depth`` times with 3×3 kernels and the image's size kept, average pooling, a head.

    A residual network without its shortcuts and its shrinking: what depth alone does to a convolutional network.
    Submodules, in order: ``blocks.0.conv``, ``blocks.0.norm``, ``blocks.0.activation``, ``blocks.1.…``;
    ``last_norm`` (norm "last" only); ``pool``, ``flatten``, ``head``.

    Args:
        depth: convolutions; the head is not counted.
        width: channels of every convolution.
        norm: as in :func:`cifar_resnet`.
        num_classes: outputs of the head.
        in_channels: channels of the images.
        activation: a name in :data:`ACTIVATIONS`, or a function without arguments that returns a new module.
        init: "he", "xavier" or "orthogonal"; see :data:`INITS`.
        bias: gives the convolutions a bias, which begins at zero. The head always has one.
        seed: decides the weights; see :func:`cifar_resnet`.

    Raises:
        ValueError: a size below 1, or an unknown norm, activation or init.
        TypeError: a size or seed that is not an integer, or an activation that is neither name nor function.
    """
    require_positive(depth=depth, width=width, num_classes=num_classes, in_channels=in_channels)
    make = Builder(norm=norm, activation=activation, init=init, seed=seed)
    blocks = [_conv_block(make, in_channels if index == 0 else width, width, bias) for index in range(depth)]
    modules = named(blocks=nn.Sequential(*blocks), **_classifier(make, width, num_classes))
    return make.finish(ConvNet(modules))


def vgg(
    depth: int = 11,
    norm: str = "batch",
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 16,
    activation: str | ActivationFactory = "relu",
    init: str = "he",
    bias: bool = False,
    seed: int = 0,
) -> VGG:
    """``x ← φ(norm(W ∗ x))`` with 3×3 kernels in five stages, each ending in a 2×2 maximum, then a linear head.

    For 32×32 images, of which the stages leave one pixel. (An odd size is rounded up when it is halved, so smaller
    images pass too.) The stages have 1, 2, 4, 8 and 8 times ``width`` channels; the published networks have width
    64. ``depth`` keeps the published names, which count three linear layers; here, as is usual for small images,
    there is one.

    Submodules, in order: ``stage1.0.conv``, ``stage1.0.norm``, ``stage1.0.activation``, …, ``stage1.pool``,
    ``stage2.…``; ``last_norm`` (norm "last" only); ``pool``, ``flatten``, ``head``.

    Args:
        depth: 11, 13, 16 or 19: configurations A, B, D and E of the paper, with 8, 10, 13 and 16 convolutions.
        norm: as in :func:`cifar_resnet`.
        num_classes: outputs of the head.
        in_channels: channels of the images.
        width: channels of the first stage.
        activation: a name in :data:`ACTIVATIONS`, or a function without arguments that returns a new module.
        init: "he", "xavier" or "orthogonal"; see :data:`INITS`.
        bias: gives the convolutions a bias, which begins at zero. The head always has one.
        seed: decides the weights; see :func:`cifar_resnet`.

    Raises:
        ValueError: a depth that is not one of the four, a size below 1, or an unknown norm, activation or init.
        TypeError: a size or seed that is not an integer, or an activation that is neither name nor function.

    Source: Simonyan and Zisserman (2015), table 1.
    """
    require_positive(depth=depth, num_classes=num_classes, in_channels=in_channels, width=width)
    if depth not in _VGG_CONVOLUTIONS:
        raise ValueError(f"VGG has depth {', '.join(map(str, _VGG_CONVOLUTIONS))}, got {depth}")
    make = Builder(norm=norm, activation=activation, init=init, seed=seed)
    stages: dict[str, nn.Module] = {}
    before = in_channels
    for number, (convolutions, factor) in enumerate(zip(_VGG_CONVOLUTIONS[depth], _VGG_WIDTHS, strict=True), start=1):
        after = factor * width
        blocks = {
            str(index): _conv_block(make, before if index == 0 else after, after, bias) for index in range(convolutions)
        }
        stages[f"stage{number}"] = sequential(**blocks, pool=nn.MaxPool2d(2, ceil_mode=True))
        before = after
    return make.finish(VGG(named(**stages, **_classifier(make, before, num_classes))))


def _conv_block(make: Builder, in_channels: int, channels: int, bias: bool) -> nn.Sequential:
    return sequential(
        conv=make.conv(in_channels, channels, 3, bias=bias),
        norm=make.norm(channels, "conv"),
        activation=make.activation(),
    )


def _classifier(make: Builder, channels: int, num_classes: int) -> dict[str, nn.Module | None]:
    return {
        "last_norm": make.last_norm(channels, "conv"),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "head": make.linear(channels, num_classes, bias=True),
    }
