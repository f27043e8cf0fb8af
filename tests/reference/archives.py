"""CIFAR archives as they are published, but small: what they hold, and the pickles that Python 2 wrote."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import torch


def cifar_entry(number: int, count: int, labels: str, classes: int) -> dict[str, object]:
    """One file of a CIFAR archive before pickling."""
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (count, 3072), dtype=torch.uint8, generator=generator)
    answers = torch.randperm(count, generator=generator) % classes
    entry: dict[str, object] = {"batch_label": "a part", labels: answers.tolist(), "data": pixels}
    if labels == "fine_labels":
        entry["coarse_labels"] = [answer // 5 for answer in answers.tolist()]
    entry["filenames"] = [f"picture_{index}.png" for index in range(count)]
    return entry


CIFAR_FILES = {
    "cifar-10-python.tar.gz": {
        **{f"cifar-10-batches-py/data_batch_{k}": (k, 12, "labels", 10) for k in range(1, 6)},
        "cifar-10-batches-py/test_batch": (6, 40, "labels", 10),
    },
    "cifar-100-python.tar.gz": {
        "cifar-100-python/train": (7, 60, "fine_labels", 100),
        "cifar-100-python/test": (8, 40, "fine_labels", 100),
    },
}


def write_archive(path: Path, members: dict[str, bytes]) -> str:
    """Write a .tar.gz; its MD5."""
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo(next(iter(members)).split("/")[0])
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def python2_pickle(value: object) -> bytes:
    """What Python 2's cPickle writes with protocol 2, the protocol of the published CIFAR archives."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: object) -> bytes:
    match value:
        case bool() | None:
            return {True: b"\x88", False: b"\x89", None: b"N"}[value]
        case int():
            return b"J" + struct.pack("<i", value)
        case str() | bytes():
            content = value.encode("latin1") if isinstance(value, str) else value
            return b"T" + struct.pack("<I", len(content)) + content
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case dict():
            return b"}(" + b"".join(_opcodes(key) + _opcodes(item) for key, item in value.items()) + b"u"
        case torch.Tensor():
            dtype = b"cnumpy\ndtype\n" + _opcodes(("u1", 0, 1)) + b"R" + _opcodes((3, "|", None, None, None, -1, -1, 0))
            made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _opcodes((0,)) + _opcodes("b") + b"tR"
            content = bytes(value.flatten().tolist())
            state = b"(" + _opcodes(1) + _opcodes(tuple(value.shape)) + dtype + b"b" + _opcodes(False)
            return made + state + _opcodes(content) + b"tb"
        case _:
            raise TypeError(f"no opcodes for {value!r}")
