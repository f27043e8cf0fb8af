"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file beside ``path`` to write into, put in its place at the end, so that no half of it is ever seen.

    A symbolic link stays one: the file that it leads to is written.

    Raises:
        OSError: the path cannot be written; the message says why. Whatever is raised, nothing is left behind.
    """
    target, handle, temporary = _opened(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # a temporary file starts out private
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def ensure_writable(path: str | os.PathLike[str]) -> None:
    """Find out before long work whether ``path`` can be written at its end; leaves nothing behind.

    Raises:
        OSError: it cannot; the message says why.
    """
    _, handle, temporary = _opened(path)
    os.close(handle)
    os.unlink(temporary)


def _opened(path: str | os.PathLike[str]) -> tuple[Path, int, str]:
    """The file that ``path`` leads to, and a temporary one beside it, open."""
    target = _target(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".normscope.", suffix=".part")
    except FileNotFoundError:  # the folder is there: some of the system's own hold no files but theirs
        raise FileNotFoundError(f"cannot write {os.fspath(path)}: no file can be made in {target.parent}") from None
    except OSError as error:
        raise type(error)(f"cannot write {os.fspath(path)}: {error.strerror}") from None
    return target, handle, temporary


def _target(path: str | os.PathLike[str]) -> Path:
    """The file that ``path`` leads to, if a file is there or could be."""
    told = os.fspath(path)
    if not told:
        raise FileNotFoundError("cannot write a file without a name")
    target = Path(os.path.realpath(told))  # a file put in the place of a link would end the link
    try:
        mode = os.stat(told).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except OSError as error:
        raise type(error)(f"cannot write {told}: {error.strerror}") from None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(f"cannot write {told}: it is a folder; name a file in it")
    if told.endswith(("/", os.sep)):
        raise IsADirectoryError(f"cannot write {told}: it names a folder; leave out the last {told[-1]}")
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"cannot write {told}: it is not a regular file")  # a pipe, a device: gone if replaced
    if not target.parent.is_dir():
        missing = target.parent if os.path.islink(told) else Path(told).parent
        raise FileNotFoundError(f"cannot write {told}: there is no folder {missing}")
    return target
