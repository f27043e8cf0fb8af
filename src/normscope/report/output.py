"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def ensure_writable(path: str | os.PathLike[str]) -> None:
    """Find out before long work whether ``path`` can be written at its end; leaves nothing behind.

    Raises:
        OSError: it cannot; the message says why.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {target}: it is a folder; name a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: there is no folder {target.parent}")
    try:
        handle, probe = _beside(target)
    except OSError as error:
        raise type(error)(f"cannot write {target}: {error.strerror}") from None
    os.close(handle)
    os.unlink(probe)


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to a file beside ``path`` and then put it in its place, so that no half of it is ever seen.

    Raises:
        OSError: the path cannot be written; nothing is left behind.
    """
    target = Path(path)
    handle, temporary = _beside(target)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # a temporary file starts out private
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _beside(target: Path) -> tuple[int, str]:
    return tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
