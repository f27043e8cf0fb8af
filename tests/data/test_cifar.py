"""CIFAR from archives in the published format: what is read, where it is looked for, what is refused."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from normscope import data
from normscope.data.dataset import balanced_choice
from normscope.loading import LoadingError
from reference import data as reference
from reference.archives import CIFAR_FILES, cifar_entry, python2_pickle, write_archive

MOMENTS = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "cifar100": ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
}
ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
SETS = {"cifar10": data.cifar10, "cifar100": data.cifar100}
SPLITS = [(name, split) for name in SETS for split in ("test", "train")]


def entries(name: str, split: str) -> list[dict[str, object]]:
    files = CIFAR_FILES[ARCHIVES[name]]
    return [cifar_entry(*content) for path, content in files.items() if ("test" in path) == (split == "test")]


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_the_whole_split_in_its_own_order(name, split, cifar_archives):
    inputs, targets = SETS[name](split=split, **cifar_archives)
    parts = entries(name, split)
    pixels = torch.cat([part["data"] for part in parts]).reshape(-1, 3, 32, 32)
    labels = [label for part in parts for label in part["labels" if name == "cifar10" else "fine_labels"]]
    assert targets.tolist() == labels
    for index in (0, len(labels) // 2, -1):
        expected = reference.normalize(pixels[index].tolist(), *MOMENTS[name])
        torch.testing.assert_close(inputs[index].double(), expected, rtol=0, atol=1e-6)
    assert len(inputs) == len(labels)


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_the_normalization_is_stated(name, split, cifar_archives):
    description = SETS[name](split=split, count=7, **cifar_archives).description
    total = sum(len(part["filenames"]) for part in entries(name, split))
    assert description.startswith(f"7 of the {total} {split} images of {name.upper().replace('CIFAR', 'CIFAR-')}")
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in MOMENTS[name])
    assert f"less the channel means {mean} and divided by the standard deviations {std}" in description
    for number in MOMENTS[name][0]:
        assert f"{number}" in SETS[name].__doc__


@pytest.mark.parametrize("count", [1, 9, 10, 25, 40])
def test_a_subset_is_balanced_and_decided_by_the_seed(count, cifar_archives):
    whole = data.cifar10(**cifar_archives)
    subset = data.cifar10(count=count, seed=5, **cifar_archives)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(5)).tolist()
    expected = reference.balanced(whole.targets.tolist(), shuffled, count)
    assert torch.equal(subset.inputs, whole.inputs[expected])
    assert torch.equal(subset.targets, whole.targets[expected])


def test_balanced_choice_with_rare_and_absent_classes():
    targets = torch.tensor([3] * 9 + [0] * 2 + [7] * 5 + [1])
    shuffled = torch.randperm(17, generator=torch.Generator().manual_seed(2)).tolist()
    for count in range(1, 18):
        chosen = balanced_choice(targets, count, torch.Generator().manual_seed(2)).tolist()
        # each round is dealt in the order of the shuffling
        assert sorted(chosen) == sorted(set(chosen))
        assert chosen == reference.balanced(targets.tolist(), shuffled, count)


# --- where it is looked for ---------------------------------------------------------------------------------------


def unpack(archives: dict[str, object], place: Path, name: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with tarfile.open(Path(archives["root"]) / ARCHIVES[name]) as tar:
        tar.extractall(place, filter="data")


def spoil(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / ARCHIVES["cifar10"]).write_bytes(b"spoilt")


@pytest.mark.parametrize("name", SETS)
def test_the_unpacked_folder_is_the_archive(name, here, cifar_archives):
    unpack(cifar_archives, here / "data", name)
    found, expected = SETS[name](checksums=cifar_archives["checksums"]), SETS[name](**cifar_archives)
    assert torch.equal(found.inputs, expected.inputs)
    assert torch.equal(found.targets, expected.targets)


def test_places_in_their_order(here, monkeypatch, cifar_archives):
    """A spoilt archive in a later place is not reached; in an earlier one it is."""
    places = {
        "root": here / "own",
        "variable": here / "variable",
        "data": here / "data",
        "cache": here / "home/.cache/normscope",
    }
    monkeypatch.setenv("NORMSCOPE_DATA", str(places["variable"]))
    checksums = cifar_archives["checksums"]
    with pytest.raises(LoadingError, match="is not on this disk"):
        data.cifar10(places["root"], checksums=checksums)
    for place in reversed(places.values()):
        place.mkdir(parents=True)
        shutil.copy(Path(cifar_archives["root"]) / ARCHIVES["cifar10"], place)
        assert len(data.cifar10(places["root"], checksums=checksums).targets) == 40
        spoil(place)
        with pytest.raises(LoadingError, match=f"^{place.relative_to(here) if place.name == 'data' else place}/"):
            data.cifar10(places["root"], checksums=checksums)


def test_a_folder_that_lacks_a_file_gives_way_to_the_archive(here, cifar_archives):
    unpack(cifar_archives, here / "data", "cifar10")
    (here / "data" / FOLDERS["cifar10"] / "data_batch_3").unlink()
    shutil.copy(Path(cifar_archives["root"]) / ARCHIVES["cifar10"], here / "data")
    assert len(data.cifar10(split="train", checksums=cifar_archives["checksums"]).targets) == 60


@pytest.mark.parametrize("name", SETS)
def test_when_absent_one_line_says_what_to_do(name, here):
    message = (
        rf"^{name.upper().replace('CIFAR', 'CIFAR-')} is not on this disk: download {ARCHIVES[name]} from its home "
        rf"page, https://www.cs.toronto.edu/~kriz/cifar.html, and put it into one of mine, data, .*/home/.cache/norm"
    )
    with pytest.raises(LoadingError, match=message):
        SETS[name]("mine")


def test_nothing_is_written(here, cifar_archives):
    shutil.copytree(cifar_archives["root"], here / "data")
    before = sorted(here.rglob("*"))
    data.cifar10(checksums=cifar_archives["checksums"])
    assert sorted(here.rglob("*")) == before


# --- what is refused ----------------------------------------------------------------------------------------------

PUBLISHED = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",  # as the home page prints it
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
}


@pytest.mark.parametrize("name", SETS)
def test_the_published_checksum_is_asked_for(name, cifar_archives):
    with pytest.raises(
        LoadingError, match=f"is not the published file or is .*, not {PUBLISHED[ARCHIVES[name]]}; downl"
    ):
        SETS[name](cifar_archives["root"])


@pytest.mark.parametrize("name", SETS)
def test_the_unpacked_files_are_checked_too(name, here, cifar_archives):
    unpack(cifar_archives, here / "data", name)
    with pytest.raises(LoadingError, match=rf"{FOLDERS[name]}/test\w* is not the published file or is incomplete"):
        SETS[name]()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": "validation"}, ValueError, "split must be 'test' or 'train', got 'validation'"),
        ({"count": 0}, ValueError, "count must be at least 1, got 0"),
        ({"count": 41}, ValueError, "count must be at most 40, the size of the set, got 41"),
        ({"count": 1.5}, TypeError, "count must be an integer, got 1.5"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_options_that_are_refused(options, error, message, cifar_archives):
    with pytest.raises(error, match=message):
        data.cifar10(**cifar_archives, **options)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch executed",)


class HostileByName:
    """Calls something that is not outright forbidden by its module."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


