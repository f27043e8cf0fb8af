"""Pages on the disk: whole, or not there."""

from __future__ import annotations

import os

from normscope.system import ensure_writable, written_whole

__all__ = ["ensure_writable", "write_whole"]


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path``; see `written_whole`.

    Raises:
        OSError: the path cannot be written; nothing is left behind.
    """
    with written_whole(path) as file:
        file.write(text.encode())
