"""Time of a layer of a random network: by its law, by drawn weights, and against drawing the law's normal numbers.

Each round times every contender once, so that all see the same state of the machine; a ratio is the median over the
rounds. A layer of the law is a run over its depth, set-up included; a layer of weights is the difference of a deep run
and one of depth 1, whose matrix is smaller. The bound is the ratio if a layer of the law were its normal numbers and
nothing else, drawn by all threads without loss; weights are drawn by one thread. Printed with it: the memory that a
wide layer takes, in a fresh process.

    python benchmarks/bench_simulate.py [--rounds 9] [--threads 2] [--width 4096] [--large 1000000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from normscope.simulate import random_network

OVER_WEIGHTS = {8: 300, 32: 100}  # how many times faster than weights, by batch size
OVER_NORMALS = 2.0
COMBINATIONS = {"RC": (True, False), "RS": (False, True), "RC+RS": (True, True), "neither": (False, False)}


def layer_seconds(points: Tensor, width: int, method: str, layers: int, recenter: bool, rescale: bool) -> float:
    """Time of one layer that maps the width to itself."""

    def run(depth: int) -> float:
        start = time.perf_counter()
        random_network(points, width, depth, recenter=recenter, rescale=rescale, method=method, depths=[-1])
        return time.perf_counter() - start

    if method == "law":  # all its layers are alike, and the set-up is its own
        return run(layers) / layers
    return (run(1 + layers) - run(1)) / layers


def normals_seconds(n: int, width: int, layers: int = 1) -> float:
    """Time of the numbers that a layer of the law draws, in one call of torch."""
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    for _ in range(layers):
        torch.randn(n, width, generator=generator)
    return (time.perf_counter() - start) / layers


def points(n: int) -> Tensor:
    return torch.randn(n, 64, generator=torch.Generator().manual_seed(1))


def verdict(ratio: float, target: float, *, at_least: bool) -> str:
    met = ratio >= target if at_least else ratio <= target
    return f"{'≥' if at_least else '≤'} {target:g} {'met' if met else 'MISSED'}"


def rounds_of(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    for contender in contenders.values():
        contender()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender())
    return times


def against_weights(width: int, rounds: int, threads: int) -> None:
    print(f"\none layer of width {width}, ReLU: law against drawn weights (microseconds, medians)")
    print(f"{'n':>4s}  {'layer':8s}{'law':>9s}{'weights':>10s}{'ratio':>8s}{'min':>8s}{'max':>8s}{'bound':>8s}  target")
    for n, target in OVER_WEIGHTS.items():
        x = points(n)
        for name, (rc, rs) in COMBINATIONS.items():
            times = rounds_of(
                {
                    "law": partial(layer_seconds, x, width, "law", 200, rc, rs),
                    "weights": partial(layer_seconds, x, width, "weights", 3, rc, rs),
                    "normals": partial(normals_seconds, n, width, 50),
                },
                rounds,
            )
            bound = median(times["weights"]) / median(times["normals"]) * threads
            ratios = [w / t for w, t in zip(times["weights"], times["law"], strict=True)]
            print(
                f"{n:4d}  {name:8s}{median(times['law']) * 1e6:9.0f}{median(times['weights']) * 1e6:10.0f}"
                f"{median(ratios):8.0f}{min(ratios):8.0f}{max(ratios):8.0f}{bound:8.0f}  "
                f"{verdict(median(ratios), target, at_least=True)}"
            )


def against_normals(width: int, rounds: int) -> None:
    print(f"\none layer of width {width} by the law: ratio to torch.randn(n, {width})")
    print(f"{'n':>4s}  {'layer':8s}{'law, ms':>9s}{'randn, ms':>11s}{'ratio':>8s}{'min':>8s}{'max':>8s}  target")
    for n in (8, 32, 128):
        x = points(n)
        for name, (rc, rs) in COMBINATIONS.items():
            times = rounds_of(
                {
                    "law": partial(layer_seconds, x, width, "law", 2, rc, rs),
                    "normals": partial(normals_seconds, n, width),
                },
                rounds,
            )
            ratios = [t / r for t, r in zip(times["law"], times["normals"], strict=True)]
            goal = "-"  # of large batches the matrix products, n² a feature, are the bound
            if n <= 32:
                goal = verdict(median(ratios), OVER_NORMALS, at_least=False)
            print(
                f"{n:4d}  {name:8s}{median(times['law']) * 1e3:9.2f}{median(times['normals']) * 1e3:11.2f}"
                f"{median(ratios):8.2f}{min(ratios):8.2f}{max(ratios):8.2f}  {goal}"
            )


def peak_bytes() -> int:
    """Largest resident set of this process so far."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(match[1]) if match else 0


def wide_layer(width: int, threads: int, queue: multiprocessing.Queue[tuple[float, int]]) -> None:
    torch.set_num_threads(threads)
    x = points(32)
    random_network(x, 1000, 1, recenter=True, rescale=False)
    before, start = peak_bytes(), time.perf_counter()
    random_network(x, width, 1, recenter=True, rescale=False)
    queue.put((time.perf_counter() - start, peak_bytes() - before))


def memory(width: int, threads: int) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[float, int]] = context.Queue()
    process = context.Process(target=wide_layer, args=(width, threads, queue))
    process.start()
    seconds, grown = queue.get()
    process.join()
    print(f"\nn = 32, width {width}: {seconds:.2f} s a layer, {grown / 2**20:.1f} MiB more than width 1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each comparison (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    parser.add_argument("--width", type=int, default=4096, help="width of the comparison with weights (default 4096)")
    parser.add_argument("--large", type=int, default=1_000_000, help="width of the comparison with randn (default 10⁶)")
    parser.add_argument("--widest", type=int, default=10_000_000, help="width of the one layer (default 10⁷)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, float32 features, float64 Gram matrices")
    against_weights(arguments.width, arguments.rounds, arguments.threads)
    against_normals(arguments.large, arguments.rounds)
    memory(arguments.widest, arguments.threads)


if __name__ == "__main__":
    main()
