"""Arrays on disk, of which only the rows of a batch are read: .npy, .npz, .safetensors and torch's files."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias

import numpy as np

from normscope.data.batch import Batch, Parts, draw_batch
from normscope.data.columns import is_column
from normscope.loading import LoadingError, describe, one_line, read_tensors, reading, require_file, some

Unnamed: TypeAlias = Literal["first", "all"]
_INPUTS = ("x", "inputs", "images", "data", "arr_0")  # arr_0 and arr_1 are what numpy calls arrays without a name
_TARGETS = ("y", "targets", "target", "labels", "label", "arr_1")
_KEYWORDS = {"input_ids", "pixel_values", "input_values", "input_features"}  # of models that take several by name
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class _Header:
    """What an array in numpy's format says of itself.

    Attributes:
        shape: of the whole array.
        dtype: of its numbers.
        fortran: whether they are in Fortran's order, where a sample is scattered and all must be read.
        length: of the header in bytes; the numbers follow.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    length: int


@dataclass(frozen=True, eq=False)
class NpzArray:
    """One array of an .npz file, of which samples are read without the others.

    Attributes:
        path: the file.
        member: the name inside it.
        header: what it says of itself.
        start: where it begins in the file if it is not compressed, else None.
    """

    path: Path
    member: str
    header: _Header
    start: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return self.header.dtype

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray[Any, Any]:
        """The given samples, in ascending order.

        Raises:
            LoadingError: the file ends before they do, or is damaged.
        """
        with reading(self.path), self._opened() as (stream, start):
            if self.header.fortran:
                stream.seek(start)
                whole: np.ndarray[Any, Any] = np.lib.format.read_array(stream, allow_pickle=False)
                return whole[list(rows)]
            return np.stack([self._row(stream, start + self.header.length, row) for row in rows])

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], int]]:
        # not through zipfile where nothing is compressed: before Python 3.12 it reads what it skips
        if self.start is not None:
            with self.path.open("rb") as raw:
                yield raw, self.start
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                yield stream, 0

    def _row(self, stream: IO[bytes], first: int, row: int) -> np.ndarray[Any, Any]:
        length = math.prod(self.shape[1:]) * self.dtype.itemsize
        stream.seek(first + row * length)
        content = stream.read(length)
        if len(content) < length:
            raise LoadingError(f"{self.path} is truncated: sample {row} of {self.member} is not all there")
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])


def open_array_file(path: Path, *, batch: int, seed: int, fewer: bool = False) -> Batch:
    """A batch from a file of arrays or tensors; nothing in the file is executed.

    Of several arrays, the targets are the one named y, targets, target, labels, label (or arr_1), the inputs the one
    named x, inputs, images, data (or arr_0). Without such a name the inputs are the first array, or, in a dictionary
    that torch saved and with a model's ``input_ids`` or ``pixel_values`` among them, all that are no targets, by name.
    With ``fewer`` a file of fewer samples than ``batch`` gives all that it holds.

    Raises:
        LoadingError: the file cannot be read, holds something else, or its numbers cannot be used (`draw_batch`).
    """
    content, unnamed = _READERS[path.suffix.lower()](require_file(path))
    parts = parts_of(content, str(path), unnamed)
    return draw_batch(parts, batch=batch, seed=seed, source=str(path), name=path.name, fewer=fewer)


def parts_of(content: Any, source: str, unnamed: Unnamed = "all") -> Parts:
    """Which part is what, of an array, a pair, or a mapping of them.

    Args:
        content: an array; ``(inputs,)``; ``(inputs, targets)``; or a mapping with the names of `open_array_file`.
        source: what messages call it.
        unnamed: the inputs of a mapping without a known name: its first array, or all of them as keyword arguments.

    Raises:
        LoadingError: it is something else, or has other than one or two parts.
    """
    if isinstance(content, Mapping):
        return _parts_of_mapping(content, source, unnamed)
    if isinstance(content, tuple | list) and len(content) in (1, 2):
        return Parts(*content)
    if is_column(content):
        return Parts(content)
    raise LoadingError(f"{source} holds {describe(content)}: expected a tensor, (inputs, targets) or a dictionary")


def _parts_of_mapping(content: Mapping[Any, Any], source: str, unnamed: Unnamed) -> Parts:
    target = next((name for name in _TARGETS if name in content), None)
    others = {str(name): value for name, value in content.items() if name != target}
    if not others:
        raise LoadingError(f"{source} holds {'only targets' if target else 'nothing'}: there are no inputs")
    targets = None if target is None else content[target]
    beside = "" if target is None else f", targets {target!r}"
    named = next((name for name in _INPUTS if name in others), None)
    by_keyword = (unnamed == "all" and len(others) > 1) or not _KEYWORDS.isdisjoint(others)
    if named is None and by_keyword:
        return Parts(others, targets, f"keyword inputs {some(list(others), 6)}{beside}")
    named = named or next(iter(others))
    return Parts(others[named], targets, f"inputs {one_line(named, 80)!r}{beside}")


def _read_npy(path: Path) -> tuple[Any, Unnamed]:
    with reading(path), path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise LoadingError(f"{path} is no .npy file of numbers and was not opened: write it with numpy.save")
        stream.seek(0)
        _header(stream, str(path))
        return np.lib.format.open_memmap(path, mode="r"), "first"


def _read_npz(path: Path) -> tuple[Any, Unnamed]:
    if not zipfile.is_zipfile(path):
        raise LoadingError(f"{path} is truncated, damaged or no .npz file: write it with numpy.savez")
    arrays = {}
    with reading(path), zipfile.ZipFile(path) as archive, path.open("rb") as raw:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as stream:
                    header = _header(stream, f"{path}: {one_line(info.filename, 80)}")
                if header.length + math.prod(header.shape) * header.dtype.itemsize > info.file_size:
                    raise LoadingError(f"{path} is truncated: {one_line(info.filename, 80)} is shorter than it says")
                name = info.filename.removesuffix(".npy")
                arrays[name] = NpzArray(path, info.filename, header, _start(info, raw))
    return arrays, "first"


def _start(info: zipfile.ZipInfo, raw: IO[bytes]) -> int | None:
    """Where the bytes of a member begin; None if they are compressed."""
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    raw.seek(info.header_offset + 26)  # of the lengths of the name and of the extra field, which end the local header
    name, extra = struct.unpack("<HH", raw.read(4))
    return info.header_offset + 30 + int(name) + int(extra)


def _header(stream: IO[bytes], where: str) -> _Header:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise LoadingError(f"{where} is no plain array (version {version} of the format): save numbers alone")
    shape, fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise LoadingError(f"{where} holds Python objects and was not opened: save numbers alone")
    if any(length < 0 for length in shape):
        raise LoadingError(f"{where} says that its shape is {shape}: the file is damaged")
    return _Header(shape, dtype, fortran and len(shape) > 1, stream.tell())


def _read_torch(path: Path) -> tuple[Any, Unnamed]:
    return read_tensors(path), "all"


def _read_safetensors(path: Path) -> tuple[Any, Unnamed]:
    return read_tensors(path), "first"


_READERS: Final[dict[str, Callable[[Path], tuple[Any, Unnamed]]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".safetensors": _read_safetensors,
}

SUFFIXES = tuple(_READERS)
"""What the names of readable files end in."""
