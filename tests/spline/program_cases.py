"""Piecewise affine models that a program is read from: name -> (build, shape of an input).

``MODULES``: every non-linearity is a module. ``FUNCTIONS``: forwards that are written out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from normscope import models

Case = tuple[Callable[[], nn.Module], tuple[int, ...]]


class Written(nn.Module):
    """A forward given as a function of the module, which has a linear layer and a convolution, and of the input."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.conv = nn.Linear(6, 6), nn.Conv2d(1, 3, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class Bottleneck(nn.Module):
    """A block as torchvision writes it: one ReLU module in place, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.conv2, self.bn2 = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2)
        self.conv3, self.bn3 = nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        out += x
        return self.relu(out)


class Inception(nn.Module):
    """Branches that are put side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, padding=1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(3, 1, 1)
        self.fc = nn.Linear(8 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.relu(self.a(x)), self.relu(self.b(x)), self.pool(x)], dim=1)
        return self.fc(F.adaptive_avg_pool2d(x, 2).view(x.size(0), -1))


def shared() -> nn.Module:
    linear, relu = nn.Linear(4, 4), nn.ReLU()
    return nn.Sequential(linear, relu, linear, relu)


def with_unfilled_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Running statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(generator=generator)
        elif "running" in name:
            buffer.uniform_(0.5, 2.0, generator=generator)
    return model


def built(case: Case) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return with_unfilled_statistics(case[0]())


def _sequence(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(*modules)


def _convolution(mode: str) -> Case:
    return (
        lambda: _sequence(nn.Conv2d(2, 4, 3, 2, 2, 1, 2, False, mode), nn.BatchNorm2d(4), nn.ReLU()),
        (2, 7, 7),
    )


MODULES: dict[str, Case] = {
    "mlp": (lambda: models.mlp(2, 8, 3), (2,)),
    "mlp, abs": (lambda: models.mlp(2, 8, 2, norm="none", activation="abs"), (2,)),
    "mlp, recenter": (lambda: models.mlp(3, 8, 2, norm="recenter", activation="leaky_relu"), (3,)),
    "mlp, rescale": (lambda: models.mlp(3, 8, 2, norm="rescale"), (3,)),
    "convnet": (lambda: models.convnet(3, 4), (3, 6, 6)),
    "vgg, odd size": (lambda: models.vgg(11, width=2), (3, 9, 9)),
    "resnet A": (lambda: models.cifar_resnet(8, shortcut="A", width=2), (3, 8, 8)),
    "resnet B": (lambda: models.cifar_resnet(8, shortcut="B", width=2), (3, 8, 8)),
    "bottleneck": (lambda: _sequence(Bottleneck(), Bottleneck()), (4, 5, 5)),
    "inception": (Inception, (2, 5, 5)),
    "shared": (shared, (4,)),
    "zeros": _convolution("zeros"),
    "reflect": _convolution("reflect"),
    "replicate": _convolution("replicate"),
    "circular": _convolution("circular"),
    "same": (lambda: _sequence(nn.Conv2d(2, 4, (3, 5), dilation=2, padding="same"), nn.PReLU(4)), (2, 7, 7)),
    "1d": (
        lambda: _sequence(nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular"), nn.BatchNorm1d(4), nn.PReLU(),
                          nn.AvgPool1d(2), nn.AdaptiveMaxPool1d(3), nn.MaxPool1d(2), nn.Flatten()),
        (2, 9),
    ),
    "3d": (
        lambda: _sequence(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.Hardtanh(), nn.MaxPool3d(2, padding=1),
                          nn.AdaptiveMaxPool3d((1, 2, 2)), nn.AdaptiveAvgPool3d(1)),
        (1, 5, 5, 5),
    ),
    "transposed": (
        lambda: _sequence(nn.ConvTranspose2d(1, 2, 3, 2, output_padding=1), nn.ReLU6(), nn.AdaptiveMaxPool2d((5, 7))),
        (1, 5, 5),
    ),
    "pooling": (
        lambda: _sequence(nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), nn.AvgPool2d(2, 1, 1, count_include_pad=False),
                          nn.LeakyReLU(0.2), nn.MaxPool2d(2, ceil_mode=True)),
        (2, 11, 9),
    ),
    "in eval mode": (
        lambda: _sequence(nn.Linear(3, 3), nn.Dropout(), nn.RReLU(), nn.AlphaDropout(), nn.Softshrink(0.1),
                          nn.Hardsigmoid(), nn.Threshold(0.4, 0.4), nn.LeakyReLU(0.1, inplace=True)),
        (3,),
    ),
    "parametrized": (
        lambda: _sequence(parametrizations.spectral_norm(nn.Linear(4, 4)), nn.ReLU(),
                          parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU()),
        (4,),
    ),
}  # fmt: skip


def _first_half_zero(m: Any, x: Tensor) -> Tensor:
    y = m.linear(x)
    y[:, :3] = 0.0
    y[:, 3:] += x[:, :3]
    return y.relu_()


_MINUS_INFINITY = -float("inf")