ENTRY = cifar_entry(1, 3, "labels", 10)
FORMAT = r"is not in the published format: data \(n, 3072\) of bytes, labels \(n\)$"
CONTENTS = {
    "os.system": (pickle.dumps({"data": Hostile()}, 2), r"test_batch was not opened: posix.system is no part of"),
    "protocol 0": (pickle.dumps(Hostile(), 0), r"was not opened: posix.system is no part of"),
    "protocol 5": (pickle.dumps(Hostile(), 5), r"was not opened: posix.system is no part of"),
    "eval": (pickle.dumps(HostileByName(eval, "1"), 2), r"was not opened: __builtin__.eval is no part of"),
    "getattr": (b"cbuiltins\ngetattr\n.", "getattr is"),
    "numpy": (b"cnumpy\nload\n.", r"was not opened: numpy.load is no part of"),
    "dotted": (b"\x80\x04\x8c\x05numpy\x8c\x0cf2py.run_cmd\x93.", r"was not opened: numpy.f2py.run_cmd is no part of"),
    "ndarray called": (b"cnumpy\nndarray\n(I1000000000000\ntR.", r"was not opened: 'str' object is not callable$"),
    "objects": (b"cnumpy\ndtype\n(S'O8'\ntR.", r"was not opened: an array of 'O8', not of bytes, is no part of"),
    "extension": (b"\x80\x02\x82\x01.", r"test_batch was not opened: "),
    "persistent": (b"Pid\n.", r"test_batch was not opened: "),
    "no pickle": (b"hello", r"test_batch was not opened: "),
    "nothing": (b"", r"test_batch was not opened: "),
    "truncated": (python2_pickle(ENTRY)[:5000], r"test_batch was not opened: "),
    "a list": (python2_pickle([1]), FORMAT),
    "no data": (python2_pickle({"labels": [1]}), FORMAT),
    "no labels": (python2_pickle({"data": ENTRY["data"]}), FORMAT),
    "fewer labels": (python2_pickle({**ENTRY, "labels": [1]}), FORMAT),
    "label beyond": (python2_pickle({**ENTRY, "labels": [1, 2, 10]}), FORMAT),
    "label below": (python2_pickle({**ENTRY, "labels": [1, 2, -1]}), FORMAT),
    "no number": (python2_pickle({**ENTRY, "labels": [1, 2, "3"]}), FORMAT),
    "other shape": (python2_pickle({**ENTRY, "data": torch.zeros(3, 3071, dtype=torch.uint8)}), FORMAT),
    "flat": (python2_pickle({**ENTRY, "data": torch.zeros(3072, dtype=torch.uint8)}), FORMAT),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTENTS)
