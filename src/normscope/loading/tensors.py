"""Files of tensors, read without running anything that they hold."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from normscope.loading.errors import LoadingError, one_line, reading, suggestion

_ZIP = b"PK\x03\x04"
_PLAIN_PICKLES = (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # by protocol; torch writes 2 and does not read these


def require_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there and not empty.

    Raises:
        LoadingError: there is no such file (the message names a close one), it is a folder, or it is empty.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise LoadingError(f"{file} is a folder, not a file")
    if not file.is_file():
        known = sorted(entry.name for entry in file.parent.iterdir()) if file.parent.is_dir() else []
        raise LoadingError(f"there is no file {file}{suggestion(file.name, known, listed=())}")
    if file.stat().st_size == 0:
        raise LoadingError(f"{file} is empty (0 bytes)")
    return file


def read_tensors(path: str | os.PathLike[str]) -> Any:
    """What a file of tensors holds, on the CPU; nothing in it is executed.

    Tensors are mapped into memory where the format allows it, and then read from disk when they are used.

    Args:
        path: ``.safetensors``, or a file of ``torch.save`` under any other name.

    Returns:
        A dictionary of tensors (safetensors), or the tensors, numbers, texts and containers that were saved.

    Raises:
        LoadingError: no such file; it is damaged, empty or of another format; it holds objects that are no tensors,
            which only executing the file could bring back; or safetensors is not installed.
    """
    file = require_file(path)
    return _read_safetensors(file) if file.suffix.lower() == ".safetensors" else _read_torch(file)


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise LoadingError(f"{file}: reading it needs safetensors: pip install 'normscope[safetensors]'") from error
    with reading(file):
        return load_file(file)


def _read_torch(file: Path) -> Any:
    with reading(file), file.open("rb") as stream:
        head = stream.read(len(_ZIP))
    with reading(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of ends in an error here, or is of no use to a reader
        try:
            return torch.load(
                str(file), map_location="cpu", weights_only=True, mmap=head == _ZIP
            )  # not those of torch < 1.6
        except pickle.UnpicklingError as error:
            raise LoadingError(_refusal(file, head, str(error))) from error
        except (RuntimeError, KeyError, EOFError, AttributeError, IndexError) as error:
            if "TorchScript" in str(error):
                raise LoadingError(
                    f"{file} holds a TorchScript program, not only tensors, and was not opened: save model.state_dict()"
                ) from error
            raise LoadingError(f"{file} is truncated, damaged or not written by torch.save") from error


def _refusal(file: Path, head: bytes, message: str) -> str:
    """Why torch's unpickler refused, without its advice to switch the protection off."""
    if "Unsupported operand" in message and not head.startswith(_PLAIN_PICKLES):
        return f"{file} is truncated, damaged or not written by torch.save"
    named = re.search(r"GLOBAL ([\w.]+)", message)
    which = f" ({one_line(named[1], 80)})" if named else ""
    return (
        f"{file} holds objects that are not tensors{which} and was not opened, because that could execute code: "
        "save model.state_dict() or tensors alone"
    )
