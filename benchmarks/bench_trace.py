"""Time and memory of `ns.trace`, as ratios to the plain pass of the same model in the same run, beside other tools.

Each round runs every contender once, so that all see the same state of the machine; a ratio is the median over the
rounds of that round's ratio to the plain pass. Peak memory is the growth of the process's resident set during one call,
measured in a fresh process each.

    python benchmarks/bench_trace.py [--repeats 9] [--threads 2] [--only NAME]

torchlens and captum take part where they are installed: `make bench`, or pip install 'normscope[bench]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

import normscope as ns

Contender = Callable[[nn.Module, Tensor, Tensor], object]
TARGETS = {"moments": 1.4, "all measures": 2.2, "all measures, gradients": 1.5}


def models() -> dict[str, tuple[nn.Module, Tensor, Tensor]]:
    """The two networks of the benchmark, each with a batch and its targets."""
    generator = torch.Generator().manual_seed(0)
    return {
        "MLP, 50 layers of 512, batch 128": (
            ns.models.mlp(512, 512, 50),
            torch.randn(128, 512, generator=generator),
            torch.randint(10, (128,), generator=generator),
        ),
        "ResNet-20, batch 64×3×32×32": (
            ns.models.cifar_resnet(20),
            torch.randn(64, 3, 32, 32, generator=generator),
            torch.randint(10, (64,), generator=generator),
        ),
    }


def plain_forward(model: nn.Module, x: Tensor, _: Tensor) -> object:
    return model(x)


def plain_backward(model: nn.Module, x: Tensor, targets: Tensor) -> object:
    loss = nn.functional.cross_entropy(model(x), targets)
    return torch.autograd.grad(loss, list(model.parameters()))


def clone_everything(model: nn.Module, x: Tensor, _: Tensor) -> object:
    """What a first hook-based tool does: keep a copy of every output."""
    kept: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: kept.append(output.detach().clone()))
        for module in model.modules()
        if not list(module.children())
    ]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def torchlens_full(model: nn.Module, x: Tensor, _: Tensor) -> object:
    """Every operation with its output and all that torchlens says of it."""
    import torchlens

    return torchlens.trace(model, x)


def torchlens_light(model: nn.Module, x: Tensor, _: Tensor) -> object:
    """The lightweight recorder of torchlens: outputs of all operations, no graph."""
    import torchlens

    return torchlens.record(model, x, default_op=True)


def captum_activations(model: nn.Module, x: Tensor, _: Tensor) -> object:
    """Captum's LayerActivation of every leaf: one call for all layers."""
    from captum.attr import LayerActivation

    leaves = [module for module in model.modules() if not list(module.children())]
    return LayerActivation(model, leaves).attribute(x)


def forward_contenders() -> dict[str, Contender]:
    found: dict[str, Contender] = {
        "moments": lambda m, x, _: ns.trace(m, x, measures=("moments",)),
        "all measures": lambda m, x, _: ns.trace(m, x),
        "all measures, ops too": lambda m, x, _: ns.trace(m, x, capture="ops"),
        "clone everything": clone_everything,
    }
    if importlib.util.find_spec("torchlens"):
        found |= {"torchlens, light": torchlens_light, "torchlens, full": torchlens_full}
    if importlib.util.find_spec("captum"):
        found["captum LayerActivation"] = captum_activations
    return found


def backward_contenders() -> dict[str, Contender]:
    return {
        "moments, gradients": lambda m, x, t: ns.trace(m, x, t, measures=("moments",)),
        "all measures, gradients": lambda m, x, t: ns.trace(m, x, t),
    }


def seconds(contender: Contender, model: nn.Module, x: Tensor, targets: Tensor) -> float:
    prepare(contender)
    try:
        start = time.perf_counter()
        contender(model, x, targets)
        return time.perf_counter() - start
    finally:
        clear_up(contender)