WRITTEN: dict[str, tuple[Callable[[Any, Tensor], Any], tuple[int, ...], str]] = {
    # name: the forward, the shape of an input, the kinds of its folds
    "relu": (lambda m, x: F.relu(m.linear(x)), (6,), "relu"),
    "method": (lambda m, x: m.linear(x).relu(), (6,), "relu"),
    "in place": (lambda m, x: F.relu(m.linear(x), inplace=True).add_(x).mul_(2).abs_(), (6,), "relu abs"),
    "into the input": (lambda m, x: x.relu_().sub_(1), (6,), "relu"),
    "into slices": (_first_half_zero, (6,), "relu"),
    "slope 1": (lambda m, x: F.leaky_relu(m.linear(x), 1.0), (6,), ""),
    "hardtanh": (lambda m, x: F.hardtanh(m.linear(x), -0.5, 0.25), (6,), "hardtanh"),
    "clamp": (lambda m, x: m.linear(x).clamp(-0.3, 0.4).clamp(min=-0.1).clamp_(max=0.2), (6,), "clamp clamp clamp"),
    "clamp by a tensor": (lambda m, x: torch.clamp(m.linear(x), min=m.linear.bias), (6,), "maximum"),
    "maximum": (lambda m, x: torch.maximum(m.linear(x), x) - torch.max(x, m.linear.bias), (6,), "maximum maximum"),
    "minimum": (lambda m, x: torch.minimum(m.linear(x), 2 * x[:, :1]), (6,), "minimum"),
    "maxout": (lambda m, x: m.linear(x).view(-1, 3, 2).max(dim=2).values, (6,), "max_pool"),
    "amax": (lambda m, x: m.conv(x).amax((2, 3)) - m.conv(x).amin((1, 3)), (1, 3, 5),
             "max_pool max_pool"),
    "smallest": (lambda m, x: m.linear(x).min(1)[0], (6,), "max_pool"),
    "both signs": (lambda m, x: torch.cat([F.relu(m.linear(x)), F.relu(-m.linear(x))], 1), (6,), "relu relu"),
    "squeezed": (lambda m, x: F.relu(m.linear(x)).sum(1, keepdim=True).squeeze(), (6,), "relu"),
    "zeros beside": (lambda m, x: torch.cat([x, torch.zeros(x.shape[0], 2)], 1).relu(), (6,), "relu"),
    "samples second": (lambda m, x: m.conv(x).flatten(2).permute(2, 0, 1).relu().mean(0), (1, 4, 4), "relu"),
    "samples and channels in one": (lambda m, x: m.conv(x).flatten(0, 1).relu().unflatten(0, (-1, 3)), (1, 4, 4),
                                    "relu"),
    "einsum": (lambda m, x: torch.einsum("bi,ij->bj", x, m.linear.weight).relu(), (6,), "relu"),
    "batched product": (lambda m, x: (m.linear.weight.expand(len(x), 6, 6) @ x[:, :, None]).squeeze(-1).relu(), (6,),
                        "relu"),
    "chosen places": (lambda m, x: x[:, torch.tensor([4, 0])].flip(1).roll(1, 1).relu(), (6,), "relu"),
    "chosen by weights": (lambda m, x: torch.where(m.linear.bias > 0, x, m.linear(x)).relu(), (6,), "relu"),
    "unused softmax": (lambda m, x: (torch.softmax(x, 1), m.linear(x).relu())[1], (6,), "relu"),
    "named outputs": (lambda m, x: {"hidden": x, "logits": m.linear(x).relu()}, (6,), "relu"),
    "a tuple of one": (lambda m, x: (None, m.linear(x).relu()), (6,), "relu"),
    "strided": (lambda m, x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 3)).relu(), (1, 5, 5), "relu"),
    "upsampled": (lambda m, x: F.interpolate(m.conv(x), scale_factor=2, mode="bilinear").relu(), (1, 4, 4), "relu"),
    "unfolded": (lambda m, x: F.unfold(m.conv(x), 2).relu(), (1, 4, 4), "relu"),
    "unshuffled": (lambda m, x: F.pixel_unshuffle(x, 2).relu(), (1, 4, 4), "relu"),
    "smallest of windows": (lambda m, x: -F.max_pool2d(-m.conv(x), 2), (1, 4, 4), "max_pool"),
    "padded by infinity": (lambda m, x: F.max_pool2d(F.pad(m.conv(x), (0, 1, 0, 1), value=_MINUS_INFINITY), 2),
                           (1, 5, 5), "max_pool"),
    "a dataclass": (lambda m, x: Answer(m.linear(x).relu()), (6,), "relu"),
    "logits of a dataclass": (lambda m, x: LogitsBeside(x, m.linear(x).relu()), (6,), "relu"),
    "logits of a named tuple": (lambda m, x: LogitsInATuple(x, m.linear(x).relu()), (6,), "relu"),
    "scattered": (lambda m, x: torch.zeros(len(x), 8).scatter(1, torch.arange(6).expand(len(x), 6), x).relu(), (6,),
                  "relu"),
    "turned": (lambda m, x: x.rot90(1, (2, 3)).nan_to_num().relu(), (1, 3, 3), "relu"),
    "a difference by its size": (lambda m, x: F.l1_loss(x, m.linear(x), reduction="none"), (6,), "abs"),
    "autograd function": (lambda m, x: Clipped.apply(m.linear(x)), (6,), "clamp"),
    "vmap": (lambda m, x: torch.vmap(m.linear)(x).relu(), (6,), "relu"),
}  # fmt: skip


@dataclass
class Answer:
    values: Tensor
    said: str = "yes"


@dataclass
class LogitsBeside:
    hidden: Tensor
    logits: Tensor


class LogitsInATuple(NamedTuple):
    hidden: Tensor
    logits: Tensor


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(0)


FUNCTIONS: dict[str, Case] = {
    name: (lambda function=function: Written(function), shape) for name, (function, shape, _) in WRITTEN.items()
}
CASES = {**MODULES, **FUNCTIONS}
