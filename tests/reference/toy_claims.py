"""Claims that are fast and end in every way in which a claim can end. Worker processes import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from normscope.claims import SCALES, Claim, Criterion, Measurement, NeedsMore, Paper, Part
from normscope.claims.parts import at_least, within
from normscope.claims.statistics import exact, mean

PAPER = Paper("On Toys", "0000.00000", "Toy et al. 2026")


def measure_normal(*, seed: int, samples: int, centre: float = 0.0, log: str = "") -> Measurement:
    if log:  # who ran, and how often
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{seed}\n")
    values = np.random.default_rng(seed).normal(centre, 1.0, samples)
    table = pd.DataFrame({"network": np.arange(samples), "value": values})
    return Measurement(table, {"samples": samples})


def judge_mean(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    margin = criterion.limits["margin"]
    return [within("mean", mean(measurement.table["value"], criterion.confidence), -margin, margin)]


def draw_values(measurement: Measurement, ax: Any) -> None:
    ax.hist(measurement.table["value"], color="#0072B2")
    ax.set(xlabel="value", ylabel="networks <b>&</b>")


def judge_exactly(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return [at_least("samples", exact(float(measurement.scalars["samples"])), criterion.limits["least"])]


def raises(*, seed: int, **_: Any) -> Measurement:
    raise KeyError("no such\nlayer")


def needs_more(*, seed: int, **_: Any) -> Measurement:
    raise NeedsMore("needs a GPU: give one with --device cuda")


def no_memory(*, seed: int, **_: Any) -> Measurement:
    raise MemoryError("width 10000000 needs 4 TB, 16 GB are free: lower the width")


def crashes(*, seed: int, **_: Any) -> Measurement:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("this process is gone")


def leaves(*, seed: int, **_: Any) -> Measurement:
    os.write(2, b"something\nfree(): invalid pointer\n")
    os._exit(3)


def prints(*, seed: int, **_: Any) -> Measurement:
    print("a print between the results")
    os.write(1, b"and bytes on the descriptor")
    return measure_normal(seed=seed, samples=400)


def waits_for(*, seed: int, started: str, until: str = "", **_: Any) -> Measurement:
    """Says that it has started, and ends when the file ``until`` is there."""
    Path(started).write_text(str(os.getpid()), encoding="utf-8")
    end = time.monotonic() + 60
    while time.monotonic() < end and not (until and Path(until).exists()):
        time.sleep(0.02)
    return measure_normal(seed=seed, samples=400)


def environment(*, seed: int) -> Measurement:
    import torch

    scalars = {"threads": int(os.environ["OMP_NUM_THREADS"]), "policy": os.environ["OMP_WAIT_POLICY"]}
    return Measurement(pd.DataFrame({"value": [0.0, 0.1]}), {**scalars, "torch_threads": torch.get_num_threads()})


def draw_badly(measurement: Measurement, ax: Any) -> None:
    raise ZeroDivisionError("no line fits")


MEAN = Criterion(
    text="the whole {confidence:.0%} interval of the mean lies within {margin} of 0",
    limits={"margin": 0.3},
    error_rate=0.01,
    error="calling it reproduced though the mean is further away",
    judge=judge_mean,
)
EXACT = Criterion(
    text="at least {least:g} samples were drawn", limits={"least": 100}, error_rate=0, judge=judge_exactly
)


def toy(name: str, measure: Any = measure_normal, **changes: Any) -> Claim:
    sizes: Mapping[str, Any] = changes.pop("sizes", {"samples": 400})
    fields: dict[str, Any] = {
        "id": f"toy2026.{name}",
        "paper": PAPER,
        "result": "Theorem 1",
        "statement": f"Toys of the kind {name} have mean 0.",
        "method": "Draw normals, take their mean.",
        "criterion": MEAN,
        "measure": measure,
        "figure": draw_values,
        "sizes": {scale: dict(sizes) for scale in SCALES} | {"paper": {**sizes, "samples": 1000} if sizes else {}},
        "seconds": {"quick": 1, "full": 2, "paper": 3},
    }
    return Claim(**(fields | changes))


HOLDS = toy("holds")
FAILS = toy("fails", sizes={"samples": 400, "centre": 1.0})
OPEN = toy("open", sizes={"samples": 10})
SURE = toy("sure", criterion=EXACT)
RAISES = toy("raises", raises)
NEEDS = toy("needs-more", needs_more)
MEMORY = toy("memory", no_memory)
CRASHES = toy("crashes", crashes)
LEAVES = toy("leaves", leaves)
PRINTS = toy("prints", prints)
UNDRAWN = replace(HOLDS, id="toy2026.undrawn", figure=draw_badly)
HOSTILE = toy(
    "hostile",
    statement="</script><img src=x onerror=alert(1)> & toys have mean 0.",
    paper=Paper("<b>bold</b>", "0000.00001", "<i>Toy</i> 2026"),
)
EVERY = (HOLDS, FAILS, OPEN, SURE, RAISES, NEEDS, MEMORY, CRASHES, LEAVES, PRINTS, UNDRAWN)
