"""CIFAR-10 and CIFAR-100 from the published python archives, on disk."""

from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from normscope.data.dataset import Dataset, balanced_choice, require_at_least, seeded
from normscope.loading import LoadingError, one_line, reading

Split: TypeAlias = Literal["test", "train"]
_HOME_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Published:
    """One of the two sets, as published.

    Attributes:
        name: the word for it.
        title: its name in a sentence.
        archive: file name of the archive.
        folder: what it unpacks into.
        files: the files of each split.
        labels: the key of the labels in them.
        classes: how many there are.
        checksums: MD5 of the archive and of each file.
        mean: of each channel of the training set, scaled to [0, 1].
        std: the same for the standard deviation.
    """

    name: str
    title: str
    archive: str
    folder: str
    files: Mapping[Split, tuple[str, ...]]
    labels: str
    classes: int
    checksums: Mapping[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_CIFAR10 = _Published(
    name="cifar10",
    title="CIFAR-10",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    files={"test": ("test_batch",), "train": tuple(f"data_batch_{number}" for number in range(1, 6))},
    labels="labels",
    classes=10,
    checksums={
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
_CIFAR100 = _Published(
    name="cifar100",
    title="CIFAR-100",
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    files={"test": ("test",), "train": ("train",)},
    labels="fine_labels",
    classes=100,
    checksums={
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def cifar10(
    root: str | os.PathLike[str] | None = None,
    *,
    split: Split = "test",
    count: int | None = None,
    seed: int = 0,
    checksums: Mapping[str, str] | None = None,
) -> Dataset:
    """``(x / 255 − μ) / σ`` of each channel: CIFAR-10, small colour images of ten classes.

    μ = (0.4914, 0.4822, 0.4465) and σ = (0.2470, 0.2435, 0.2616) are the channel means and standard deviations of the
    training set, for both splits. The archive ``cifar-10-python.tar.gz``, or the folder ``cifar-10-batches-py`` that
    it unpacks into, is looked for in ``root``, ``$NORMSCOPE_DATA``, ``./data`` and ``~/.cache/normscope``, in this
    order. Its MD5 is checked, and nothing in it is executed: only plain values and arrays are read.

    Args:
        root: a folder to search first.
        split: ``"test"``, 10,000 images, or ``"train"``, 50,000.
        count: how many; None for all, in the set's own order. A subset is random and balanced, as that of `digits`.
        seed: decides the subset.
        checksums: MD5 by file name, in the place of the published ones: for archives in the same format.

    Returns:
        inputs ``(count, 3, 32, 32)`` float32, targets ``(count,)`` int64 in 0 … 9.

    Raises:
        LoadingError: no archive (the message says what to download and where to put it), or it is not the published
            one, or damaged.
        TypeError: a count or seed is not an integer.
        ValueError: an unknown split, a count below 1 or above the size of the split, or a seed beyond 32 bits.

    Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    return _load(_CIFAR10, root, split, count, seed, checksums)


def cifar100(
    root: str | os.PathLike[str] | None = None,
    *,
    split: Split = "test",
    count: int | None = None,
    seed: int = 0,
    checksums: Mapping[str, str] | None = None,
) -> Dataset:
    """``(x / 255 − μ) / σ`` of each channel: CIFAR-100, small colour images of a hundred classes.

    As `cifar10`, with μ = (0.5071, 0.4865, 0.4409), σ = (0.2673, 0.2564, 0.2762), the archive
    ``cifar-100-python.tar.gz`` or its folder ``cifar-100-python``, and the fine labels.

    Args:
        root: a folder to search first.
        split: ``"test"``, 10,000 images, or ``"train"``, 50,000.
        count: how many; None for all.
        seed: decides the subset.
        checksums: MD5 by file name, in the place of the published ones.

    Returns:
        inputs ``(count, 3, 32, 32)`` float32, targets ``(count,)`` int64 in 0 … 99.

    Raises:
        LoadingError: as `cifar10`.
        TypeError: as `cifar10`.
        ValueError: as `cifar10`.

    Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    return _load(_CIFAR100, root, split, count, seed, checksums)


def _load(
    kind: _Published,
    root: str | os.PathLike[str] | None,
    split: Split,
    count: int | None,
    seed: int,
    checksums: Mapping[str, str] | None,
) -> Dataset:
    if split not in kind.files:
        raise ValueError(f"split must be 'test' or 'train', got {split!r}")
    generator = seeded(seed)
    if count is not None:
        require_at_least(1, count=count)
    images, targets = _read(kind, split, root, kind.checksums if checksums is None else checksums)
    total = len(targets)
    if count is not None:
        chosen = balanced_choice(targets, count, generator)
        images, targets = images[chosen], targets[chosen]
    mean, std = (torch.tensor(values, device="cpu").view(3, 1, 1) for values in (kind.mean, kind.std))
    inputs = (images.view(-1, 3, 32, 32).float() / 255 - mean) / std  # shape: (n, 3, 32, 32)
    description = (
        f"{len(targets)} of the {total} {split} images of {kind.title}, scaled to [0, 1], less the channel means "
        f"{_listed(kind.mean)} and divided by the standard deviations {_listed(kind.std)} of its training set"
    )
    return Dataset(inputs, targets, kind.name, description)


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _places(root: str | os.PathLike[str] | None) -> list[Path]:
    """The folders to search, in order."""
    named = [root, os.environ.get("NORMSCOPE_DATA"), "data", Path("~/.cache/normscope")]
    return [Path(place).expanduser() for place in named if place]


def _read(
    kind: _Published, split: Split, root: str | os.PathLike[str] | None, checksums: Mapping[str, str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``(n, 3072)`` uint8 and labels ``(n,)`` of a split, from the first place that has them."""
    names = kind.files[split]
    for place in _places(root):
        folder, archive = place / kind.folder, place / kind.archive
        if all((folder / name).is_file() for name in names):
            contents = [_checked(folder / name, checksums) for name in names]
        elif archive.is_file():
            contents = _unpacked(archive, [f"{kind.folder}/{name}" for name in names], checksums)
        else:
            continue
        parts = [_decoded(content, kind, name, place) for content, name in zip(contents, names, strict=True)]
        return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])
    searched = ", ".join(str(place) for place in _places(root))
    raise LoadingError(
        f"{kind.title} is not on this disk: download {kind.archive} from its home page, {_HOME_PAGE}, "
        f"and put it into one of {searched}"
    )


def _checked(path: Path, checksums: Mapping[str, str]) -> bytes:
    with reading(path):
        content = path.read_bytes()
    _require_checksum(path, hashlib.md5(content, usedforsecurity=False).hexdigest(), checksums)
    return content


def _unpacked(archive: Path, members: list[str], checksums: Mapping[str, str]) -> list[bytes]:
    """The contents of some members, without writing anything to disk."""
    with reading(archive), archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    _require_checksum(archive, digest, checksums)
    found: dict[str, bytes] = {}
    with reading(archive), tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in members and (content := tar.extractfile(member)) is not None:
                found[member.name] = content.read()
            if len(found) == len(members):  # no need to decompress the rest
                return [found[name] for name in members]
    missing = next(name for name in members if name not in found)
    raise LoadingError(f"{archive} holds no {missing}")


def _require_checksum(path: Path, digest: str, checksums: Mapping[str, str]) -> None:
    expected = checksums.get(path.name)
    if digest != expected:
        raise LoadingError(
            f"{path} is not the published file or is incomplete: its MD5 is {digest}, not {expected}; "
            f"download it again from {_HOME_PAGE}"
        )


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers, texts and arrays of bytes, and refuses whatever else a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"  # only ever handed to _reconstruct; the class itself could be called
        if (module, name) == ("numpy", "dtype"):
            return _byte_type
        raise pickle.UnpicklingError(f"{module}.{name} is no part of the published files")


def _empty_array(*_: object) -> np.ndarray[Any, Any]:
    return np.empty(0, np.uint8)  # gets its shape and bytes from the pickle


def _byte_type(code: object, *_: object) -> np.dtype[Any]:
    if code not in ("u1", b"u1"):
        raise pickle.UnpicklingError(f"an array of {code!r}, not of bytes, is no part of the published files")
    return np.dtype(np.uint8)


def _decoded(content: bytes, kind: _Published, name: str, place: Path) -> tuple[torch.Tensor, torch.Tensor]:
    where = place / kind.folder / name
    try:
        # latin1: bytes that Python 2 wrote as text come back one to one
        entry = _PlainUnpickler(BytesIO(content), encoding="latin1").load()
    except Exception as error:  # an unpickler raises anything on bytes that are no pickle
        reason = one_line(str(error)) or type(error).__name__
        raise LoadingError(f"{where} was not opened: {reason}") from error
    images = entry.get("data") if isinstance(entry, dict) else None
    labels = entry.get(kind.labels) if isinstance(entry, dict) else None
    if not (
        isinstance(images, np.ndarray)
        and images.dtype == np.uint8
        and images.ndim == 2
        and images.shape[1] == _PIXELS
        and isinstance(labels, list)
        and len(labels) == len(images)
        and all(type(label) is int and 0 <= label < kind.classes for label in labels)
    ):
        raise LoadingError(f"{where} is not in the published format: data (n, {_PIXELS}) of bytes, {kind.labels} (n)")
    return torch.from_numpy(images.copy()), torch.tensor(labels, dtype=torch.int64, device="cpu")
