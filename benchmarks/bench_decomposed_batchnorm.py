"""Time and memory of decomposed batch normalization, as ratios to torch.nn.BatchNorm2d in the same run.

Each round times one forward and backward of torch's layer and one of ours, so that both see the same state of the
machine; the ratio of a variant is the median over the rounds, with the smallest and largest beside it.

    python benchmarks/bench_decomposed_batchnorm.py [--repeats 40] [--threads 2] [--shape 64 64 32 32]
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normscope.nn import DecomposedBatchNorm2d
from normscope.nn.switches import Scale


class Variant(NamedTuple):
    """Switches of the layer, and the largest ratio that is good enough."""

    name: str
    recenter: bool
    rescale: bool
    scale: Scale = "auto"
    target: float | None = None  # of time to torch's, for contiguous input


VARIANTS = (
    Variant("both on", True, True, target=1.05),
    Variant("recenter only", True, False, target=0.95),
    Variant("rescale only", False, True, target=1.10),
    Variant("recenter, scale rms", True, True, "rms"),
    Variant("rescale only, scale std", False, True, "std"),
    Variant("neither", False, False),
)


def seconds(layer: nn.Module, x: Tensor, dy: Tensor) -> float:
    layer.zero_grad()
    x.grad = None
    start = time.perf_counter()
    layer(x).backward(dy)
    return time.perf_counter() - start


def saved_bytes(layer: nn.Module, x: Tensor) -> int:
    """Bytes that the graph of one forward pass keeps for backward; memory that is shared counts once."""
    storages: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        layer(x)
    return sum(storages.values())


def time_ratios(variant: Variant, x: Tensor, dy: Tensor, repeats: int) -> list[float]:
    ours = DecomposedBatchNorm2d(x.shape[1], recenter=variant.recenter, rescale=variant.rescale, scale=variant.scale)
    torchs = nn.BatchNorm2d(x.shape[1])
    for layer in (torchs, ours) * 3:
        seconds(layer, x, dy)
    ratios = []
    for i in range(repeats):
        # Whoever goes second finds a warmer allocator: take turns.
        first, second = (torchs, ours) if i % 2 else (ours, torchs)
        times = {first: seconds(first, x, dy), second: seconds(second, x, dy)}
        ratios.append(times[ours] / times[torchs])
    return ratios


def report(shape: list[int], memory_format: torch.memory_format, repeats: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(shape, generator=generator).to(memory_format=memory_format) for _ in range(2))
    x.requires_grad_()
    reference = saved_bytes(nn.BatchNorm2d(shape[1]), x)
    layout = str(memory_format).removeprefix("torch.")
    print(f"\n{tuple(shape)} float32, {layout}: forward + backward / torch.nn.BatchNorm2d")
    print(f"{'variant':26s}{'time':>7s}{'min':>7s}{'max':>7s}  {'target':16s}{'saved bytes':>12s}{'/ torch':>9s}")
    for variant in VARIANTS:
        ratios = time_ratios(variant, x, dy, repeats)
        ratio = median(ratios)
        goal = "-"
        if variant.target is not None and memory_format == torch.contiguous_format:
            goal = f"≤ {variant.target:.2f} {'met' if ratio <= variant.target else 'MISSED'}"
        layer = DecomposedBatchNorm2d(shape[1], recenter=variant.recenter, rescale=variant.rescale, scale=variant.scale)
        size = saved_bytes(layer, x)
        print(
            f"{variant.name:26s}{ratio:7.2f}{min(ratios):7.2f}{max(ratios):7.2f}  {goal:16s}"
            f"{size:12d}{size / reference:9.5f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=40, help="rounds per variant (default 40)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    parser.add_argument("--shape", type=int, nargs=4, default=[64, 64, 32, 32], metavar=("N", "C", "H", "W"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads; target for saved bytes: ≤ torch's")
    for memory_format in (torch.contiguous_format, torch.channels_last):
        report(arguments.shape, memory_format, arguments.repeats)


if __name__ == "__main__":
    main()
