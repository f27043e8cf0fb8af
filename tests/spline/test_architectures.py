"""Architectures as their authors write them: concatenation, upsampling, depthwise convolution, shuffles, transposes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from program_cases import with_unfilled_statistics
from torch import Tensor, nn

from normscope.spline import partition
from normscope.spline.reading.program import read
from reference.folds import float64_eval


class DenseLayer(nn.Module):
    """Takes all that the layers before it made."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(2 * growth), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, *features: Tensor) -> Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(x)))


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layers = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ModuleList(DenseLayer(4 + 2 * k, 2) for k in range(3)),
        )
        self.norm, self.fc = nn.BatchNorm2d(10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(*features))
        x = F.relu(self.norm(torch.cat(features, 1)), inplace=True)
        return self.fc(F.adaptive_avg_pool2d(F.avg_pool2d(x, 2), (1, 1)).flatten(1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.skip, hidden = stride == 1 and inputs == outputs, 2 * inputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.skip else self.conv(x)


class UNet(nn.Module):
    """Up by interpolation or by a transposed convolution, padded to the size of what it is put beside."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode, self.inc, self.down, self.bottom = mode, _twice(1, 3), _twice(3, 6), _twice(6, 6)
        self.up1, self.up2, self.outc = _twice(12, 3), _twice(6, 3), nn.Conv2d(3, 2, 1)
        self.transposed = nn.ConvTranspose2d(6, 6, 2, 2) if mode == "transposed" else None

    def forward(self, x: Tensor) -> Tensor:
        first = self.inc(x)
        second = self.down(F.max_pool2d(first, 2))
        below = self.bottom(F.max_pool2d(second, 2))
        up = self._up(below) if self.transposed is None else self.transposed(below)
        x = self.up1(torch.cat([second, _padded(up, second)], 1))
        return self.outc(self.up2(torch.cat([first, _padded(self._up(x), first)], 1)))

    def _up(self, x: Tensor) -> Tensor:
        if self.mode == "bilinear":
            return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return F.interpolate(x, scale_factor=2, mode="nearest")


def _twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    )  # fmt: skip


def _padded(x: Tensor, like: Tensor) -> Tensor:
    dy, dx = like.size(2) - x.size(2), like.size(3) - x.size(3)
    return F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])


class ShuffleNet(nn.Module):
    """Half of the channels through a branch, the same one twice, then all of them shuffled by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 3)
        self.branch = nn.Sequential(
            nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            kept, changed = x.chunk(2, 1)
            x = torch.cat([kept, self.branch(changed)], 1)
            n, c, h, w = x.size()
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return self.fc(x.mean([2, 3]))


class Mixer(nn.Module):
    """Perceptrons along patches and along channels, without normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 3)
        self.tokens = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.channels = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(x)).mean(1))


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, float]] = {
    # name: the model, the shape of an input, the number of its folds, half the side of a window
    "dense": (DenseNet, (3, 6, 6), 7, 0.02),
    "inverted residuals": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU6(), InvertedResidual(4, 4, 1),
            InvertedResidual(4, 6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        ),
        (3, 10, 10),
        5,
        0.02,
    ),
    "u-net, bilinear": (lambda: UNet("bilinear"), (1, 8, 8), 12, 0.02),
    "u-net, nearest, odd sizes": (lambda: UNet("nearest"), (1, 10, 9), 12, 0.02),
    "u-net, transposed": (lambda: UNet("transposed"), (1, 9, 10), 12, 0.02),
    "shuffle": (ShuffleNet, (3, 5, 5), 2, 0.1),
    "mixer": (Mixer, (3, 8, 8), 2, 0.2),
    "instance norm of running statistics": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2, True, track_running_stats=True), nn.ReLU()),
        (1, 5, 5),
        1,
        0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_slice_of_an_architecture_is_verified(name: str) -> None:
    build, shape, folds, side = ARCHITECTURES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = with_unfilled_statistics(build())
        inputs = torch.randn(3, *shape, dtype=torch.float64)
    program = read(model, shape)
    assert len(program.folds) == len({fold.layer for fold in program.folds}) == folds
    expected = float64_eval(model)(inputs).detach()
    torch.testing.assert_close(program.outputs(inputs), expected, rtol=1e-12, atol=1e-12)
    pieces = partition(program, tuple(inputs), (-side, side, -side, side))
    assert len(pieces) > 1
    assert pieces.verify().ok
