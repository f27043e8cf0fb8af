"""What a user may call data: how it is told apart, options, and how failure reads."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from normscope import data
from normscope.data import open_data
from normscope.loading import LoadingError


def image(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digits", {}),
        ("digits", {"size": 16, "channels": 3}),
        ("gaussian", {"features": 5}),
        ("two_moons", {"noise": 0.2}),
    ],
)
def test_data_sets_by_name(name, options, here):
    batch, dataset = open_data(name, batch=12, seed=3, **options), data.load(name, count=12, seed=3, **options)
    assert torch.equal(batch.inputs, dataset.inputs)
    assert torch.equal(batch.targets, dataset.targets)
    assert (batch.name, batch.description) == (dataset.name, dataset.description)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("split", ["test", "train"])
def test_cifar_by_name(name, split, here, cifar_archives):
    root, checksums = cifar_archives["root"], cifar_archives["checksums"]
    batch = open_data(name, batch=12, seed=3, root=root, split=split, checksums=checksums)
    dataset = data.load(name, root=root, checksums=checksums, count=12, seed=3, split=split)
    assert torch.equal(batch.inputs, dataset.inputs)
    assert torch.equal(batch.targets, dataset.targets)
    assert split in batch.description


def test_a_root_does_no_harm_where_nothing_is_on_disk(here):
    assert len(open_data("digits", batch=3, root="nowhere").targets) == 3


def test_a_path_beats_a_name_when_written_as_one(here):
    image("digits/0.png")
    assert open_data("digits", batch=1).inputs.shape == (1, 1, 8, 8)
    assert open_data("./digits", batch=1).inputs.shape == (1, 3, 4, 4)


def test_folders_and_their_options(here):
    image("photos/a.png")
    batch = open_data(Path("photos"), batch=1, size=2, channels=1, normalize="none")
    assert batch.inputs.shape == (1, 1, 2, 2)
    assert torch.equal(batch.inputs, data.image_folder("photos", batch=1, size=2, channels=1, normalize="none").inputs)


def test_a_home_folder_is_found(here):
    (here / "home").mkdir()
    np.save(here / "home/a.npy", np.ones((2, 2)))
    assert len(open_data("~/a.npy", batch=2).inputs) == 2


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("digits", {"batch": 1798}, r"^digits: count must be at most 1797, the size of the set, got 1798$"),
        ("digits", {"batch": 4, "sise": 3}, r"^digits does not take the keyword 'sise'; did you mean 'size'\? It t"),
        ("digits", {"batch": 4, "size": "large"}, r"^digits: size must be an integer, got 'large'$"),
        ("digits", {"batch": 4, "count": 3}, r"^digits takes no count beside a batch"),
        ("gaussian", {"batch": 4}, r"^gaussian needs a value for features; it takes count, features, classes=10"),
        ("cifar10", {"batch": 4}, r"^CIFAR-10 is not on this disk: download cifar-10-python.tar.gz"),
        ("cifar10", {"batch": 4, "root": "mine", "split": "val"}, r"^cifar10: split must be 'test' or 'train'"),
        ("digts", {"batch": 4}, r"^there is no data 'digts': it may be .* file.py:name; did you mean 'digits'"),
        ("", {"batch": 4}, r"^there is no data '': it may be digits, cifar10, cifar100, gaussian, two_moons, a file "),
        ("a\x1b[31m\n", {"batch": 4}, r"^there is no data 'a\\x1b\[31m\\n'"),
        ("nowhere.npy", {"batch": 4}, r"^there is no file nowhere.npy; did you mean 'there.npy'\?$"),
        ("there.npy", {"batch": 1, "size": 3}, r"^there.npy is a file of arrays, which takes no size$"),
        ("notes.txt", {"batch": 1}, r"^notes.txt: files of this kind are not read, only .npy, .npz, .pt, .pth, .safe"),
        ("photos", {"batch": 1, "sise": 3}, r"^the folder photos does not take the keyword 'sise'; did you mean"),
        ("photos", {"batch": 1, "size": "large"}, r"^photos: size must be an integer, got 'large'$"),
        ("photos", {"batch": 2}, r"^a batch of 2 was asked for, but photos holds 1 sample$"),
        ("qqqq:loader", {"batch": 2}, r"^there is no module 'qqqq' in this folder"),
        ("qqqq.py:loader", {"batch": 2}, r"^there is no file qqqq.py$"),
    ],
)  # fmt: skip
def test_what_is_refused(spec, options, message, here):
    image("photos/a.png")
    Path("notes.txt").write_text("hello")
    np.save("there.npy", np.ones((2, 2)))
    with pytest.raises(LoadingError, match=message) as caught:
        open_data(spec, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\x1b[31m\n.npy", "a\x1b[31m\n"])
def test_paths_that_would_steer_a_terminal(name, here):
    if name.endswith(".npy"):
        np.save(name, np.ones((2, 2)))
    else:
        image(f"{name}/a.png")
    batch = open_data(name, batch=1)
    with pytest.raises(LoadingError, match=r"a\\x1b\[31m") as caught:
        open_data(name, batch=9)
    for text in (batch.name, batch.description, str(caught.value)):
        assert text.isprintable()


@pytest.mark.parametrize("spec", ["digits", "there.npy", "photos", "x:y", "nothing"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch": 0}, ValueError, "batch must be at least 1, got 0"),
        ({"batch": 2.0}, TypeError, "batch must be an integer, got 2.0"),
        ({"batch": 1, "seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"batch": 1, "seed": 2**32}, ValueError, r"seed must be less than 2\*\*32"),
    ],
)
def test_batch_and_seed_are_checked_for_every_kind(spec, options, error, message, here):
    with pytest.raises(error, match=message):
        open_data(spec, **options)


def test_the_global_generators_stay(here, cifar_archives):
    image("photos/a.png")
    np.save("a.npy", np.ones((5, 2)))
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global generator is the one in question
    before = torch.get_rng_state().tolist(), random.getstate()
    for spec in ("digits", "photos", "a.npy"):
        open_data(spec, batch=1, seed=4)
    open_data("cifar10", batch=1, **cifar_archives)
    assert (torch.get_rng_state().tolist(), random.getstate()) == before
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002 - as above


def test_optional_packages_are_imported_when_needed():
    program = "import sys, normscope.data; print(sorted({'PIL', 'safetensors', 'sklearn'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
