"""Whole numbers that users give."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from normscope.loading import describe, one_line

_LONGEST = 60  # characters of a value in a message
_BITS = 128  # of a whole number that is written out; Python refuses to write those of thousands of digits


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """A whole number; a float that is one, such as 1e6, is taken.

    Args:
        name: of the argument, for messages.
        value: what was given.
        least: the smallest that makes sense.

    Raises:
        ValueError: it is below ``least``.
        TypeError: it is no whole number.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {shortly(value)}") from None
    if least is not None and number < least:
        raise ValueError(f"{name} is at least {least}, got {shortly(number)}")
    return number


def shortly(value: Any) -> str:
    """A short value as it is written, clipped; any other by its kind, and a very long whole number by its length."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"a {'negative ' if value < 0 else ''}whole number of {value.bit_length()} bits"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return one_line(repr(value), _LONGEST) if isinstance(value, bool | int | float | complex | str) else describe(value)
