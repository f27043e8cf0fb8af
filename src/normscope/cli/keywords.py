"""Options of the form KEY=VALUE, given several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from normscope.cli.failure import Failure

OF_DATA: Final = {"batch": "--batch", "fewer": "--batch", "seed": "--seed"}
"""What data could be asked for by keyword and has an option of its own."""


def keywords(option: str, words: Sequence[str] | None, own: Mapping[str, str] | None = None) -> dict[str, object]:
    """Keyword arguments from what an option was given.

    Args:
        option: ``--kw`` or another.
        words: each ``KEY=VALUE``.
        own: keys that are not taken, and the option that takes their place.

    Raises:
        Failure: a word is of another form, or names a key that is not taken or was named before.
    """
    from normscope.loading import LoadingError, one_line, parse_keyword

    found: dict[str, object] = {}
    for word in words or []:
        try:
            key, value = parse_keyword(word)
        except LoadingError as error:
            raise Failure(f"{option}: {error}") from error
        told = f"{option} {one_line(word, 80)}"
        if own is not None and key in own:
            raise Failure(f"{told}: that is what {own[key]} says")
        if key in found:
            raise Failure(f"{told}: {key} is named twice")
        found[key] = value
    return found
