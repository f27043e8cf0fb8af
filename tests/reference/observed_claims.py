"""Claims that are measured from one observation. Worker processes import them from here."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from normscope.claims import SCALES, Claim, Measurement, NeedsMore, Observation
from reference import toy_claims as toys


def observe(*, seed: int, samples: int, log: str = "") -> Any:
    if log:  # how often it was made
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{seed}\n")
    return np.random.default_rng(seed).normal(0, 1, samples)


def observe_more(*, seed: int, **_: Any) -> Any:
    raise NeedsMore("CIFAR-10 is not on this machine")


def observe_badly(*, seed: int, **_: Any) -> Any:
    raise ZeroDivisionError("no such network")


def crash(*, seed: int, **_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def first_half(observed: Any) -> Measurement:
    return Measurement(pd.DataFrame({"value": observed[: len(observed) // 2]}))


def second_half(observed: Any) -> Measurement:
    return Measurement(pd.DataFrame({"value": observed[len(observed) // 2 :]}))


def raises(observed: Any) -> Measurement:
    raise KeyError(f"none of {len(observed)}")


DRAWN = Observation("toy2026.drawn", observe)


def observed(name: str, measure: Any, observation: Observation = DRAWN, **sizes: Any) -> Claim:
    every = {scale: {"samples": 400, **sizes} for scale in SCALES}
    return replace(toys.HOLDS, id=f"toy2026.{name}", measure=measure, observation=observation, sizes=every)


def family(**sizes: Any) -> tuple[Claim, Claim, Claim]:
    """Three claims of one observation; the last cannot be measured from it."""
    halves = (observed("first", first_half, **sizes), observed("second", second_half, **sizes))
    return (*halves, observed("third", raises, **sizes))
