"""Random numbers that depend on the seed and the network alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from normscope.models.inits import stream_seed

_NORMALS_PER_BLOCK = {"cpu": 2**18, "cuda": 2**22}  # stays in a processor's cache; gives an accelerator work
_NORMALS_PER_THREAD = 2**15  # fewer are drawn before another thread wakes up
EVERY = slice(None)
"""All networks, or all features."""
Piece = tuple[slice, slice]
"""Networks and features."""

_ROWS_PER_BLOCK = {"cpu": 2**22, "cuda": 2**26}  # elements of a weight matrix that are drawn together


class Streams:
    """One generator a network, for one purpose.

    Network k has the same numbers whatever the number of networks is, and the first layers those of a deeper network,
    because a network's numbers are drawn one layer after another from a generator of its own. torch's generators take
    seeds of 32 bits; those of one run follow one another, so that no two of its networks share theirs.

    Args:
        seed: the user's.
        purpose: what the numbers are for: two purposes have independent numbers.
        networks: how many.
        device: where the numbers are drawn.
    """

    def __init__(self, seed: int, purpose: str, networks: int, device: torch.device) -> None:
        first, second = stream_seed(seed, purpose), stream_seed(seed, f"{purpose}, second half")
        self.generators, self._second = (
            [torch.Generator(device).manual_seed((start + k) % 2**32) for k in range(networks)]
            for start in (first, second)
        )
        self._threads: ThreadPoolExecutor | None = None

    def normal_(self, out: Tensor, networks: slice) -> Tensor:
        """Fill ``out`` (networks, …), contiguous, with standard normal numbers."""
        first, *second = self.draws(out, networks)
        if second and torch.get_num_threads() > 1:
            self._threads = self._threads or ThreadPoolExecutor(1)
            drawn = self._threads.submit(second[0])
            first()
            drawn.result()
        else:
            for draw in (first, *second):
                draw()
        return out

    def draws(self, out: Tensor, networks: slice) -> list[Callable[[], None]]:
        """What fills ``out``, undone: one piece of work, or two that two threads may do."""
        parts = out.view(out.shape[0], -1)
        half = parts.shape[1] // 2
        if half < _NORMALS_PER_THREAD or out.device.type != "cpu":
            return [partial(_draw, self.generators[networks], parts)]
        # Two halves from two generators, with one thread or two: the numbers are the same.
        return [
            partial(_draw, self.generators[networks], parts[:, :half]),
            partial(_draw, self._second[networks], parts[:, half:]),
        ]


def _draw(generators: list[torch.Generator], parts: Tensor) -> None:
    for generator, part in zip(generators, parts.unbind(0), strict=True):
        part.normal_(generator=generator)


def feature_block(n: int, width: int, device: torch.device) -> int:
    """Features of a law's block: a fixed number, whatever memory and threads are, since numbers are drawn by block."""
    return min(width, max(1, _NORMALS_PER_BLOCK.get(device.type, 2**18) // n))


def row_block(fan_in: int, width: int, device: torch.device) -> int:
    """Rows of a weight matrix that are drawn together."""
    return min(width, max(1, _ROWS_PER_BLOCK.get(device.type, 2**22) // fan_in))


def blocks(width: int, block: int) -> Iterator[slice]:
    """``width`` features in blocks, the last one shorter."""
    for start in range(0, width, block):
        yield slice(start, min(start + block, width))


def pieces(networks: int, width: int, block: int, numbers_per_network: int, device: torch.device) -> list[Piece]:
    """What of a layer is computed together: networks and features, in the order in which numbers are drawn."""
    return [(some, part) for some in groups(networks, numbers_per_network, device) for part in blocks(width, block)]


def groups(networks: int, numbers_per_network: int, device: torch.device) -> Iterator[slice]:
    """Networks in groups that are computed together; this changes no number that is drawn."""
    size = max(1, 4 * _NORMALS_PER_BLOCK.get(device.type, 2**18) // numbers_per_network)
    if size >= networks:
        yield EVERY
        return
    for start in range(0, networks, size):
        yield slice(start, min(start + size, networks))
