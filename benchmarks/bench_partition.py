"""Time of the partition of a window: against clipping polygons one by one, by number of regions, and its memory.

The networks are 2–W–W–W–1 ReLU perceptrons, He weights, biases of standard deviation 0.5, on [−2, 2]². Clipping keeps
the polygon of each region and the affine map of the layer before, and cuts it by every unit that changes sign at its
vertices, in numpy; it is the straightforward way, and gives the same regions. Each round times both in turn, so that
they see the same state of the machine. Every size is a fresh process, whose peak memory is its own. All run in one
thread; what counts is processor time, which on an idle machine is that on the clock.

    python benchmarks/bench_partition.py [--rounds 5] [--widths 25 50 100 200] [--clipped 25 50] [--largest 580]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from normscope.spline import partition, read

EXTENT = (-2.0, 2.0, -2.0, 2.0)
TARGETS = {100: 0.5, 200: 2.0, 580: 30.0}  # seconds, by width
LARGEST_BYTES = 4 * 2**30

Floats = NDArray[np.float64]
Region = tuple[Floats, Floats, Floats]  # polygon, matrix, offset


def perceptron(width: int, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise([2, width, width, width, 1]):
        linear = nn.Linear(fan_in, fan_out, dtype=torch.float64)
        with torch.no_grad():
            weight = torch.randn(fan_out, fan_in, generator=generator, dtype=torch.float64)
            linear.weight.copy_(weight * math.sqrt(2 / fan_in))
            linear.bias.copy_(0.5 * torch.randn(fan_out, generator=generator, dtype=torch.float64))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def clipped(model: nn.Sequential) -> list[Region]:
    """Region after region, cut by unit after unit."""
    xmin, xmax, ymin, ymax = EXTENT
    window = np.array([(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax)])
    regions: list[Region] = [(window, np.eye(2), np.zeros(2))]
    linears = [module for module in model if isinstance(module, nn.Linear)][:-1]
    for linear in linears:
        weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
        after: list[Region] = []
        for polygon, matrix, offset in regions:
            matrix, offset = weight @ matrix, weight @ offset + bias
            for part in cut(polygon, matrix, offset):
                active = (matrix @ part.mean(axis=0) + offset > 0)[:, None]
                after.append((part, matrix * active, offset * active[:, 0]))
        regions = after
    return regions


def cut(polygon: Floats, matrix: Floats, offset: Floats) -> list[Floats]:
    values = polygon @ matrix.T + offset
    parts = [polygon]
    for unit in np.flatnonzero((values.min(axis=0) < 0) & (values.max(axis=0) > 0)):
        parts = [half for part in parts for half in halves(part, part @ matrix[unit] + offset[unit])]
    return parts


def halves(polygon: Floats, values: Floats) -> list[Floats]:
    if values.min() >= 0 or values.max() <= 0:
        return [polygon]
    kept: tuple[list[Floats], list[Floats]] = ([], [])
    for index, (here, there) in enumerate(zip(values, np.roll(values, -1), strict=True)):
        start, end = polygon[index], polygon[(index + 1) % len(polygon)]
        for side, sign in enumerate((1, -1)):
            if sign * here >= 0:
                kept[side].append(start)
            if here * there < 0:
                kept[side].append(start + here / (here - there) * (end - start))
    return [np.array(side) for side in kept]


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def against_clipping(widths: list[int], rounds: int) -> None:
    print("\nagainst clipping, seconds of the processor (medians)")
    print(f"{'width':>6s}{'regions':>9s}{'ours':>9s}{'clipping':>10s}{'ratio':>7s}{'min':>7s}{'max':>7s}")
    for width in widths:
        model = perceptron(width)
        program = read(model, (2,))
        found, expected = len(partition(program, None, EXTENT)), len(clipped(model))
        if found != expected:
            raise SystemExit(f"width {width}: {found} regions, but clipping gives {expected}")
        times = [
            (seconds(lambda p=program: partition(p, None, EXTENT)), seconds(lambda m=model: clipped(m)))  # type: ignore[misc]  # mypy infers no type of defaults
            for _ in range(rounds)
        ]
        ratios = [theirs / ours for ours, theirs in times]
        ours, theirs = (median(column) for column in zip(*times, strict=True))
        print(
            f"{width:6d}{found:9d}{ours:9.3f}{theirs:10.2f}{median(ratios):7.0f}{min(ratios):7.0f}{max(ratios):7.0f}",
            flush=True,
        )


def one_size(width: int, rounds: int, queue: multiprocessing.Queue[tuple[int, list[float], list[float], int]]) -> None:
    torch.set_num_threads(1)
    program = read(perceptron(width), (2,))
    partition(read(perceptron(10), (2,)), None, EXTENT)
    walls, cpus, regions = [], [], 0
    for _ in range(rounds):
        start, cpu = time.perf_counter(), time.process_time()
        regions = len(partition(program, None, EXTENT, max_regions=10**8))
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - cpu)
    queue.put((regions, walls, cpus, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def by_size(widths: list[int], rounds: int, largest: int) -> None:
    print("\nby size, one thread: seconds on the clock and of the processor (medians), peak memory of the process")
    print(f"{'width':>6s}{'regions':>10s}{'clock':>9s}{'processor':>11s}{'µs/region':>11s}{'GiB':>7s}  target")
    context = multiprocessing.get_context("spawn")
    sizes: list[tuple[int, float]] = []
    for width in [*widths, *([largest] if largest else [])]:
        queue: multiprocessing.Queue[tuple[int, list[float], list[float], int]] = context.Queue()
        process = context.Process(target=one_size, args=(width, 1 if width == largest else rounds, queue))
        process.start()
        regions, walls, cpus, peak = queue.get()
        process.join()
        clock, processor = median(walls), median(cpus)
        sizes.append((regions, processor))
        goal = TARGETS.get(width)
        told = "-" if goal is None else f"< {goal:g} s {'met' if processor < goal else 'MISSED'}"
        if width == largest:
            told += f", < 4 GiB {'met' if peak < LARGEST_BYTES else 'MISSED'}"
        print(
            f"{width:6d}{regions:10d}{clock:9.2f}{processor:11.2f}{processor / regions * 1e6:11.2f}{peak / 2**30:7.2f}"
            f"  {told}",
            flush=True,
        )
    counts, times = np.log(np.array(sizes)).T
    if len(sizes) > 1:
        print(f"processor time grows as regions^{np.polyfit(counts, times, 1)[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default 5)")
    parser.add_argument("--widths", type=int, nargs="*", default=[25, 50, 100, 200], help="widths timed by size")
    parser.add_argument("--clipped", type=int, nargs="*", default=[25, 50], help="widths compared with clipping")
    parser.add_argument("--largest", type=int, default=580, help="width of the one large run (default 580; 0: none)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, numpy {np.__version__}, one thread, float64")
    against_clipping(arguments.clipped, arguments.rounds)
    by_size(arguments.widths, arguments.rounds, arguments.largest)


if __name__ == "__main__":
    main()
