"""How many threads our own computations use: waking them costs more than they save on tensors of ordinary size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORTH_WAKING = (
    2**20
)  # elements: below, a second thread saves a third of a reduction, and may take ten times as long to wake


@contextmanager
def one_thread(elements: int = 0) -> Iterator[int]:
    """Have torch compute with one thread, if there are few ``elements``; yields how many it has outside."""
    threads = torch.get_num_threads()
    if elements > _WORTH_WAKING or threads == 1:
        yield threads
        return
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
