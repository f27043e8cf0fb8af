"""The polygons of many regions, as a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from normscope.spline.cutting.complex import Complex, Floats


class Polygons(Sequence[Floats]):
    """The polygons of all regions, each made when it is asked for."""

    def __init__(self, complex_: Complex) -> None:
        self._xy, self._starts, self._vertices = complex_.xy, complex_.starts, complex_.tails()

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
