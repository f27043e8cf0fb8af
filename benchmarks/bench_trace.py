"""Time and memory of `ns.trace`, as ratios to the plain pass of the same model in the same run, beside other tools.

Each round runs every contender once, so that all see the same state of the machine; a ratio is the median over the
rounds of that round's ratio to the plain pass. Peak memory is the growth of the process's resident set during one call,
measured in a fresh process each.

    python benchmarks/bench_trace.py [--repeats 9] [--threads 2] [--only NAME]

torchlens and captum take part where they are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import re
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
    import torchlens

    return torchlens.log_forward_pass(model, x)


def torchlens_light(model: nn.Module, x: Tensor, _: Tensor) -> object:
    import torchlens

    return torchlens.log_forward_pass(model, x, layers_to_save=None)


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
    start = time.perf_counter()
    contender(model, x, targets)
    return time.perf_counter() - start


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


def peak_of(name: str, contender: str, threads: int, queue: multiprocessing.SimpleQueue[int]) -> None:
    """Growth of the peak resident set while one contender runs, in bytes; in a process of its own."""
    torch.set_num_threads(threads)
    run = {"plain forward": plain_forward, "plain backward": plain_backward}
    run |= forward_contenders() | backward_contenders()
    case = models()[name]
    run[contender](case[0], case[1][:2], case[2][:2])  # imports and code paths, not the batch
    before = _high_water(reset=True)
    with contextlib.redirect_stdout(None):
        run[contender](*case)
    queue.put(_high_water() - before)


def _high_water(reset: bool = False) -> int:
    """Peak resident set of this process in bytes; with ``reset`` the count starts anew at what is resident now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")  # Linux; elsewhere there is no such count
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # always there


def peak(name: str, contender: str, threads: int) -> int:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=peak_of, args=(name, contender, threads, queue))
    process.start()
    process.join()
    found: int = queue.get()
    return found


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
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {arguments.threads} threads; memory: peak over that of the plain pass, ≤ 1.20×")
    for name, case in models().items():
        if arguments.only in name:
            report(name, case, arguments.repeats, arguments.threads)


if __name__ == "__main__":
    main()
