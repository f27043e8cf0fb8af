"""The two-group model: k and n − k exchangeable points through recentered layers, an exact map of one or two numbers.

The indicative model of Nachum et al. (arXiv 2412.02843) has two groups of points. Recentered and up to scale, such a
batch has one number for each group of more than one point,

    s_g = λ_g / (λ_g + e),    λ_g half the squared distance of two points of the group, e that of the groups' means:

0 where the group is one point, 1 where the means coincide. So k = 1 gives a map of (0, 1), k ≥ 2 one of the square.
In the limit of infinite width the map is exact: it is `GramMap` on batches of this symmetry, which the layer keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from normscope.theory.activations.activation import Activation
from normscope.theory.activations.kernel import Array
from normscope.theory.groups.chart import Chart
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram
from normscope.theory.layers.gram_map import GramMap


@dataclass(frozen=True)
class TwoGroups:
    """The layer on batches of two groups, in the coordinates s of this module, behind the activation.

    Args:
        sizes: (k, n − k).
        rescale: as of `GramMap`; recentering is always on.
        activation: as of `GramMap`, positively homogeneous.

    Raises:
        ValueError: not two groups of more than two points in all, or a φ that is not positively homogeneous.
    """

    sizes: tuple[int, int]
    rescale: bool = False
    activation: str | Activation | Callable[..., object] = "relu"

    def __post_init__(self) -> None:
        if len(self.sizes) != 2 or min(self.sizes) < 1 or sum(self.sizes) < 3:
            raise ValueError(f"two groups of at least 3 points in all, got sizes {tuple(self.sizes)}")
        if self.layer.phi.degree is None:
            raise ValueError(
                f"the two-group model is modulo scale: φ is positively homogeneous (linear, relu, leaky_relu, abs, "
                f"step), and {self.layer.phi.name!r} is not"
            )

    @cached_property
    def layer(self) -> GramMap:
        """The layer on whole Gram matrices."""
        return GramMap(True, self.rescale, self.activation)

    @property
    def n(self) -> int:
        """Number of points."""
        return sum(self.sizes)

    @property
    def dimension(self) -> int:
        """1 or 2: groups of more than one point."""
        return len(self._chart.loose)

    @cached_property
    def exchangeable(self) -> Array:
        """(dimension,): the coordinates of the batch whose points are all exchangeable, s = 1/(1 + n/(k (n − k)))."""
        k, rest = self.sizes
        return np.full(self.dimension, 1 / (1 + self.n / (k * rest)))

    def coordinates(self, gram: ArrayLike | GroupGram) -> Array:
        """(…, dimension): of Gram matrices (…, n, n), points in the order of the groups, or of group matrices.

        Distances are averaged over each block.

        Raises:
            ValueError: not n points, or all of them coincide.
        """
        point = self._chart.pack(gram if isinstance(gram, GroupGram) else self._groups(gram))
        spread, apart = point[..., :-1], point[..., -1:]
        if np.any(spread + apart <= 0):
            raise ValueError("all points coincide: recentering leaves nothing of them")
        return np.asarray(spread / (spread + apart))

    def gram(self, point: ArrayLike) -> Array:
        """(…, n, n): a centred Gram matrix with these coordinates, of trace n.

        Raises:
            ValueError: coordinates outside [0, 1).
        """
        groups = self._unpacked(point)
        return np.asarray(groups.scaled(self.n / groups.trace).dense())

    def step(self, point: ArrayLike) -> Array:
        """(…, dimension): the coordinates one layer on.

        Raises:
            ValueError: coordinates outside [0, 1).
        """
        return self.coordinates(self._map(self._unpacked(point)))

    def trajectory(self, start: ArrayLike, depth: int) -> Array:
        """(depth + 1, …, dimension): the start, and the coordinates behind each layer.

        Raises:
            ValueError: as `step`, or depth < 0.
        """
        if depth < 0:
            raise ValueError(f"depth is at least 0, got {depth}")
        path = [np.asarray(start, dtype=np.float64)]
        for _ in range(depth):
            path.append(self.step(path[-1]))
        return np.stack(path)

    def field(self, points_per_side: int = 25, low: float = 0.01, high: float = 0.99) -> tuple[Array, Array]:
        """Coordinates on a grid, and the change in one layer there: each (points, …, dimension)."""
        axis = np.linspace(low, high, points_per_side)
        grid = np.stack(np.meshgrid(*[axis] * self.dimension, indexing="ij"), axis=-1)
        return grid, self.step(grid) - grid

    @cached_property
    def fixed_points(self) -> list[FixedPoint]:
        """Those of two groups of these sizes, and the symmetric one. `coordinates` of their ``groups`` say where.

        Their spectrum is that of the whole batch: one may attract within the model and not outside it.
        """
        return self.layer.fixed_points(self.n, (self.n,)) + self.layer.fixed_points(self.n, self.sizes)

    def place(self, point: FixedPoint) -> Array:
        """(dimension,): where one of `fixed_points` lies."""
        return self.exchangeable if len(point.sizes) == 1 else self.coordinates(point.groups)

    @cached_property
    def _chart(self) -> Chart:
        return Chart(np.array(self.sizes, dtype=np.float64), recenter=True)

    @cached_property
    def _map(self) -> GroupMap:
        return GroupMap(True, self.rescale, self.layer.phi)

    def _unpacked(self, point: ArrayLike) -> GroupGram:
        s = np.asarray(point, dtype=np.float64)
        if s.shape[-1:] != (self.dimension,) or not np.all((s >= 0) & (s < 1)):
            raise ValueError(f"the model's coordinates are {self.dimension} number(s) in [0, 1), got {point!r}")
        return self._chart.unpack(np.concatenate([s / (1 - s), np.ones_like(s[..., :1])], axis=-1))

    def _groups(self, gram: ArrayLike) -> GroupGram:
        """Block means of squared distances, which recentering keeps; norms do not count."""
        dense = np.asarray(gram, dtype=np.float64)
        if dense.shape[-2:] != (self.n, self.n):
            raise ValueError(f"Gram matrices of n = {self.n} points, got shape {dense.shape}")
        norms = np.diagonal(dense, axis1=-2, axis2=-1)
        apart = norms[..., :, None] + norms[..., None, :] - 2 * dense
        inside = np.repeat(np.eye(2), self.sizes, axis=1)
        k = np.array(self.sizes, dtype=np.float64)
        pairs = np.outer(k, k) - np.diag(k)
        means = inside @ apart @ inside.T / np.where(pairs > 0, pairs, 1.0)
        return GroupGram(k, norms @ inside.T / k, means)
