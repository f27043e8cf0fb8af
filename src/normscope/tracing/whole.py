"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file beside ``path`` to write into, put in its place at the end, so that no half of it is ever seen.

    Raises:
        OSError: the path cannot be written; the message says why. Whatever is raised, nothing is left behind.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file in it")
        target = target.resolve()  # behind a symbolic link, the file that it points to
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}")
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".normscope.", suffix=".part")
    except OSError as error:
        raise type(error)(f"cannot write {path}: {error.strerror}") from None
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
