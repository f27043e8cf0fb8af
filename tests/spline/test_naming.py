"""Folds are called as a trace calls the same outputs, so that a layer of either is found in the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from program_cases import CASES, Written, built, shared
from torch import Tensor, nn

import normscope as ns
from normscope.spline.reading.naming import Place, words_of
from normscope.spline.reading.program import read


def rows(model: nn.Module, shape: tuple[int, ...]) -> list[tuple[str, int]]:
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    table = ns.trace(model.eval(), inputs, capture="ops", measures=()).table
    return list(zip(table["layer"], table["call"], strict=True))


@pytest.mark.parametrize("name", CASES)
def test_every_fold_is_a_row_of_the_trace_of_the_same_model(name: str) -> None:
    model, shape = built(CASES[name]), CASES[name][1]
    folds = read(model, shape).folds
    assert len({fold.layer for fold in folds}) == len(folds)
    known = rows(model, shape)
    places = [known.index(fold.traced) for fold in folds]
    assert places == sorted(places)  # and in its order
    for fold in folds:
        layer, call = fold.traced
        assert fold.layer == (f"{layer}:{call}" if call else layer)


class Block(nn.Module):
    """A function beside a module of the same name, the module twice, functions twice, and a leaf of two operations."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.pool = nn.ReLU(), Pooled()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.relu(x) - 1, inplace=True)
        return self.pool(self.relu(x - 0.5).abs() - 0.1).abs()


class Same(nn.Module):
    """Its last operation has nothing to do."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x - 1).contiguous()


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.max_pool1d(x[:, None], 2)[:, 0])


NAMED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    # name: the model, the shape of an input, names of its folds
    "functions": (lambda: Written(lambda m, x: F.relu(m.linear(F.relu(x)))), (6,), ["relu", "relu:1"]),
    "a module called again": (shared, (4,), ["1", "1:1"]),
    "all at once": (Block, (6,), ["relu", "relu:1", "relu:2", "abs", "pool.max_pool1d", "pool", "abs:1"]),
    "inside": (
        lambda: nn.Sequential(nn.Linear(6, 6), Block()),
        (6,),
        ["1.relu", "1.relu:1", "1.relu:2", "1.abs", "1.pool.max_pool1d", "1.pool", "1.abs:1"],
    ),
    "handed on": (lambda: nn.Sequential(nn.ReLU(), nn.Identity(), nn.Dropout(), Pooled(), Same()), (6,),
                  ["0", "3.max_pool1d", "3", "4"]),
    "a model of one operation": (nn.ReLU, (6,), ["ReLU"]),
    "in place": (lambda: nn.Sequential(nn.ReLU(inplace=True), Pooled()), (6,), ["0", "1.max_pool1d", "1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_names(name: str) -> None:
    build, shape, expected = NAMED[name]
    folds = read(build(), shape).folds
    assert [fold.layer for fold in folds] == expected
    assert set(rows(build(), shape)) >= {fold.traced for fold in folds}


def _largest(x: Tensor) -> Tensor:
    return x.max()


def test_a_single_number_has_no_row_and_leaves_its_name_to_one_that_has() -> None:
    model = Written(lambda m, x: torch.vmap(_largest)(x)[:, None] + m.linear(x).max(1, keepdim=True)[0])
    alone, counted = read(model, (6,)).folds
    assert (alone.layer, alone.traced) == ("max:1", None)
    assert (counted.layer, counted.traced) == ("max", ("max", 0))
    assert counted.traced in rows(model, (6,))


def test_compiled_modules_are_called_as_what_they_wrap() -> None:
    inner = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    model = nn.Sequential(torch.compile(inner, backend="eager"), nn.ReLU())
    assert [fold.layer for fold in read(model, (3,)).folds] == ["0.1", "1"]


def test_words_are_told_apart_and_those_of_a_trace_are_kept() -> None:
    places = [Place("a"), Place("a", counted=True), Place("a", 1, counted=True), Place("a"), Place("b.c")]
    assert words_of(places) == ["a:2", "a", "a:1", "a:3", "b.c"]
    assert words_of([Place("a", counted=True)] * 2) == ["a", "a:1"]
    assert words_of([]) == []
