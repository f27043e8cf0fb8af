"""Call what the user named, with the keywords that the user gave."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from normscope.loading.errors import LoadingError, one_line, origin, suggestion

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def call(function: Callable[..., Any], keywords: Mapping[str, Any], name: str) -> Any:
    """``function(**keywords)``.

    Args:
        function: a factory or class.
        keywords: its keyword arguments.
        name: what messages call it.

    Raises:
        LoadingError: a keyword that it does not take, one that it needs and did not get, or it raises; the message
            says what and at which line of the user's.
    """
    check_keywords(function, keywords, name)
    try:
        return function(**keywords)
    except (Exception, SystemExit) as error:
        raise LoadingError(f"{name} raised {origin(error)}") from error


def check_keywords(function: Callable[..., Any], keywords: Mapping[str, Any], name: str) -> None:
    """Check that ``function`` takes these keywords and needs no others.

    Raises:
        LoadingError: it does not; the message lists its parameters.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C: the call itself will tell
        return
    takes = {p.name: p for p in parameters.values() if p.kind in _BY_NAME}
    listed = ", ".join(map(_shown, takes.values())) or "no keywords"
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [key for key in keywords if key not in takes]
    if unknown and not takes_any:
        close = suggestion(unknown[0], takes, listed=())
        link = f"{close} It" if close else "; it"
        raise LoadingError(f"{name} does not take the keyword {unknown[0]!r}{link} takes {listed}")
    lacking = [p.name for p in takes.values() if p.default is p.empty and p.name not in keywords]
    if lacking:
        raise LoadingError(f"{name} needs a value for {', '.join(lacking)}; it takes {listed}")


def _shown(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={one_line(repr(parameter.default), 40)}"
