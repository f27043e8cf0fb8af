"""Numbers drawn ahead by a second thread: the same ones, whoever is faster, and no trace of it afterwards."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normscope.simulate import ahead as ahead_module
from normscope.simulate import law, random_network, streams
from normscope.simulate.ahead import Ahead
from normscope.simulate.streams import EVERY, Streams

CPU = torch.device("cpu")
NETWORKS = 3
HALVES = 2 * streams._NORMALS_PER_THREAD  # from so many numbers on, two generators serve a network
OPTIONS = {"width": 5000, "depth": 4, "recenter": True, "rescale": False}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def points(n: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(n))


def plain(blocks: list[tuple[slice, tuple[int, int, int]]], dtype: torch.dtype) -> list[torch.Tensor]:
    """The slow way: one thread, one block after another, in memory of its own."""
    own = Streams(0, "test", NETWORKS, CPU)
    return [own.normal_(torch.empty(shape, dtype=dtype), networks) for networks, shape in blocks]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    widths=st.lists(st.sampled_from([HALVES, HALVES - 1, 40, 17]), min_size=1, max_size=6),
    grouped=st.lists(st.booleans(), min_size=6, max_size=6),
)
@settings(max_examples=15)
def test_the_numbers_are_those_of_one_thread(dtype, widths, grouped):
    blocks = [(EVERY, (NETWORKS, 1, HALVES))]  # none is larger than the first
    for width, group in zip(widths, grouped, strict=False):
        networks = slice(1, 2) if group else EVERY
        blocks.append((networks, (1 if group else NETWORKS, 1, width)))
    ahead = Ahead(Streams(0, "test", NETWORKS, CPU), blocks, dtype)
    for expected in plain(blocks, dtype):
        assert torch.equal(ahead.take(), expected)


@pytest.mark.parametrize("slow", ["second thread", "first thread", "user"])
def test_who_is_slower_does_not_matter(slow, monkeypatch):
    """Delays where the threads could overtake each other: nobody reads a block that is being written."""
    user = threading.current_thread()
    draw = streams._draw

    def delayed(*arguments: object) -> None:
        if (threading.current_thread() is user) == (slow == "first thread") and slow != "user":
            time.sleep(0.003)
        draw(*arguments)

    blocks = [(EVERY, (NETWORKS, 1, HALVES))] * 8
    expected = plain(blocks, torch.float32)
    monkeypatch.setattr(streams, "_draw", delayed)
    ahead = Ahead(Streams(0, "test", NETWORKS, CPU), blocks, torch.float32)
    for numbers in expected:
        taken = ahead.take()
        if slow == "user":
            time.sleep(0.005)
        assert torch.equal(taken, numbers)


def test_both_threads_draw(monkeypatch):
    drawn: list[str] = []
    draw = streams._draw

    def noted(*arguments: object) -> None:
        drawn.append(threading.current_thread().name)
        time.sleep(0.002)
        draw(*arguments)

    monkeypatch.setattr(streams, "_draw", noted)
    blocks = [(EVERY, (NETWORKS, 1, HALVES))] * 6
    ahead = Ahead(Streams(0, "test", NETWORKS, CPU), blocks, torch.float32)
    for _ in blocks:
        ahead.take()
    assert len(drawn) == 2 * len(blocks)
    assert set(drawn) == {"normal numbers", threading.current_thread().name}


def test_what_fails_in_the_second_thread_fails_where_the_numbers_are_asked_for(monkeypatch):
    def failing(*_: object) -> None:
        raise FloatingPointError("no numbers")

    monkeypatch.setattr(streams, "_draw", failing)
    ahead = Ahead(Streams(0, "test", NETWORKS, CPU), [(EVERY, (NETWORKS, 1, 10))], torch.float32)
    with pytest.raises(FloatingPointError, match="no numbers"):
        ahead.take()


@pytest.mark.parametrize("n", [6, 33])
@pytest.mark.parametrize("residual", [None, "projected", "activated"])
def test_a_network_is_the_same_without_drawing_ahead(n, residual, two_threads, monkeypatch):
    options = OPTIONS | {"residual": residual, "networks": 2}
    used = counted(monkeypatch)
    with_it = random_network(points(n), **options)
    assert used
    monkeypatch.setattr(law, "_worth_a_thread", lambda *_: False)
    without = random_network(points(n), **options)
    # one thread less multiplies: rounding of float32
    torch.testing.assert_close(with_it.gram, without.gram, rtol=2e-4, atol=2e-5)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is asked for ahead, while it is asked for."""
    used: list[object] = []
    take: Callable[[Ahead], torch.Tensor] = ahead_module.Ahead.take

    def noted(self: Ahead) -> torch.Tensor:
        used.append(None)
        return take(self)

    monkeypatch.setattr(ahead_module.Ahead, "take", noted)
    return used


def test_layers_of_several_blocks_and_groups(two_threads):
    """The last block of a layer is shorter than those of the next one."""
    options = {"recenter": True, "rescale": False, "depth": 4}
    many, few = (random_network(points(6), 50_000, networks=k, **options) for k in (6, 1))
    torch.testing.assert_close(many.gram[:1], few.gram, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("n", "threads"), [(65, 2), (6, 1), (2, 2)])
def test_where_a_thread_would_not_pay_there_is_none(n, threads, two_threads, monkeypatch):
    torch.set_num_threads(threads)
    used = counted(monkeypatch)
    random_network(points(n), **OPTIONS)
    assert not used


def test_threads_are_as_before_and_none_is_left_behind(two_threads):
    seen = []
    random_network(points(6), **OPTIONS, callback=lambda *_: seen.append(torch.get_num_threads()))
    assert seen == [2] * 5
    with pytest.raises(ZeroDivisionError):
        random_network(points(6), **OPTIONS, callback=lambda depth, *_: 1 / (depth - 2))
    assert torch.get_num_threads() == 2
    gc.collect()
    until = time.monotonic() + 5
    while any(thread.name == "normal numbers" for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(thread.name == "normal numbers" for thread in threading.enumerate())
