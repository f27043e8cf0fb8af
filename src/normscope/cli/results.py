"""Results, on stdout: text without colours, also where the reader has gone or cannot show every sign."""

from __future__ import annotations

import io
import os
import shutil
import sys

_WIDTH = 100  # where stdout is no terminal and COLUMNS says nothing


def print_result(text: str) -> None:
    """Print ``text`` on stdout. A reader that has read enough (``| head``) ends it without an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without × prints a question mark
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes stdout once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns
