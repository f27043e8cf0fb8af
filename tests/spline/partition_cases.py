"""Perceptrons with weights that are fractions, as modules and for the exact reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from normscope.spline import Partition, partition
from reference.partition import Bend, Layer, Piece, area, inside, regions

BENDS = {
    "relu": (nn.ReLU, Bend()),
    "leaky_relu": (lambda: nn.LeakyReLU(0.25), Bend(slopes=(Fraction(1, 4), Fraction(1)))),
    "hardtanh": (nn.Hardtanh, Bend((-1, 1), (Fraction(0), Fraction(1), Fraction(0)))),
    "relu6": (nn.ReLU6, Bend((0, 6), (Fraction(0), Fraction(1), Fraction(0)))),
    "pool2": (lambda: Pool(2), Bend(pool=2)),
    "pool3": (lambda: Pool(3), Bend(pool=3)),
}


class Pool(nn.Module):
    """The maximum of neighbouring features."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool1d(x[:, None], self.size)[:, 0]


@dataclass(frozen=True)
class Case:
    """A network, its layers as fractions, and a window."""

    model: nn.Module
    layers: list[Layer]
    bends: list[Bend]
    extent: tuple[int, int, int, int] = (-2, 2, -2, 2)

    def partition(self) -> Partition:
        return partition(self.model, None, self.extent)

    def reference(self) -> list[Piece]:
        return regions(self.layers, self.bends, self.extent)


def case(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], kinds: Sequence[str]) -> Case:
    """A network of linear layers, with a bend between two; weights are exact in float64."""
    modules: list[nn.Module] = []
    layers: list[Layer] = []
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.as_tensor(weight))
            linear.bias.copy_(torch.as_tensor(bias))
        modules.append(linear)
        layers.append(([[Fraction(float(w)) for w in row] for row in weight], [Fraction(float(b)) for b in bias]))
        if index < len(kinds):
            modules.append(BENDS[kinds[index]][0]())
    return Case(nn.Sequential(*modules), layers, [BENDS[kind][1] for kind in kinds])


def pooled_width(kind: str, width: int) -> int:
    """Features after a bend."""
    return width // BENDS[kind][1].pool if BENDS[kind][1].pool else width


def random_case(seed: int, kinds: Sequence[str], width: int, *, largest: int, denominator: int) -> Case:
    """Weights and biases k / denominator with |k| ≤ largest."""
    generator = np.random.default_rng(seed)
    widths, weights, biases = 2, [], []
    for kind in [*kinds, None]:
        units = 1 if kind is None else width
        weights.append(generator.integers(-largest, largest + 1, size=(units, widths)) / denominator)
        biases.append(generator.integers(-largest, largest + 1, size=units) / denominator)
        widths = 1 if kind is None else pooled_width(kind, units)
    return case(weights, biases, kinds)


def assert_same(found: Partition, expected: list[Piece]) -> None:
    """Every exact region is one of the found ones, with the same area and as many active units."""
    assert len(found) == len(expected)
    where = found.locate(np.array([inside(piece.polygon) for piece in expected]))
    assert len(set(where.tolist())) == len(expected)
    areas = np.array([float(area(piece.polygon)) for piece in expected])
    np.testing.assert_allclose(found.area[where], areas, rtol=1e-9, atol=1e-14)
    assert found.regions["active"].to_numpy()[where].tolist() == [piece.active for piece in expected]
