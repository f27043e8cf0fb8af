"""Random numbers drawn ahead, by a second thread, while those before them are at work."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread

import torch
from torch import Tensor

from normscope.simulate.streams import Streams

_BLOCKS = 2  # ahead of the one in use: with a single one the second thread would fall asleep between two


class Ahead:
    """Blocks of standard normal numbers; while one is in use, a second thread draws the next ones.

    They are the numbers that `Streams.normal_` draws for the same blocks in this order: a generator serves one block
    after another, whichever thread runs it. Who asks for a block draws what of it nobody has begun.

    Args:
        streams: where the numbers come from.
        blocks: networks and shape of every block, in order; none has more numbers than the first.
        dtype: of the numbers.
    """

    def __init__(
        self, streams: Streams, blocks: Iterable[tuple[slice, tuple[int, int, int]]], dtype: torch.dtype
    ) -> None:
        self._streams, self._dtype = streams, dtype
        self._blocks = iter(blocks)
        self._memory: list[Tensor] = []
        self._coming: deque[Tensor] = deque()
        self._lanes = (_Lane(), _Lane())
        self._ordered = self._taken = 0
        self._orders: SimpleQueue[int | None] = SimpleQueue()
        Thread(target=_serve, args=(self._orders, self._lanes), daemon=True, name="normal numbers").start()
        weakref.finalize(self, self._orders.put, None)
        for _ in range(_BLOCKS):
            self._order()

    def take(self) -> Tensor:
        """The next block; the one taken before it is overwritten from now on."""
        self._order()
        self._taken += 1
        for lane in self._lanes:
            lane.reach(self._taken)
        return self._coming.popleft()

    def _order(self) -> None:
        """Have one more block drawn, if there is one."""
        block = next(self._blocks, None)
        if block is None:
            return
        networks, shape = block
        numbers = self._room(shape)
        first, *second = self._streams.draws(numbers, networks)
        self._lanes[0].waiting.append(first)
        self._lanes[1].waiting.append(second[0] if second else _nothing)
        self._coming.append(numbers)
        self._ordered += 1
        self._orders.put(self._ordered)

    def _room(self, shape: tuple[int, int, int]) -> Tensor:
        """Memory that nobody reads: in turns, of one block more than are ahead, each as large as the first."""
        if not self._memory:
            self._memory = [torch.empty(math.prod(shape), dtype=self._dtype) for _ in range(_BLOCKS + 1)]
        return self._memory[self._ordered % (_BLOCKS + 1)][: math.prod(shape)].view(shape)


class _Lane:
    """What one of the two halves of the generators draws, in order."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self._drawn, self._busy = 0, Lock()

    def reach(self, count: int) -> None:
        """Return when ``count`` blocks are drawn, by whomever."""
        while self._drawn < count:
            with self._busy:
                if self._drawn < count:
                    self.waiting[0]()
                    self.waiting.popleft()
                    self._drawn += 1


def _serve(orders: SimpleQueue[int | None], lanes: tuple[_Lane, _Lane]) -> None:
    """Draw up to the block of each order, until there is no more; first what the other thread would do last."""
    # what cannot be drawn here, who asks for it draws, and meets the same error
    with suppress(Exception):
        for count in iter(orders.get, None):
            for lane in reversed(lanes):
                lane.reach(count)


def _nothing() -> None:
    pass
