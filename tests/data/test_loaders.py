"""Python factories: loaders, data sets and batches, which samples are taken, and how failure reads."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from normscope.data import open_data
from normscope.loading import LoadingError

MODULE = """
import sys
import numpy, random
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

X = torch.arange(60.0).reshape(20, 3)
Y = torch.arange(20)
asked = []

class Pairs(Dataset):
    def __init__(self, count=20):
        self.count = count
    def __len__(self):
        return self.count
    def __getitem__(self, index):
        asked.append(index)
        return X[index], int(Y[index])

class Stream(IterableDataset):
    def __iter__(self):
        for index in range(20):
            asked.append(index)
            yield X[index], int(Y[index])

pairs = Pairs()
tensors = TensorDataset(X, Y)
alone = TensorDataset(X)
stream = Stream()
of_arrays = [(X[i].numpy(), i) for i in range(20)]
of_dicts = [{"x": X[i], "y": i} for i in range(20)]
of_tensors = list(X)
two_samples = [(X[0], 0), (X[1], 1)]
tensor, array, pair, pair_list, single = X, X.numpy(), (X, Y), [X, Y], (X,)
mapping = {"x": X, "y": Y}
keywords = {"input_ids": Y.reshape(20, 1), "mask": Y.reshape(20, 1) > 3, "labels": Y}
several = ((X, X[:, :1]), Y)
bytes_ = (X.to(torch.uint8), Y)
on_graph = torch.nn.Parameter(X) * 2

def loader(batch_size=4, shuffle=False):
    return DataLoader(Pairs(), batch_size=batch_size, shuffle=shuffle)

def workers():
    return DataLoader(Pairs(), batch_size=4, num_workers=1)

def dict_loader():
    return DataLoader(of_dicts, batch_size=3)

def alone_loader():
    return DataLoader(alone, batch_size=7)

def generator():
    for start in range(0, 20, 5):
        asked.append(start)
        yield X[start:start + 5], Y[start:start + 5]

def arrays():
    while True:
        yield X.numpy()[:2], Y.numpy()[:2]

def make_pairs(count):
    return Pairs(count)

def draws():
    return torch.rand(9, 2) + numpy.random.rand() + random.random()

nothing, number, text, module = None, 3, "hello", torch.nn.Linear(2, 2)
three = (X, Y, Y)
of_threes = [(X[i], i, i) for i in range(20)]
ragged = [(torch.ones(i + 1), i) for i in range(20)]
pictures = [(object(), 1)] * 20
empty, empty_loader = [], DataLoader([], batch_size=2)
nan = (torch.where(X == 30, torch.nan, X), Y)
nan_samples = [(x, 0) for x in nan[0]]
nan_loader = DataLoader(nan_samples, batch_size=4)
lengths = (X, Y[:3])
numbers_only = [torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)]
texts = {"input_ids": Y, "text": ["a"] * 20}

def raises():
    raise RuntimeError("no such disk")

def leaves():
    sys.exit("bye")

class Broken(Dataset):
    def __len__(self):
        return 20
    def __getitem__(self, index):
        raise KeyError(index)

def broken_generator():
    yield X[:2], Y[:2]
    raise OSError("disk gone")

def uneven():
    yield torch.ones(2, 3), torch.ones(2)
    yield torch.ones(2, 4), torch.ones(2)

def scalars():
    yield 3

def needs(path):
    return X
