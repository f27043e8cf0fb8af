"""Results, on stdout: text without colours, also where the reader has gone or cannot show every sign."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from normscope.cli.failure import Failure

_WIDTH = 100  # where stdout is no terminal and COLUMNS says nothing


def print_result(text: str) -> None:
    """Print ``text`` on stdout. A reader that has read enough (``| head``) ends it without an error.

    Raises:
        Failure: what stdout leads to cannot be written: a full disk.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without × prints a question mark
    try:
        print(text, flush=True)
    except BrokenPipeError:
        abandon_stdout()
    except OSError as error:
        abandon_stdout()
        raise Failure(f"the result could not be written to stdout: {error.strerror}") from error


def abandon_stdout() -> None:
    """What is still to be written there goes nowhere: Python flushes it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wrote(path: str) -> str:
    """That a file was written, where, and how large it is."""
    size = os.path.getsize(path)
    told = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"
    return f"Wrote {Path(path).resolve()} ({told})"


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns
