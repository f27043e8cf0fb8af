"""The class of every region: one, or several where the decision boundary runs through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from normscope.spline.classes.logits import logits_at_vertices
from normscope.spline.distances.checks import require_partition

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition


@dataclass(frozen=True, eq=False)
class Labelled:
    """Classes of the regions of a partition.

    On a region the logits are affine, so the points of one class in it form a convex set: a region whose vertices all
    have one class has that class everywhere.

    Attributes:
        logits: (V, C), at the vertices; of a model with one output z these are (0, z).
        classes: (R,), the class of the mean logits of a region's vertices.
        mixed: (R,), whether the vertices of the region have several classes.
    """

    logits: NDArray[np.float64]
    classes: NDArray[np.int64]
    mixed: NDArray[np.bool_]
    _points: NDArray[np.float64]
    _pairs: tuple[NDArray[np.int64], NDArray[np.int64]]

    @property
    def count(self) -> int:
        """Number of classes C."""
        return int(self.logits.shape[1])

    def affine(self, regions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Logits on regions as ``a s + b t + c``, least squares through the values at the region's vertices.

        s and t run from 0 to 1 over the bounding box of all vertices, from the lowest x and y on.

        Args:
            regions: (k,) numbers of regions.

        Returns:
            (k, C, 3): a, b, c.
        """
        low = self._points.min(axis=0)
        unit = (self._points - low) / np.maximum(self._points.max(axis=0) - low, np.finfo(float).tiny)
        place = np.full(len(self.classes), -1)
        place[regions] = np.arange(len(regions))
        owner, vertex = self._pairs
        held = place[owner] >= 0
        group, at = place[owner[held]], vertex[held]
        count = np.maximum(np.bincount(group, minlength=len(regions)), 1)
        centre = _sums(group, unit[at], len(regions)) / count[:, None]
        level = _sums(group, self.logits[at], len(regions)) / count[:, None]
        offset = unit[at] - centre[group]
        square = _sums(group, (offset[:, :, None] * offset[:, None, :]).reshape(-1, 4), len(regions))
        product = offset[:, :, None] * (self.logits[at] - level[group])[:, None, :]
        cross = _sums(group, product.reshape(-1, 2 * self.count), len(regions))
        # slivers have next to no extent in one direction: the slope along it is left at 0
        inverse = np.linalg.pinv(square.reshape(-1, 2, 2), rcond=1e-13, hermitian=True)
        slope = inverse @ cross.reshape(-1, 2, self.count)  # shape: (k, 2, C)
        constant = level - np.einsum("kd,kdc->kc", centre, slope)
        return np.concatenate([slope.transpose(0, 2, 1), constant[:, :, None]], axis=2)


def labelled(partition: Partition) -> Labelled | None:
    """Classes of the regions.

    None where the model gives no logits (its output is no vector), and where the partition is not complete (outputs are
    not affine on its regions).

    Raises:
        TypeError: it is no partition.
    """
    require_partition(partition)
    if len(partition.program.output_shape) > 1 or not partition.complete:
        return None
    logits = logits_at_vertices(partition)
    edges = partition.edges
    ends = edges[["start", "end"]].to_numpy()
    sides = edges[["left", "right"]].to_numpy()
    owner = np.repeat(sides, 2, axis=1).ravel()  # left, left, right, right
    vertex = np.tile(ends, 2).ravel()
    inside = owner >= 0
    pairs = (owner[inside], vertex[inside])
    count = len(partition.regions)
    own = logits.argmax(axis=1)
    low, high = np.full(count, logits.shape[1]), np.full(count, -1)
    np.minimum.at(low, pairs[0], own[pairs[1]])
    np.maximum.at(high, pairs[0], own[pairs[1]])
    classes = _sums(pairs[0], logits[pairs[1]], count).argmax(axis=1)
    return Labelled(logits, classes, low != high, partition.vertices, pairs)


def _sums(group: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Sums over groups, column by column."""
    columns = [np.bincount(group, column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))
