"""The polygons of many regions, as a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers


class Polygons(Sequence[Floats]):
    """The polygons of all regions, each made when it is asked for.

    Args:
        xy: positions of the vertices, (V, 2).
        vertices: those of all regions end to end.
        starts: where each region starts among them, (R + 1,).
    """

    def __init__(self, xy: Floats, vertices: Integers, starts: Integers) -> None:
        self._xy, self._vertices, self._starts = xy, vertices, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, region: int) -> Floats: ...
    @overload
    def __getitem__(self, region: slice) -> list[Floats]: ...
    def __getitem__(self, region: int | slice) -> Floats | list[Floats]:
        if isinstance(region, slice):
            return [self[index] for index in range(len(self))[region]]
        index = range(len(self))[region]
        return self._xy[self._vertices[self._starts[index] : self._starts[index + 1]]]

    def __iter__(self) -> Iterator[Floats]:
        return iter(np.split(self._xy[self._vertices], self._starts[1:-1]))
