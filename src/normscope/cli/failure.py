"""Failure told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Failure(Exception):
    """The command could not run; its message is what the user reads."""


@contextmanager
def failing(*expected: type[Exception], interrupted: str = "interrupted") -> Iterator[None]:
    """Turn the ``expected`` exceptions, and Ctrl-C, into a `Failure` with their message."""
    try:
        yield
    except expected as error:
        raise Failure(str(error)) from error
    except KeyboardInterrupt as error:
        raise Failure(interrupted) from error
