"""A batch from a Python object: a loader, a data set, or a batch itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from normscope.data.arrays import parts_of
from normscope.data.batch import Batch, choose_rows, draw_batch, drawn_words, take_batch
from normscope.data.columns import is_column
from normscope.loading import LoadingError, call, describe, one_line, origin, resolve, seeded_randomness, some


def open_factory(
    spec: str, options: Mapping[str, Any], *, batch: int, seed: int, fewer: bool = False
) -> Batch:  # fmt: skip
    """A batch from the Python object that ``spec`` names, called with ``options`` if it can be called.

    The object, or what it returns, is one of
    a batch: a tensor or array, ``(inputs, targets)``, or a dictionary of them (targets under y, targets or labels);
    a data set: a sequence of samples ``(x, y)``, tensors or dictionaries, with a length;
    a loader: an iterable of batches, of which as many are taken as the batch needs, in the loader's order.
    From a batch and a data set the samples are drawn at random. The global random generators, from which a loader
    that shuffles draws, start from ``seed`` and are put back. With ``fewer``, of fewer samples than ``batch`` all are
    taken.

    Raises:
        LoadingError: the spec resolves to nothing; the factory, data set or loader raises; it is none of the above;
            or its numbers cannot be used (`draw_batch`).
    """
    found = resolve(spec)
    name = spec.rpartition(":")[2]
    with seeded_randomness(seed):
        if callable(found):
            found = call(found, options, spec)
        elif options:
            raise LoadingError(f"{spec} is {describe(found)}, which takes no {some(list(options), 3)}")
        if _is_batch(found):
            return draw_batch(parts_of(found, spec), batch=batch, seed=seed, source=spec, name=name, fewer=fewer)
        content, numbers, chosen = _samples(found, spec, batch, seed, fewer)
    return take_batch(parts_of(content, spec), numbers=numbers, chosen=chosen, source=spec, name=name)


def _is_batch(found: Any) -> bool:
    """Whether it is one batch. A list is one of columns, else it is a data set: a sequence of samples."""
    if isinstance(found, list):
        return len(found) in (1, 2) and all(map(is_column, found))
    return isinstance(found, tuple | Mapping) or is_column(found)


def _samples(found: Any, spec: str, batch: int, seed: int, fewer: bool) -> tuple[Any, Sequence[int], str]:
    """The samples of a batch together, their numbers in the source, and in words how they were chosen."""
    try:
        if isinstance(found, IterableDataset):  # gives samples, not batches
            found = DataLoader(found, batch_size=batch)
        elif hasattr(found, "__getitem__") and hasattr(found, "__len__") and not isinstance(found, str | bytes):
            numbers = choose_rows(len(found), batch, seed, spec, fewer)
            collated = default_collate([found[number] for number in numbers])
            return collated, numbers, drawn_words(len(numbers), len(found), seed)
        if isinstance(found, Iterable) and not isinstance(found, str | bytes):
            content, held = _first(found, batch, spec, fewer)
            told = drawn_words(held, held, seed) if held < batch else f"the first {batch} samples of"
            return content, range(held), told
    except LoadingError:
        raise
    except (Exception, SystemExit) as error:  # the user's data set may raise anything
        raise LoadingError(f"reading samples of {spec} raised {origin(error)}") from error
    raise LoadingError(
        f"{spec} gives {describe(found)}: expected a loader (an iterable of batches), a data set (a sequence of "
        "samples), or a batch (a tensor, (inputs, targets) or a dictionary)"
    )


def _first(loader: Iterable[Any], batch: int, spec: str, fewer: bool) -> tuple[Any, int]:
    """The first ``batch`` samples of a loader, and how many; no more batches are asked for than it takes."""
    batches: list[Any] = []
    held = 0
    for content in loader:
        batches.append(content)
        held += _length(content, spec)
        if held >= batch:
            break
    if held < batch and not (fewer and held):
        raise LoadingError(
            f"a batch of {batch} was asked for, but {spec} gave {held} samples in {len(batches)} batches"
        )
    held = min(held, batch)
    return _cut(_joined(batches, spec), held), held


def _length(content: Any, spec: str) -> int:
    if hasattr(content, "shape") and len(content.shape):
        return int(content.shape[0])
    parts = list(content.values()) if isinstance(content, Mapping) else content
    if isinstance(parts, tuple | list) and parts:
        return _length(parts[0], spec)
    raise LoadingError(f"{spec} gave {describe(content)} for a batch: expected tensors with the samples first")


def _joined(batches: list[Any], spec: str) -> Any:
    """One batch out of several of the same structure."""
    first = batches[0]
    if len(batches) == 1:
        return first
    if isinstance(first, Mapping):
        return {key: _joined([content[key] for content in batches], spec) for key in first}
    if isinstance(first, tuple | list):
        return [_joined(list(parts), spec) for parts in zip(*batches, strict=True)]
    try:
        return torch.cat([torch.as_tensor(content) for content in batches])
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = ", ".join(describe(content) for content in islice(batches, 3))
        raise LoadingError(f"the batches of {spec} do not join ({shapes}): {one_line(str(error))}") from error


def _cut(content: Any, batch: int) -> Any:
    if isinstance(content, Mapping):
        return {key: _cut(value, batch) for key, value in content.items()}
    if isinstance(content, tuple | list):
        return [_cut(value, batch) for value in content]
    return content[:batch] if hasattr(content, "shape") else content