def prepare(contender: Contender) -> None:
    """Not timed: torchlens replaces the functions of torch before its first pass."""
    if contender in (torchlens_full, torchlens_light):
        from torchlens.backends.torch.wrappers import wrap_torch

        wrap_torch()


def clear_up(contender: Contender) -> None:
    """Not timed: what torchlens leaves in the place of torch's functions would slow down all others."""
    if contender in (torchlens_full, torchlens_light):
        from torchlens.backends.torch.wrappers import unwrap_torch

        unwrap_torch()


def time_ratios(
    plain: Contender, contenders: dict[str, Contender], case: tuple[nn.Module, Tensor, Tensor], repeats: int
) -> dict[str, list[float]]:
    ratios: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(repeats + 1):
        base = seconds(plain, *case)
        for name, contender in contenders.items():
            ratio = seconds(contender, *case) / base
            if round_:  # the first round warms up
                ratios[name].append(ratio)
    return ratios


def grown_peak(name: str, contender: str) -> int:
    """Growth of this process's peak resident set while one contender runs, in bytes."""
    run = {"plain forward": plain_forward, "plain backward": plain_backward}
    run |= forward_contenders() | backward_contenders()
    case = models()[name]
    run[contender](case[0], case[1][:2], case[2][:2])  # imports and code paths, not the batch
    before = _high_water(reset=True)
    run[contender](*case)
    return _high_water() - before


def _high_water(reset: bool = False) -> int:
    """Peak resident set of this process in bytes; with ``reset`` the count starts anew at what is resident now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")  # Linux; elsewhere there is no such count
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # always there


# What is freed goes back to the system at once: otherwise the peak tells what the allocator hoards, not what is held.
_GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak(name: str, contender: str, threads: int) -> int:
    """`grown_peak` of a process of its own; not of multiprocessing, in whose children torchlens refuses to run."""
    command = [sys.executable, __file__, "--threads", str(threads), "--peak", name, contender]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | _GIVEN_BACK)
    return int(done.stdout.splitlines()[-1])  # tools may print


def report(name: str, case: tuple[nn.Module, Tensor, Tensor], repeats: int, threads: int) -> None:
    weights = sum(p.nbytes for p in case[0].parameters())
    for base_name, plain, contenders in (
        ("plain forward", plain_forward, forward_contenders()),
        ("plain backward", plain_backward, backward_contenders()),
    ):
        base = peak(name, base_name, threads)
        print(f"\n{name}: against the {base_name} ({base / 1e6:.0f} MB, parameters {weights / 1e6:.0f} MB)")
        print(f"{'':26s} {'time':>6s} {'min':>6s} {'max':>6s}  {'target':14s} {'memory':>9s}")
        for contender, ratios in time_ratios(plain, contenders, case, repeats).items():
            target = TARGETS.get(contender)
            verdict = "" if target is None else f"≤ {target:.1f} {'met' if median(ratios) <= target else 'MISSED'}"
            # what the process holds anyway while it runs: weights, and what the plain pass needs
            memory = (weights + peak(name, contender, threads)) / (weights + base)
            times = f"{median(ratios):6.2f} {min(ratios):6.2f} {max(ratios):6.2f}"
            print(f"{contender:26s} {times}  {verdict:14s} {memory:8.2f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="part of the name of a network")
    parser.add_argument("--peak", nargs=2, metavar=("NETWORK", "CONTENDER"), help="growth of the peak memory, in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    if arguments.peak:
        print(grown_peak(*arguments.peak))
        return
    absent = [name for name in ("torchlens", "captum") if not importlib.util.find_spec(name)]
    if absent:
        print(f"without {' and '.join(absent)}, not installed: make bench, or pip install 'normscope[bench]'")
    print(f"torch {torch.__version__}, {arguments.threads} threads; memory: peak over that of the plain pass, ≤ 1.20×")
    for name, case in models().items():
        if arguments.only in name:
            report(name, case, arguments.repeats, arguments.threads)


if __name__ == "__main__":
    main()
