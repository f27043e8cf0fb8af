"""The residual network for small images."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn
from torch.nn.functional import pad

from normscope.models.activations import ActivationFactory
from normscope.models.builder import Builder, named, require_positive, sequential

Shortcut = Literal["A", "B"]
"""What crosses a block that changes the shape: "A" has no parameters, "B" projects."""

_STAGES = 3


class Subsample(nn.Module):
    """Shortcut A: every second row and column, and channels of zeros behind those there are."""

    def __init__(self, new_channels: int) -> None:
        super().__init__()
        self.new_channels = new_channels

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """``(n, c, h, w)`` to ``(n, c + new_channels, ⌈h/2⌉, ⌈w/2⌉)``."""
        return pad(inputs[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        """What the printed module shows."""
        return f"new_channels={self.new_channels}"


class BasicBlock(nn.Module):
    """``φ(norm2(conv2(φ(norm1(conv1(x))))) + shortcut(x))``; no ``shortcut`` module where it is the identity."""

    def __init__(self, make: Builder, in_channels: int, channels: int, shortcut: Shortcut) -> None:
        super().__init__()
        changes = in_channels != channels
        self.conv1 = make.conv(in_channels, channels, 3, stride=2 if changes else 1, bias=False)
        self.norm1 = make.norm(channels, "conv")
        self.activation1 = make.activation()
        self.conv2 = make.conv(channels, channels, 3, bias=False)
        self.norm2 = make.norm(channels, "conv")
        self.shortcut = _shortcut(make, in_channels, channels, shortcut) if changes else None
        self.activation2 = make.activation()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """``(n, in_channels, h, w)`` to ``(n, channels, h, w)``, or half of h and w where the channels change."""
        branch = self.conv1(inputs)
        if self.norm1 is not None:
            branch = self.norm1(branch)
        branch = self.conv2(self.activation1(branch))
        if self.norm2 is not None:
            branch = self.norm2(branch)
        across = inputs if self.shortcut is None else self.shortcut(inputs)
        output: torch.Tensor = self.activation2(branch + across)
        return output


class CifarResNet(nn.Sequential):
    """What :func:`cifar_resnet` returns: ``stem``, ``stage1`` … ``stage3``, ``pool``, ``flatten``, ``head``."""


def cifar_resnet(
    depth: int = 20,
    norm: str = "batch",
    shortcut: Shortcut = "B",
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 16,
    activation: str | ActivationFactory = "relu",
    init: str = "xavier",
    seed: int = 0,
) -> CifarResNet:
    """``x ← φ(F(x) + x)``: a 3×3 convolution, three stages of n basic blocks, average pooling, a linear head.

    ``depth = 6n + 2`` counts the 3×3 convolutions (``depth − 1`` of them, the layers 1, 2, … of the literature, in
    the order of ``named_modules``) and the head. The stages have ``width``, ``2 width`` and ``4 width`` channels
    and the image's size, a half and a quarter of it. No convolution has a bias. With norm "batch", width 16 and
    three input channels, ResNet-20 has 269,722 parameters with shortcut A and 272,474 with B.

    Submodules, in order: ``stem.conv``, ``stem.norm``, ``stem.activation``; ``stage1.0.conv1``, ``norm1``,
    ``activation1``, ``conv2``, ``norm2``, ``shortcut`` (where the shape changes; B: ``shortcut.conv``,
    ``shortcut.norm``), ``activation2`` (after the addition); ``last_norm`` (norm "last" only); ``pool``, ``flatten``,
    ``head``.

    Args:
        depth: 8, 14, 20, 26, 32, …, 110, …
        norm: "batch"; "none": every norm removed, no module in its place; "recenter", "rescale": a batch norm of
            which one half is left; "layer": a group norm of one group; "last": one batch norm alone, on the
            output of the last block, before the pooling.
        shortcut: where the shape changes. "A": every second pixel, new channels zero. "B": a 1×1 convolution of
            stride 2 and a norm. Elsewhere the identity.
        num_classes: outputs of the head.
        in_channels: channels of the images.
        width: channels of the first stage.
        activation: a name in :data:`ACTIVATIONS`, or a function without arguments that returns a new module.
        init: "xavier", "he" or "orthogonal", for convolutions and head; see :data:`INITS`.
        seed: decides the weights. Two networks with the same seed share the weights of every layer that has the
            same name and shape in both, whatever their norms, shortcuts and depths are.

    Raises:
        ValueError: a depth that is not 6n + 2 (the message names the nearest that are), a size below 1, or an
            unknown norm, shortcut, activation or init.
        TypeError: a size or seed that is not an integer, or an activation that is neither name nor function.

    Source: He et al. (2016), section 4.2; Bjorck et al. (2018), whose set-up is the default but for the depth (110).
    """
    require_positive(depth=depth, num_classes=num_classes, in_channels=in_channels, width=width)
    _require_depth(depth)
    if shortcut not in get_args(Shortcut):
        raise ValueError(f"unknown shortcut {shortcut!r}; choose one of {', '.join(get_args(Shortcut))}")
    make = Builder(norm=norm, activation=activation, init=init, seed=seed)
    stem = sequential(
        conv=make.conv(in_channels, width, 3, bias=False),
        norm=make.norm(width, "conv"),
        activation=make.activation(),
    )
    channels = [width * 2**stage for stage in range(_STAGES)]
    stages = {
        f"stage{number}": _stage(make, before, after, (depth - 2) // 6, shortcut)
        for number, before, after in zip((1, 2, 3), [width, *channels], channels, strict=False)
    }
    modules = named(
        stem=stem,
        **stages,
        last_norm=make.last_norm(channels[-1], "conv"),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=make.linear(channels[-1], num_classes, bias=True),
    )
    return make.finish(CifarResNet(modules))


def _stage(make: Builder, before: int, after: int, blocks: int, shortcut: Shortcut) -> nn.Sequential:
    return nn.Sequential(
        *(BasicBlock(make, before if index == 0 else after, after, shortcut) for index in range(blocks))
    )


def _shortcut(make: Builder, in_channels: int, channels: int, shortcut: Shortcut) -> nn.Module:
    if shortcut == "A":
        return Subsample(channels - in_channels)
    return sequential(conv=make.conv(in_channels, channels, 1, stride=2, bias=False), norm=make.norm(channels, "conv"))


def _require_depth(depth: int) -> None:
    below = 6 * ((depth - 2) // 6) + 2
    if below == depth and depth >= 8:
        return
    nearest = f"{below} and {below + 6}" if below >= 8 else "8, the smallest"
    raise ValueError(f"a CIFAR ResNet has depth 6n + 2 with n at least 1, got {depth}; nearest: {nearest}")
