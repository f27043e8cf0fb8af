"""Distances to folds: time against one backward pass a unit, and how often first-order values are wrong.

Perceptrons with ReLU, He weights, biases of standard deviation 0.5; float64, one thread. Both ways are timed in turn in
one run. A first-order value |z − kink| / ‖∇z‖ counts as wrong if it differs by more than 1e-6 from the distance to the
unit's edges in the exact partition of [−9, 9]², of 100 Gaussian points and 3 networks, where one of the two is below 6.

    python benchmarks/bench_distances.py [--rounds 3] [--resnet]      # --resnet: all units of a ResNet-20, one image
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope import data, models
from normscope.spline import Program, boundary_distance, partition, read

NETWORKS = (((2, 200, 200, 200, 1), 1000), ((784, 200, 200, 200, 10), 100))
SMALL = ((8, 8), (8, 8, 8), (16, 16, 16), (32, 32, 32))
WINDOW, NEAR, EQUAL = 9.0, 6.0, 1e-6

Floats = NDArray[np.float64]


def perceptron(sizes: Sequence[int], seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            linear.bias.normal_(0, 0.5, generator=generator)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def backward_each_unit(program: Program, points: Tensor) -> None:
    points = points.clone().requires_grad_()
    for z in program.arguments(points):
        for unit in range(z.shape[1]):
            torch.autograd.grad(z[:, unit].sum(), points, retain_graph=True)[0].norm(dim=1)


def compare_times(rounds: int) -> None:
    for sizes, count in NETWORKS:
        program = read(perceptron(sizes), (sizes[0],))
        points = torch.randn(count, sizes[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        ours, theirs = [], []
        for _ in range(rounds):
            begun = time.perf_counter()
            boundary_distance(program, points)
            ours.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            backward_each_unit(program, points)
            theirs.append(time.perf_counter() - begun)
        name = "-".join(map(str, sizes))
        ratio = min(theirs) / min(ours)
        print(f"{name:>22} {count:>6} points {min(ours):8.3f} s {min(theirs):8.3f} s   ratio {ratio:.1f}")


def to_segments(points: Floats, start: Floats, end: Floats) -> Floats:
    """Distance of each point to the nearest segment."""
    along = end - start
    share = ((points[:, None] - start) * along).sum(2) / np.maximum((along**2).sum(1), 1e-300)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    found: Floats = np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)
    return found


def wrong_shares(hidden: Sequence[int]) -> tuple[float, float]:
    """Of the units of all layers, and of those behind the first."""
    wrong, seen = np.zeros(len(hidden)), np.zeros(len(hidden))
    for seed in range(3):
        model = perceptron([2, *hidden, 1], seed)
        points = np.random.default_rng(seed).standard_normal((100, 2))
        first_order = boundary_distance(model, points).first_order
        cut = partition(model, None, (-WINDOW, WINDOW, -WINDOW, WINDOW))
        edges = cut.edges
        for fold, width in enumerate(hidden):
            for unit in range(width):
                own = edges[(edges["fold"] == fold) & (edges["unit"] == unit)]
                start, end = (cut.vertices[own[side].to_numpy()] for side in ("start", "end"))
                true = to_segments(points, start, end) if len(own) else np.full(len(points), np.inf)
                told = first_order[fold][:, unit]
                close = np.minimum(true, told) < NEAR
                with np.errstate(invalid="ignore"):
                    wrong[fold] += (close & ~(np.abs(true - told) <= EQUAL)).sum()
                seen[fold] += close.sum()
    return float(wrong.sum() / seen.sum()), float(wrong[1:].sum() / seen[1:].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resnet", action="store_true", help="all units of a ResNet-20, one image (a minute)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread: ours, one backward a unit (fastest of {arguments.rounds})")
    compare_times(arguments.rounds)
    print("\nfirst-order distances that are wrong: all layers, layers behind the first")
    for hidden in SMALL:
        every, later = wrong_shares(hidden)
        print(f"{'-'.join(map(str, (2, *hidden, 1))):>22} {every:6.0%} {later:6.0%}")
    program = read(models.cifar_resnet(depth=20).eval(), (3, 32, 32))
    image = data.digits(size=32, channels=3, count=1).inputs
    for units in (20, None) if arguments.resnet else (20,):
        begun = time.perf_counter()
        boundary_distance(program, image, units=units)
        told = "all units" if units is None else f"{units} units a layer"
        print(f"\nResNet-20 on 32×32×3, {told}: {time.perf_counter() - begun:.1f} s a point")


if __name__ == "__main__":
    main()
