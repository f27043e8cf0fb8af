"""An array that grows at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Growing:
    """Rows, with room for more: appending costs what is appended, on average."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._room = rows
        self._count = len(rows)

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All rows so far; a view."""
        return self._room[: self._count]

    def append(self, rows: NDArray[Any]) -> int:
        """Append rows; returns the number of the first."""
        first, self._count = self._count, self._count + len(rows)
        if self._count > len(self._room):
            room = np.empty((max(self._count, 3 * first // 2), *self._room.shape[1:]), dtype=self._room.dtype)
            room[:first] = self._room[:first]
            self._room = room
        self._room[first : self._count] = rows
        return first
