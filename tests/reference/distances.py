"""Slow, obvious twins of distances, counts, boundaries and margins: one unit, one facet, one pixel at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor, nn

from normscope.spline import Partition, Program

Array = NDArray[np.float64]


def dense(sizes: Sequence[int], *, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    """A multilayer perceptron with He weights and biases of deviation 0.5."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        linear = nn.Linear(fan_in, fan_out)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5)
            linear.bias.copy_(torch.randn(fan_out, generator=generator) * 0.5)
        layers += [linear, activation()] if index < len(sizes) - 2 else [linear]
    return nn.Sequential(*layers)


def small_conv(seed: int = 0) -> nn.Sequential:
    """Of inputs (1, 4, 4): every kind of fold that has its own rule, one after another."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
            nn.Flatten(), nn.Linear(8, 6), nn.Hardtanh(), nn.Linear(6, 5), nn.LeakyReLU(0.1), nn.Linear(5, 3),
        )  # fmt: skip
        nn.init.normal_(model[1].running_mean, std=0.3)
        nn.init.uniform_(model[1].running_var, 0.5, 2.0)
    return model


def facets(program: Program, point: Tensor, index: int) -> list[list[tuple[float, Array]]]:
    """Of each unit of one fold the affine functions (value at the point, gradient) whose zeros are its boundary."""
    x = point.clone().requires_grad_()
    fold = program.folds[index]
    z = program.arguments(x[None], index)[index][0]

    def affine(value: Tensor) -> tuple[float, Array]:
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        return float(value.detach()), gradient.flatten().numpy()

    if fold.windows is None:
        return [[affine(value - kink) for kink in fold.kinks] for value in z]
    found = []
    for window in fold.windows:
        real = [int(entry) for entry in window if entry >= 0]
        top = max(real, key=lambda entry: float(z[entry].detach()))
        found.append([affine(z[top] - z[entry]) for entry in real if entry != top])
    return found


def unit_distance(functions: list[tuple[float, Array]]) -> float:
    """The closest of the hyperplanes; those without a gradient are nowhere."""
    norms = [(value, float(np.linalg.norm(gradient))) for value, gradient in functions]
    return min((abs(value) / norm for value, norm in norms if norm > 1e-13), default=np.inf)


def distance_to_border(functions: list[tuple[float, Array]]) -> float:
    """From 0 to the border of the polytope on which no function changes sign: a quadratic program for each facet."""
    values = np.array([value for value, _ in functions])
    normals = np.stack([gradient for _, gradient in functions])
    sign = np.where(values >= 0, 1.0, -1.0)
    rows, offsets = sign[:, None] * normals, sign * values  # rows · u + offsets >= 0
    best = np.inf
    for row, offset in zip(rows, offsets, strict=True):
        # on the facet: the same condition from both sides
        g, h = np.vstack([rows, -row]), -np.append(offsets, -offset)
        dual = np.vstack([g.T, h])
        _, residual = nnls(dual, np.eye(len(dual))[-1], maxiter=1000)  # Lawson and Hanson, least distance programming
        if residual > 1e-7:  # else the hyperplane does not touch the polytope
            best = min(best, float(np.sqrt(1 / residual**2 - 1)))
    return best


def sides(program: Program, points: Tensor) -> list[Array]:
    """For each fold which side every unit takes at every point, (m, units): kinks below z, or the largest entry."""
    found = []
    for fold, z in zip(program.folds, program.arguments(points), strict=True):
        if fold.windows is None:
            found.append(sum((z > kink).long() for kink in fold.kinks).numpy())
        else:
            entries = [[int(entry) for entry in window if entry >= 0] for window in fold.windows]
            found.append(np.stack([z[:, window].argmax(1).numpy() for window in entries], 1))
    return found


def in_ball(center: Tensor, radius: float, count: int, seed: int = 0) -> Tensor:
    """Points of the ball, uniformly."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, center.numel(), dtype=torch.float64, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    share = torch.rand(count, 1, dtype=torch.float64, generator=generator) ** (1 / center.numel())
    return center + (radius * share * directions).reshape(count, *center.shape)


def to_segment(point: Array, start: Array, end: Array) -> float:
    """Distance from a point to a segment."""
    along = end - start
    share = min(1.0, max(0.0, float((point - start) @ along / (along @ along)))) if along.any() else 0.0
    return float(np.linalg.norm(point - start - share * along))


def edge_distances(partition: Partition, points: Array, fold: int) -> Array:
    """True distance of every point to the edges of every unit of a fold, (m, units); infinite without an edge."""
    found = np.full((len(points), partition.folds[fold].units), np.inf)
    edges = partition.edges[partition.edges["fold"] == fold]
    for start, end, unit in edges[["start", "end", "unit"]].itertuples(index=False):
        for row, point in enumerate(points):
            near = to_segment(point, partition.vertices[start], partition.vertices[end])
            found[row, unit] = min(found[row, unit], near)
    return found


def predicted(program: Program, points: Tensor) -> NDArray[np.int64]:
    """The class of every point, the first of those that tie but for rounding; of a single logit if it is above zero."""
    with torch.no_grad():
        logits = program.outputs(points)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    highest = logits.amax(1, keepdim=True)
    return (logits >= highest - 1e-12 * logits.abs().max()).double().argmax(1).numpy()


def balanced(model: nn.Sequential, points: Tensor) -> nn.Sequential:
    """The model in float64 with logits of mean zero over some points, so that every class is somewhere."""
    model = model.double().eval()
    with torch.no_grad():
        model[-1].bias -= model(points).mean(0)
    return model


def pixels(extent: tuple[float, float, float, float], count: int) -> Tensor:
    """Centres of count × count pixels of a window, (count², 2)."""
    low, high = np.array(extent[::2]), np.array(extent[1::2])
    steps = (np.arange(count) + 0.5) / count
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    return torch.tensor(low + grid * (high - low))
