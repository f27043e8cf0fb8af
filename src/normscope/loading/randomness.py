"""Code of the user's that draws random numbers, and the global generators that stay as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Put the global random generators back after a block, however it ends.

    Those of torch (CPU, and every CUDA device if CUDA is in use when it begins), numpy and Python.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    legacy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - saved, not used
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            np.random.set_state(legacy)  # noqa: NPY002 - restored, not used
            random.setstate(python)


@contextmanager
def seeded_randomness(seed: int) -> Iterator[None]:
    """Run a block with the global generators started from ``seed``, and put them back afterwards (`kept_randomness`).

    For code that draws from them without being asked: a module that builds a model when imported, a factory, a loader
    that shuffles.

    Args:
        seed: start of the generators; the same seed draws the same weights.
    """
    with kept_randomness():
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which also reaches devices not yet in use
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is the one in question
        random.seed(seed)
        yield
