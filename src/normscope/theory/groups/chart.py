"""Coordinates of a Gram matrix of exchangeable groups: what a fixed point is solved for in."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from normscope.theory.groups.groups import Array, GroupGram, gram_of_means, recentered_means
from normscope.theory.groups.linearization import Linearized


@lru_cache(maxsize=64)
def _pairs(m: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(m, 1)


class Chart:
    """The numbers that a layer distinguishes in Gram matrices of groups of these sizes.

    ‖μ_g‖² of the groups' means (not with recentering, which makes them follow), λ_g = half the squared distance within
    the group (from two points on), ‖μ_g − μ_h‖². All are at least 0. Groups in ``tight`` are single points of weight
    k_g: their λ_g is 0, and no coordinate.
    """

    def __init__(self, sizes: Array, *, recenter: bool, tight: Collection[int] = ()) -> None:
        self.sizes, self.recenter = sizes, recenter
        m = sizes.size
        self.normed = [] if recenter else list(range(m))
        self.loose = [g for g in range(m) if sizes[g] > 1 and g not in tight]
        self.first, self.second = _pairs(m)

    def __len__(self) -> int:
        return len(self.normed) + len(self.loose) + self.first.size

    def pack(self, gram: GroupGram) -> Array:
        """(…, p): the coordinates of a Gram matrix."""
        norms = (gram.variances - gram.spread)[..., self.normed]
        apart = gram.mean_distances[..., self.first, self.second]
        return np.concatenate([norms, gram.contrasts[..., self.loose], apart], axis=-1)

    def unpack(self, point: Array) -> GroupGram:
        """The Gram matrix with these coordinates; with recentering the centred one."""
        batch, m = point.shape[:-1], self.sizes.size
        contrasts, apart = np.zeros((*batch, m)), np.zeros((*batch, m, m))
        a, b = len(self.normed), len(self.normed) + len(self.loose)
        contrasts[..., self.loose] = point[..., a:b]
        apart[..., self.first, self.second] = apart[..., self.second, self.first] = point[..., b:]
        if self.recenter:
            means = recentered_means(self.sizes, apart)
        else:
            norms = point[..., :a]
            means = (norms[..., :, None] + norms[..., None, :] - apart) / 2
        return gram_of_means(self.sizes, contrasts, means, apart)

    def jacobian(self, derivative: Linearized) -> Array:
        """(…, p, p): the derivative of the layer in these coordinates."""
        basis = self.unpack(np.eye(len(self)))  # the coordinates are linear in the Gram matrix
        changed = GroupGram(self.sizes, *derivative.shared(basis.variances, basis.distances))
        return np.swapaxes(self.pack(changed), -1, -2)