@pytest.mark.parametrize("packing", ["folder", "archive"])
def test_hostile_and_broken_contents(case, packing, here):
    """Checksums that agree are no reason to execute what is inside."""
    content, message = CONTENTS[case]
    name, digest = "test_batch", hashlib.md5(content).hexdigest()
    if packing == "folder":
        (here / "data/cifar-10-batches-py").mkdir(parents=True)
        (here / "data/cifar-10-batches-py/test_batch").write_bytes(content)
    else:
        (here / "data").mkdir()
        name = ARCHIVES["cifar10"]
        digest = write_archive(here / "data" / name, {"cifar-10-batches-py/test_batch": content})
    with pytest.raises(LoadingError, match=message) as caught:
        data.cifar10(checksums={name: digest})
    assert "\n" not in str(caught.value)


def test_the_hostile_pickle_is_one(here):
    pickle.loads(CONTENTS["os.system"][0])
    assert (here / "executed").exists()
    (here / "executed").unlink()


@pytest.mark.parametrize("kept", [0, 1, 10, 500, 20_000])
def test_broken_archives(kept, here, cifar_archives):
    (here / "data").mkdir()
    path = here / "data" / ARCHIVES["cifar10"]
    path.write_bytes((Path(cifar_archives["root"]) / path.name).read_bytes()[:kept])
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(
        LoadingError, match=r"^data/cifar-10-python.tar.gz (cannot be read, it is damaged|holds no)"
    ) as caught:
        data.cifar10(checksums={path.name: digest})
    assert "\n" not in str(caught.value)


def test_an_archive_without_the_file(here):
    (here / "data").mkdir()
    digest = write_archive(here / "data" / ARCHIVES["cifar10"], {"cifar-10-batches-py/data_batch_1": b""})
    with pytest.raises(LoadingError, match=r"tar.gz holds no cifar-10-batches-py/test_batch$"):
        data.cifar10(checksums={ARCHIVES["cifar10"]: digest})
