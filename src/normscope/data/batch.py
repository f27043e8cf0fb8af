"""One batch, and how it is made of columns."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from normscope.data.columns import (
    Among,
    Values,
    as_inputs,
    as_targets,
    columns_of,
    common_length,
    is_column,
    require_finite,
    rows_of,
)
from normscope.loading import LoadingError, one_line

_LONGEST_DESCRIPTION = 1000


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of samples, as a model takes it.

    Attributes:
        inputs: the samples first: a tensor, a tuple of them (positional arguments) or a dictionary (keyword
            arguments); float32, or int64 for what counts or names something; bool where one of several is a mask.
        targets: as many; None if there are none.
        name: what it was opened by.
        description: one line on what the numbers are and what was done to them, for captions.
    """

    inputs: Values
    targets: Values | None
    name: str
    description: str


@dataclass(frozen=True, eq=False)
class Parts:
    """What of a source is what.

    Attributes:
        inputs: a column (whatever has a shape with the samples first and gives rows), or several of them.
        targets: the same, or None.
        told: in words, which of its arrays these are; empty if there was no choice.
    """

    inputs: Any
    targets: Any = None
    told: str = ""


def choose_rows(count: int, batch: int, seed: int, source: str, fewer: bool = False) -> list[int]:
    """``batch`` of the numbers 0 … count − 1, at random and in order; all of them where ``fewer`` will do.

    Raises:
        LoadingError: there are fewer.
    """
    if count == 0:
        raise LoadingError(f"{source} holds no samples")
    if batch > count and not fewer:
        raise LoadingError(
            f"a batch of {batch} was asked for, but {source} holds {count} sample{'' if count == 1 else 's'}"
        )
    return sorted(random.Random(seed).sample(range(count), min(batch, count)))


def draw_batch(parts: Parts, *, batch: int, seed: int, source: str, name: str, fewer: bool = False) -> Batch:
    """A batch drawn from columns, of which only its rows are read.

    Args:
        parts: the columns.
        batch: how many samples.
        seed: decides which.
        source: what messages and the description call it.
        name: the batch's name.
        fewer: all of them will do where there are fewer samples than ``batch``.

    Raises:
        LoadingError: something is no array, the columns differ in length, there are fewer samples than ``batch``, or
            the numbers are complex, text or objects, NaN or infinite (the message says in which sample).
    """
    count = _length(parts, source)
    rows = choose_rows(count, batch, seed, source, fewer)
    chosen = drawn_words(len(rows), count, seed)
    return _assemble(parts, rows, rows, chosen, source, name)


def take_batch(parts: Parts, *, numbers: Sequence[int], chosen: str, source: str, name: str) -> Batch:
    """A batch of columns that hold its samples and no others.

    Args:
        parts: the columns.
        numbers: the number of each sample in its source, for messages.
        chosen: how they were chosen, such as ``"the first 8 samples of"``.
        source: what messages and the description call it.
        name: the batch's name.

    Raises:
        LoadingError: as `draw_batch`.
    """
    return _assemble(parts, range(_length(parts, source)), numbers, chosen, source, name)


def drawn_words(batch: int, count: int, seed: int) -> str:
    """How a random batch was chosen, for descriptions."""
    if batch == count:
        return "the only sample of" if count == 1 else f"all {count} samples of"
    return f"{batch} samples, drawn with seed {seed}, of the {count} of"


def _length(parts: Parts, source: str) -> int:
    targets = {} if parts.targets is None else columns_of(parts.targets, "targets", source)
    return common_length({**columns_of(parts.inputs, "inputs", source), **targets}, source)


def _assemble(parts: Parts, rows: Sequence[int], numbers: Sequence[int], chosen: str, source: str, name: str) -> Batch:
    inputs: list[Tensor] = []
    notes: list[str] = []
    among: Among = "alone" if is_column(parts.inputs) else "several"
    for called, column in columns_of(parts.inputs, "inputs", source).items():
        values, note = as_inputs(rows_of(column, rows, called, source), called, source, among)
        require_finite(values, numbers, called, source)
        inputs.append(values)
        notes.append(note if among == "alone" else f"{called}: {note}")
    targets: list[Tensor] = []
    if parts.targets is not None:
        for called, column in columns_of(parts.targets, "targets", source).items():
            targets.append(as_targets(rows_of(column, rows, called, source), called, source))
            require_finite(targets[-1], numbers, called, source)
    told = f" ({parts.told})" if parts.told else ""
    description = f"{chosen} {source}{told}; {', '.join(notes)}"
    answers = _like(parts.targets, targets) if targets else None
    return Batch(_like(parts.inputs, inputs), answers, one_line(name), one_line(description, _LONGEST_DESCRIPTION))


def _like(values: Any, tensors: Sequence[Tensor]) -> Values:
    """The tensors in a structure like that of ``values``."""
    if is_column(values):
        return tensors[0]
    if isinstance(values, Mapping):
        return dict(zip(map(str, values), tensors, strict=True))
    return tuple(tensors)
