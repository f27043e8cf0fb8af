"""One kind of error for what comes from outside, and the words that its messages are made of."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch

_LONGEST = 300
_LONGEST_MESSAGE = 1500
_LONGEST_NAME = 80
_SHOWN = 8
_HERE = os.path.dirname(os.path.abspath(__file__))
# code that the user did not write: an error is told at the last line outside of it
_INSTALLED = tuple(os.path.join(sysconfig.get_path(key), "") for key in ("stdlib", "platstdlib", "purelib", "platlib"))


class LoadingError(ValueError):
    """What was to be loaded cannot be used. The message is one line: what was wrong, where, and what to do.

    Whatever it quotes (paths, keys, other messages), it stays one line and holds nothing that steers a terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, _LONGEST_MESSAGE))


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever a block raises while it reads ``path`` into a `LoadingError` that names the file.

    Raises:
        LoadingError: the block raised; its own `LoadingError` passes unchanged.
    """
    try:
        yield
    except LoadingError:
        raise
    except Exception as error:  # readers of files raise anything on bytes that nobody meant for them
        reason = one_line(str(error)) or type(error).__name__
        raise LoadingError(f"{os.fspath(path)} cannot be read, it is damaged or of another format: {reason}") from error


def one_line(text: str, longest: int = _LONGEST) -> str:
    """``text`` on one line, clipped, and with a terminal's escape codes written out as Python writes them."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def suggestion(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """The end of a message on an unknown ``name``: the known one that was meant, or else which there are.

    Args:
        name: what the user wrote.
        known: where to look for a close one.
        listed: what to list without a close one; ``known`` if not given.
    """
    known = list(known)
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {one_line(close[0], _LONGEST_NAME)!r}?"
    names = known if listed is None else list(listed)
    return f"; there is {some(names, _SHOWN)}" if names else ""


def some(names: Sequence[str], shown: int, longest: int = _LONGEST_NAME) -> str:
    """The first ``shown`` names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(one_line(name, longest) for name in names[:shown]) + more


def describe(value: Any) -> str:
    """What a value is, in a few words: ``a tuple of 2 (Linear, Adam)``."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        kinds = [type(item).__name__ for item in value[:3]] + ["…"] * (len(value) > 3)
        return f"a {type(value).__name__} of {len(value)} ({', '.join(kinds)})"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def origin(error: BaseException) -> str:
    """The last line of a traceback and where in the user's code it came from: ``ValueError: bad (model.py:7)``."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{kind}: {one_line(error.msg)} ({_short(error.filename)}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_machinery(f.filename)]
    own = [f for f in frames if not f.filename.startswith(_INSTALLED)]
    place = f" ({_short((own or frames)[-1].filename)}:{(own or frames)[-1].lineno})" if frames else ""
    text = one_line(str(error))
    return f"{kind}: {text}{place}" if text else f"{kind}{place}"


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<") or os.path.dirname(os.path.abspath(filename)) == _HERE


def _short(filename: str) -> str:
    """A path from the current folder where it lies below it."""
    below = os.path.join(os.getcwd(), "")
    return filename.removeprefix(below)
