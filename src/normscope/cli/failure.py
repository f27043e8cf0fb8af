"""Failure told in one line, and what Ctrl-C does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from normscope.system import is_out_of_memory

CANNOT_RUN = 2


class Failure(Exception):
    """The command could not run; its message is what the user reads."""


@contextmanager
def failing(
    *expected: type[Exception], interrupted: str = "interrupted", too_large: str = "out of memory"
) -> Iterator[None]:
    """Turn the ``expected`` exceptions, memory that does not suffice, and Ctrl-C into a `Failure` with one line.

    Whatever is raised after Ctrl-C is what became of it on its way: libraries catch it and raise errors of their own.

    Args:
        expected: exceptions whose message is for the user.
        interrupted: what is said after Ctrl-C.
        too_large: what is said where memory does not suffice.
    """
    signalled = False

    def interrupt(_signal: int, _frame: Any) -> NoReturn:
        nonlocal signalled
        signalled = True
        raise KeyboardInterrupt

    try:
        with _on_interrupt(interrupt):
            yield
    except BaseException as error:
        if signalled or isinstance(error, KeyboardInterrupt):
            raise Failure(interrupted) from error
        if is_out_of_memory(error):
            # numpy has a class of its own, whose message names an array and not what to do
            raise Failure(str(error) if type(error) is MemoryError and str(error) else too_large) from error
        if isinstance(error, expected):
            raise Failure(str(error)) from error
        raise


def leave_on_interrupt() -> None:
    """Until a command is at work (`failing`), Ctrl-C ends the process on the spot.

    Nothing has been written yet, and an exception in the middle of the imports becomes whatever they make of it.
    """
    if _signals_come_here():
        signal.signal(signal.SIGINT, _leave)


def ignore_interrupt() -> None:
    """From now on Ctrl-C does nothing: what is left is the end of the process, and its exit code is known."""
    if _signals_come_here():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def tell(message: str) -> int:
    """Print ``message`` as one line on stderr.

    Returns:
        The exit code 2.
    """
    print(f"normscope: {one_line(message)}", file=sys.stderr)
    return CANNOT_RUN


def one_line(text: str) -> str:
    """``text`` without its line breaks."""
    return " ".join(text.split())


def _leave(_signal: int, _frame: Any) -> NoReturn:
    os.write(2, b"normscope: interrupted\n")
    os._exit(CANNOT_RUN)


@contextmanager
def _on_interrupt(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    if not _signals_come_here():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _signals_come_here() -> bool:
    """Only the main thread has handlers; and who started us to ignore Ctrl-C (a shell, in the background) is obeyed."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
