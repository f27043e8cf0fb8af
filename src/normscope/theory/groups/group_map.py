"""One infinite-width layer on m groups of exchangeable points: recentering, rescaling, φ, each on or off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from normscope.theory.activations.kernel import Activation
from normscope.theory.groups.groups import Array, GroupGram, gram_of_means, matrix_of_means, own, recentered_means
from normscope.theory.groups.tilting import Tilted, tilted, untilted


@dataclass(frozen=True)
class GroupMap:
    """G ↦ E φ(z)φ(z)ᵀ, z ~ N(0, C), C = σ_w² H G H (or σ_w² G + σ_b² 11ᵀ), rescaled or not, on groups.

    The same map as `GramMap`, restricted to Gram matrices that permutations within the groups leave as they are; it
    costs what m points cost, and stays accurate relative to 1 − cosine within the groups and to their sizes.

    Raises:
        ValueError: rescaling with a φ that is not positively homogeneous of degree 0 or 1: there is no quadrature.
    """

    recenter: bool
    rescale: bool
    activation: Activation
    weight_variance: float = 1.0
    bias_variance: float = 0.0

    def __post_init__(self) -> None:
        if self.rescale and self.activation.degree not in (0, 1):
            raise ValueError(
                f"rescaling on groups needs a φ of degree 0 or 1 (φ(s x) = s φ(x)), {self.activation.name!r} is not: "
                "use rescale=False, or the whole Gram matrix (GramMap)"
            )

    @property
    def tilts(self) -> bool:
        """Whether rescaling does anything: φ of degree 0 does not see it."""
        return self.rescale and self.activation.degree == 1

    @property
    def scale_free(self) -> bool:
        """Whether a fixed point has a scale of its own (False) or is one of all scales (True)."""
        return (self.rescale or self.activation.degree in (0, 1)) and (self.recenter or self.bias_variance == 0)

    def __call__(self, gram: GroupGram) -> GroupGram:
        """The Gram matrix one layer on, its scale as it comes; batched over leading dimensions."""
        mixture = self.preactivation(gram)
        return mixed(mixture, *activated(self.activation, mixture.gram))

    def preactivation(self, gram: GroupGram) -> Tilted:
        """What φ acts on: recentered, and as a mixture of Gaussians where it is rescaled.

        Raises:
            ValueError: rescaling points that are all at their mean.
        """
        contrasts = self.weight_variance * gram.contrasts
        apart = self.weight_variance * gram.mean_distances
        if self.recenter:
            means = recentered_means(gram.sizes, apart)
        else:
            means = self.weight_variance * gram.means + self.bias_variance
        if self.tilts:
            return tilted(matrix_of_means(gram.sizes, contrasts, means), recentered=self.recenter)
        return untilted(gram_of_means(gram.sizes, contrasts, means, apart), means)

    def push_preactivation(self, sizes: Array, variances: Array, distances: Array) -> tuple[Array, Array]:
        """Derivative of C along (dv, dD), as (dλ, Gram matrix of the means): linear, without the bias."""
        change = GroupGram(sizes, variances, distances)
        means = recentered_means(sizes, change.mean_distances) if self.recenter else change.means
        return self.weight_variance * change.contrasts, self.weight_variance * means


def pairs_of_groups(sizes: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each two groups once, and each group of two points or more with itself."""
    return _pairs(tuple((sizes > 1).tolist()))


@lru_cache(maxsize=256)
def _pairs(several: tuple[bool, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(len(several))
    there = (first != second) | np.array(several)[first]
    return first[there], second[there]


def activated(phi: Activation, gram: GroupGram) -> tuple[Array, Array]:
    """(…, m) and (…, p): E φ(z_g)² of each group, and E(φ(z_g) − φ(z_h))² of each of `pairs_of_groups`."""
    first, second = pairs_of_groups(gram.sizes)
    v = gram.variances
    apart = phi.distance_kernel(v[..., first], v[..., second], gram.distances[..., first, second])
    return phi.second_moment(v), apart


def mixed(mixture: Tilted, moments: Array, apart: Array) -> GroupGram:
    """The Gram matrix of a mixture whose parts have these, of the shapes of `activated`."""
    sizes, weights = mixture.gram.sizes, mixture.weights[..., None, :]
    first, second = pairs_of_groups(sizes)
    distances = np.zeros((*moments.shape[:-2], sizes.size, sizes.size))
    distances[..., first, second] = distances[..., second, first] = (weights @ apart)[..., 0, :]
    return GroupGram(sizes, (weights @ moments)[..., 0, :], distances)


def without_singles(sizes: Array, distances: Array) -> Array:
    """0 for the distance within a group of one point."""
    single = own(sizes.size) & (sizes <= 1)
    return np.where(single, 0.0, distances)