"""


@pytest.fixture(autouse=True)
def module(write):
    write("loaders_of_mine.py", MODULE)


def opened(name, batch=8, **options):
    return open_data(f"loaders_of_mine:{name}", batch=batch, **options)


def asked():
    from loaders_of_mine import asked

    return asked


X, Y = torch.arange(60.0).reshape(20, 3), torch.arange(20)
ROWS = sorted(random.Random(2).sample(range(20), 8))
DRAWN = ["pairs", "tensors", "of_arrays", "of_dicts", "pair", "pair_list", "mapping", "Pairs"]
FIRST = ["stream", "Stream", "loader", "dict_loader", "generator", "workers"]


@pytest.mark.parametrize("name", DRAWN)
def test_batches_and_data_sets_are_drawn_from(name):
    batch = opened(name, seed=2)
    assert torch.equal(batch.inputs, X[ROWS])
    assert torch.equal(batch.targets, Y[ROWS])
    assert batch.description.startswith(f"8 samples, drawn with seed 2, of the 20 of loaders_of_mine:{name}")
    assert batch.name == name


@pytest.mark.parametrize("name", FIRST)
def test_of_loaders_the_first_samples_are_taken(name):
    batch = opened(name, seed=2)
    assert torch.equal(batch.inputs, X[:8])
    assert torch.equal(batch.targets, Y[:8])
    assert batch.description.startswith(f"the first 8 samples of loaders_of_mine:{name}")
    assert batch.description.endswith("; numbers as they are, not normalized")


@pytest.mark.parametrize("name", ["tensor", "array", "single", "of_tensors", "alone"])
def test_without_targets(name):
    batch = opened(name, seed=2)
    assert torch.equal(batch.inputs, X[ROWS])
    assert batch.targets is None


def test_a_loader_without_targets():
    batch = opened("alone_loader")
    assert torch.equal(batch.inputs, X[:8])
    assert batch.targets is None


def test_a_file_and_options(here):
    assert len(open_data("loaders_of_mine.py:make_pairs", batch=5, count=6).inputs) == 5
    assert len(opened("loader", batch_size=20).inputs) == 8


def test_keyword_and_positional_inputs():
    batch = opened("keywords", seed=2)
    assert torch.equal(batch.inputs["input_ids"], Y.reshape(20, 1)[ROWS])
    assert batch.inputs["mask"].dtype == torch.bool
    assert torch.equal(batch.targets, Y[ROWS])
    first, second = opened("several", seed=2).inputs
    assert torch.equal(first, X[ROWS])
    assert torch.equal(second, X[ROWS][:, :1])


def test_a_list_of_two_samples_is_a_data_set():
    batch = opened("two_samples", batch=2)
    assert torch.equal(batch.inputs, X[:2])
    assert batch.targets.tolist() == [0, 1]


def test_bytes_are_scaled_and_what_is_on_a_graph_comes_off():
    batch = opened("bytes_", seed=2)
    torch.testing.assert_close(batch.inputs, X[ROWS] / 255)
    assert batch.description.endswith("bytes divided by 255, to [0, 1]")
    assert not opened("on_graph").inputs.requires_grad


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pairs", ROWS), ("stream", list(range(8))), ("loader", list(range(8))), ("generator", [0, 5])],
)
def test_no_more_is_read_than_the_batch_needs(name, expected):
    opened(name, seed=2)
    assert asked() == expected


def test_batches_are_joined_and_an_endless_loader_ends():
    batch = opened("arrays", batch=5)
    assert torch.equal(batch.inputs, torch.cat([X[:2], X[:2], X[:1]]))
    assert batch.targets.tolist() == [0, 1, 0, 1, 0]


def test_the_seed_decides_and_the_global_generators_stay():
    def state() -> list[object]:
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is the one in question
        return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]

    before = state()
    for name, options in [("draws", {}), ("loader", {"shuffle": True}), ("pairs", {})]:
        first, again, other = (opened(name, seed=seed, **options).inputs for seed in (0, 0, 1))
        assert torch.equal(first, again), name
        assert not torch.equal(first, other), name
    assert state() == before


M = r"loaders_of_mine"
REFUSED = {
    "too few": ("pairs", 21, {}, rf"^a batch of 21 was asked for, but {M}:pairs holds 20 samples$"),
    "too few, batch": ("pair", 21, {}, rf"^a batch of 21 was asked for, but {M}:pair holds 20 samples$"),
    "too few, loader": (
        "loader",
        21,
        {},
        rf"a batch of 21 was asked for, but {M}:loader gave 20 samples in 5 batches$",
    ),
    "empty": ("empty", 1, {}, rf"^{M}:empty holds no samples$"),
    "empty loader": ("empty_loader", 1, {}, r":empty_loader gave 0 samples in 0 batches$"),
    "nothing": (
        "nothing",
        1,
        {},
        rf"^{M}:nothing gives None: expected a loader \(an iterable of batches\), a data set",
    ),
    "number": ("number", 1, {}, r":number gives an int: expected a loader"),
    "text": ("text", 1, {}, r":text gives a str: expected a loader"),
    "three": (
        "three",
        1,
        {},
        r":three holds a tuple of 3 \(Tensor, Tensor, Tensor\): expected a tensor, \(inputs, targ",
    ),
    "of threes": ("of_threes", 1, {}, r":of_threes holds a list of 3 .*: expected a tensor, \(inputs, targets\)"),
    "ragged": ("ragged", 3, {}, rf"^reading samples of {M}:ragged raised RuntimeError: stack expects .* equal size"),
    "pictures": ("pictures", 3, {}, r"^reading samples of .*:pictures raised TypeError: default_collate: batch must"),
    "NaN": ("nan", 20, {}, rf"^the inputs of sample 10 of {M}:nan hold NaN$"),
    "NaN in samples": ("nan_samples", 20, {}, r"^the inputs of sample 10 of .*:nan_samples hold NaN$"),
    "NaN in a loader": ("nan_loader", 12, {}, r"^the inputs of sample 10 of .*:nan_loader hold NaN$"),
    "lengths": ("lengths", 1, {}, r":lengths has columns of different lengths, .* inputs \(20, 3\), targets \(3,\)$"),
    "a text among inputs": (
        "texts",
        1,
        {},
        r"^the inputs 'text' of .*:texts are a list of 20 .*, not a tensor or array$",
    ),
    "raises": ("raises", 1, {}, rf"^{M}:raises raised RuntimeError: no such disk \({M}.py:82\)$"),
    "leaves": ("leaves", 1, {}, rf"^{M}:leaves raised SystemExit: bye \({M}.py:85\)$"),
    "broken": ("Broken", 1, {}, rf"^reading samples of {M}:Broken raised KeyError: \d+ \({M}.py:91\)$"),
    "broken later": ("broken_generator", 5, {}, rf"^reading samples of .* raised OSError: disk gone \({M}.py:95\)$"),
    "uneven": ("uneven", 4, {}, r"^the batches of .*:uneven do not join \(a tensor of shape \(2, 3\), .*\(2, 4\)\): "),
    "scalars": ("scalars", 4, {}, r":scalars gave an int for a batch: expected tensors with the samples first$"),
    "needs": ("needs", 1, {}, rf"^{M}:needs needs a value for path; it takes path$"),
    "unknown option": (
        "loader",
        1,
        {"sise": 3},
        r":loader does not take the keyword 'sise'.*; it takes batch_size=4, sh",
    ),
    "no options": ("pairs", 1, {"size": 3}, r":pairs is a Pairs, which takes no size$"),
    "unknown": ("piars", 1, {}, rf"^{M} has no 'piars'; did you mean 'pairs'\?$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    name, batch, options, message = REFUSED[case]
    with pytest.raises(LoadingError, match=message) as caught:
        opened(name, batch=batch, **options)
    assert "\n" not in str(caught.value)


def test_interruption_passes(write):
    write("interrupted_loader.py", "def f():\n    raise KeyboardInterrupt\n    yield")
    with pytest.raises(KeyboardInterrupt):
        open_data("interrupted_loader:f", batch=2)
