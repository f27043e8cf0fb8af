"""Numbers in a recording that follow the number of samples, found by comparing two recordings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Size:
    """``per · m + plus`` for m samples."""

    per: int
    plus: int

    def at(self, samples: int) -> int:
        """The number for so many samples."""
        return self.per * samples + self.plus


Shape = tuple[int | Size, ...]


class DifferError(Exception):
    """Two recordings differ in something that is no whole number."""


def unified(one: Any, two: Any, samples: tuple[int, int]) -> Any:
    """What both recordings say, where they differ in a whole number as the `Size` that gives both.

    Raises:
        DifferError: they differ in another way.
    """
    if isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        return tuple(unified(a, b, samples) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return {key: unified(one[key], two[key], samples) for key in one}
    if type(one) is not type(two) or isinstance(one, Tensor):
        raise DifferError
    if one == two or (isinstance(one, float) and math.isnan(one) and math.isnan(two)):
        return one
    if type(one) is int:
        per, rest = divmod(two - one, samples[1] - samples[0])
        if rest == 0:
            return Size(per, one - per * samples[0])
    raise DifferError


def at(shape: Shape, samples: int) -> tuple[int, ...]:
    """A shape for so many samples."""
    return tuple(size.at(samples) if isinstance(size, Size) else size for size in shape)


@dataclass(frozen=True)
class Axis:
    """Where the samples of a tensor are: ``per`` entries of dimension ``dim`` belong to each, sample by sample."""

    dim: int
    per: int

    def rows(self, tensor: Tensor) -> Tensor:
        """The tensor as ``(m, entries of one sample)``."""
        return self.split(tensor).flatten(1) if tensor.dim() > 1 or self.per > 1 else tensor[:, None]

    def split(self, tensor: Tensor) -> Tensor:
        """The tensor with the samples in the first dimension."""
        if self.per > 1:
            tensor = torch.unflatten(tensor, self.dim, (-1, self.per))
        return tensor.movedim(self.dim, 0)

    def take(self, tensor: Tensor, samples: Tensor) -> Tensor:
        """The chosen samples, in the tensor's own layout."""
        if self.per == 1:
            return tensor.index_select(self.dim, samples)
        chosen = torch.unflatten(tensor, self.dim, (-1, self.per)).index_select(self.dim, samples)
        return chosen.flatten(self.dim, self.dim + 1)

    def sample_shape(self, shape: Shape) -> tuple[int, ...]:
        """The shape of what belongs to one sample."""
        whole = at(shape, 1)
        return whole[: self.dim] + ((self.per,) if self.per > 1 else ()) + whole[self.dim + 1 :]


def sample_axis(shape: Shape) -> Axis | None:
    """The axis of a shape of which exactly one dimension is a multiple of the number of samples, else None."""
    follows = [(dim, size) for dim, size in enumerate(shape) if isinstance(size, Size)]
    if len(follows) != 1 or follows[0][1].plus or follows[0][1].per < 1:
        return None
    return Axis(follows[0][0], follows[0][1].per)
