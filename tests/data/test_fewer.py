"""A batch of at most so many samples: all that there are where they are fewer; and sizes that are not changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from normscope import data
from normscope.data import open_data
from normscope.loading import LoadingError

MODULE = """
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

X, Y = torch.arange(21.0).reshape(7, 3), torch.arange(7)

class Pairs(Dataset):
    def __len__(self): return 7
    def __getitem__(self, index): return X[index], int(Y[index])

class Stream(IterableDataset):
    def __iter__(self): return iter(zip(X, Y.tolist()))

class Empty(IterableDataset):
    def __iter__(self): return iter(())

pair, pairs, stream, empty, nothing = (X, Y), Pairs(), Stream(), Empty(), X[:0]
def loader(): return DataLoader(Pairs(), batch_size=3)
generator = ((X[i : i + 2], Y[i : i + 2]) for i in range(0, 7, 2))
"""
SOURCES = ["seven.npz", "seven.pt", "mine.py:pair", "mine.py:pairs", "mine.py:stream", "mine.py:loader", "photos"]


@pytest.fixture
def sources(here: Path) -> None:
    Path("mine.py").write_text(MODULE)
    x, y = np.arange(21.0, dtype=np.float32).reshape(7, 3), np.arange(7)
    np.savez("seven.npz", x=x, y=y)
    torch.save({"x": torch.from_numpy(x), "y": torch.from_numpy(y)}, "seven.pt")
    Path("photos").mkdir()
    for number in range(7):
        Image.fromarray(np.full((4, 4, 3), number, dtype=np.uint8)).save(f"photos/{number}.png")


@pytest.mark.parametrize("source", SOURCES)
def test_all_are_taken_where_there_are_fewer(source: str, sources: None) -> None:
    whole, fewer = open_data(source, batch=7), open_data(source, batch=100, fewer=True)
    assert len(fewer.inputs) == 7
    assert torch.equal(fewer.inputs, whole.inputs)
    assert (fewer.targets is None) == (source == "photos")
    if fewer.targets is not None:
        assert torch.equal(fewer.targets, whole.targets)
    assert "100" not in fewer.description
    with pytest.raises(LoadingError, match=r"^a batch of 100 was asked for"):
        open_data(source, batch=100)


@pytest.mark.parametrize("source", SOURCES)
def test_as_many_as_were_asked_for_where_they_are_there(source: str, sources: None) -> None:
    few, plain = open_data(source, batch=4, fewer=True, seed=3), open_data(source, batch=4, seed=3)
    assert torch.equal(few.inputs, plain.inputs)
    assert len(few.inputs) == 4
    assert few.description == plain.description


def test_a_generator_that_is_used_up_is_read_once(sources: None) -> None:
    batch = open_data("mine.py:generator", batch=100, fewer=True)
    assert batch.inputs[:, 0].tolist() == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    assert batch.description.startswith("all 7 samples of mine.py:generator")


@pytest.mark.parametrize("source", ["mine.py:empty", "mine.py:nothing"])
def test_none_are_too_few(source: str, sources: None) -> None:
    with pytest.raises(LoadingError, match=r"holds no samples|gave 0 samples"):
        open_data(source, batch=5, fewer=True)


def test_one_sample_is_told_in_the_singular(sources: None) -> None:
    np.save("one.npy", np.ones((1, 2), dtype=np.float32))
    assert open_data("one.npy", batch=5, fewer=True).description.startswith("the only sample of one.npy; ")


def test_a_size_that_is_not_changed_is_not_told(sources: None) -> None:
    same, larger = data.digits(8, count=3).description, data.digits(16, count=3).description
    assert "digits, 8×8, less the mean" in same
    assert "digits, 8×8 brought to 16×16, less the mean" in larger
    assert "brought" not in open_data("photos", batch=3, size=4).description
    assert "brought to 5×5" in open_data("photos", batch=3, size=5).description
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save("photos/0.png")
    assert "brought to 4×4" in open_data("photos", batch=7, size=4).description
