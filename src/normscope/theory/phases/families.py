"""Families of fixed points of groups (k, n − k): over the batch size, t = ln n, or the slope of a leaky ReLU, t."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from normscope.theory.activations.activation import Activation, activation, leaky_relu
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.phases.branches import Family
from normscope.theory.phases.continuation import Array


def families(
    recenter: bool,
    rescale: bool,
    phi: str | Activation,
    parameter: Literal["n", "slope"],
    n: int | None,
    low: float,
    high: float,
    first: Sequence[int],
) -> Iterator[tuple[str, Family, float, float]]:
    """Name, family, and first and last t, of groups (k, n − k) for all k in ``first``, each also with tight groups."""
    for k in first:
        if parameter == "n":
            layer = GroupMap(recenter, rescale, activation(phi))
            start, end = np.log(max(low, 2 * k, k + 2)), np.log(high)
            layers, sizes = _constant(layer), _growing(k)
        else:
            start, end = low, high
            layers, sizes = _sloped(recenter, rescale), _fixed(k, float(n or 0))
        if start >= end or np.any(sizes(end) < 1):
            continue
        for tight in _faces(sizes(end), recenter=recenter, rescale=rescale):
            yield _name(k, n if parameter == "slope" else None, tight), Family(layers, sizes, tight), start, end


def _faces(sizes: Array, *, recenter: bool, rescale: bool) -> Iterator[tuple[int, ...]]:
    """No group tight; and without rescaling, whose derivative at tight groups is infinite, each set of them."""
    loose = [g for g in range(sizes.size) if sizes[g] > 1]
    yield ()
    if recenter and not rescale and sizes.size > 1:
        for count in range(1, len(loose) + 1):
            yield from combinations(loose, count)


def _constant(layer: GroupMap) -> Callable[[float], GroupMap]:
    return lambda _: layer


def _growing(k: int) -> Callable[[float], Array]:
    return lambda t: np.array([float(k), np.exp(t) - k]) if k else np.array([np.exp(t)])


def _fixed(k: int, n: float) -> Callable[[float], Array]:
    return lambda _: np.array([float(k), n - k]) if k else np.array([n])


def _sloped(recenter: bool, rescale: bool) -> Callable[[float], GroupMap]:
    return lambda t: GroupMap(recenter, rescale, leaky_relu(t))


def _name(k: int, n: int | None, tight: tuple[int, ...]) -> str:
    rest = "n" if n is None else str(n - k)
    if k == 0:
        return f"symmetric ({rest},)"
    sizes = f"({k}, n − {k})" if n is None else f"({k}, {rest})"
    if not tight:
        return f"{'odd' if k == 1 else 'groups'} {sizes}"
    if len(tight) == (2 if k > 1 else 1):
        return f"cluster {sizes}"
    return f"groups {sizes}, group {tight[0] + 1} tight"
