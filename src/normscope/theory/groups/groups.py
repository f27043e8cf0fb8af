"""Matrices of exchangeable groups: n points cost what their m groups cost.

A symmetric matrix that no permutation within the groups changes is

    M = ⊕_g λ_g I + (B_gh 1 1ᵀ),

λ_g = diagonal entry − other entry of group g. It acts on contrasts within group g as λ_g (k_g − 1 times), and on the
span of the normalized indicators 1_g/√k_g as the m × m quotient Q_gh = λ_g δ_gh + √(k_g k_h) B_gh. Sums, products,
inverses and functions of such matrices are taken on (λ, Q). Sizes may be real numbers from 1 on.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DENSE_LIMIT = 2000
"""Points beyond which a dense matrix is refused: 2000² numbers are 32 MB."""


def checked_sizes(sizes: ArrayLike) -> Array:
    """The sizes of the groups as a float64 vector.

    Raises:
        ValueError: there is no group, or a size is below 1.
    """
    k = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
    if k.ndim != 1 or k.size == 0 or not np.all(k >= 1) or not np.all(np.isfinite(k)):
        raise ValueError(f"group sizes are numbers from 1 on, got {sizes!r}")
    return k


def whole_number(name: str, value: object) -> int:
    """``value`` as an int.

    Raises:
        TypeError: it is not a whole number; the message says which.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a whole number, got {value!r}")
    return operator.index(value)


def membership(sizes: ArrayLike) -> NDArray[np.intp]:
    """The group of each point: (0, 0, …, 1, 1, …).

    Raises:
        ValueError: a size is not a whole number, or there are more points than `DENSE_LIMIT`.
    """
    k = checked_sizes(sizes)
    whole = k.astype(np.intp)
    if np.any(whole != k):
        raise ValueError(f"a dense matrix needs groups of whole sizes, got {tuple(k)}")
    if whole.sum() > DENSE_LIMIT:
        raise ValueError(
            f"a dense matrix of {whole.sum()} points is too large (at most {DENSE_LIMIT}): use the blocks, "
            "which have one entry a pair of groups"
        )
    return np.repeat(np.arange(k.size), whole)


@dataclass(frozen=True)
class GroupMatrix:
    """A symmetric matrix of exchangeable groups, as its eigenvalues on contrasts and its quotient.

    Leading dimensions are a batch of matrices.
    """

    sizes: Array
    """(m,)"""
    contrasts: Array
    """(…, m): λ_g. Where the size is 1 there is no contrast, and the value means nothing."""
    quotient: Array
    """(…, m, m): Q."""

    def __matmul__(self, other: GroupMatrix) -> GroupMatrix:
        return GroupMatrix(self.sizes, self.contrasts * other.contrasts, self.quotient @ other.quotient)

    def apply(self, function: Callable[[Array], Array]) -> GroupMatrix:
        """The function of the symmetric matrix, through its eigenvalues."""
        values, vectors = np.linalg.eigh(self.quotient)
        mapped: Array = (vectors * function(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        return GroupMatrix(self.sizes, function(self.contrasts), mapped)

    def inverse(self) -> GroupMatrix:
        """M⁻¹."""
        with np.errstate(divide="ignore"):
            contrasts = np.where(self.sizes > 1, 1 / self.contrasts, 0.0)
        quotient = np.asarray(np.linalg.inv(self.quotient), dtype=np.float64)
        return GroupMatrix(self.sizes, contrasts, quotient)

    def sqrt(self) -> GroupMatrix:
        """The root of a positive semidefinite M; eigenvalues below 0 by rounding count as 0."""
        return self.apply(lambda values: np.sqrt(np.maximum(values, 0.0)))

    @property
    def trace(self) -> Array:
        """(…,): Σ (k_g − 1) λ_g + tr Q."""
        return np.asarray(self.contrasts @ (self.sizes - 1) + np.trace(self.quotient, axis1=-2, axis2=-1))

    @property
    def logdet(self) -> Array:
        """(…,): log |det M|."""
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(np.where(self.sizes > 1, self.contrasts, 1.0)))
        return np.asarray(logs @ (self.sizes - 1) + np.linalg.slogdet(self.quotient)[1])

    @property
    def blocks(self) -> Array:
        """(…, m, m): B_gh, the entry of two different points; on the diagonal, two points of one group.

        Where the size is 1, with λ counted as 0, it is the point's own entry.
        """
        loose = np.where(self.sizes > 1, self.contrasts, 0.0)
        return (self.quotient - _diagonal(loose)) / np.sqrt(np.multiply.outer(self.sizes, self.sizes))

    @property
    def diagonal(self) -> Array:
        """(…, m): the diagonal entry of each group, λ_g + B_gg."""
        loose = np.where(self.sizes > 1, self.contrasts, 0.0)
        return loose + np.diagonal(self.blocks, axis1=-2, axis2=-1)

    def dense(self) -> Array:
        """(…, n, n).

        Raises:
            ValueError: as `membership`.
        """
        group = membership(self.sizes)
        full = self.blocks[..., group[:, None], group[None, :]]
        full[..., range(group.size), range(group.size)] = self.diagonal[..., group]
        return full


@dataclass(frozen=True)
class GroupGram:
    """A Gram matrix of exchangeable groups as squared norms and squared distances: accurate for tight clusters.

    Leading dimensions are a batch.
    """

    sizes: Array
    """(m,)"""
    variances: Array
    """(…, m): squared norm of a point of each group."""
    distances: Array
    """(…, m, m): squared distance of two different points; on the diagonal, of one group (0 where its size is 1)."""

    @cached_property
    def contrasts(self) -> Array:
        """(…, m): λ_g, half the squared distance within the group."""
        return np.diagonal(self.distances, axis1=-2, axis2=-1) / 2

    @cached_property
    def spread(self) -> Array:
        """(…, m): mean squared distance of a group's points to their mean, (1 − 1/k_g) λ_g."""
        return self.contrasts * (1 - 1 / self.sizes)

    @cached_property
    def mean_distances(self) -> Array:
        """(…, m, m): squared distances of the groups' means."""
        spread = self.spread
        apart = self.distances - spread[..., :, None] - spread[..., None, :]
        return np.where(own(self.sizes.size), 0.0, apart)

    @property
    def means(self) -> Array:
        """(…, m, m): Gram matrix of the groups' means."""
        norms = self.variances - self.spread
        return (norms[..., :, None] + norms[..., None, :] - self.mean_distances) / 2

    @property
    def matrix(self) -> GroupMatrix:
        """The same matrix in (λ, Q)."""
        return matrix_of_means(self.sizes, self.contrasts, self.means)

    @property
    def trace(self) -> Array:
        """(…,): sum of the squared norms."""
        return np.asarray(self.variances @ self.sizes)

    @property
    def one_minus_cosines(self) -> Array:
        """(…, m, m): 1 − cosine of two different points; 0 where there is no such pair, or a norm is 0."""
        norms = np.sqrt(self.variances)
        product = norms[..., :, None] * norms[..., None, :]
        sums = norms[..., :, None] + norms[..., None, :]
        difference = self.variances[..., :, None] - self.variances[..., None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = (self.distances - (difference / sums) ** 2) / (2 * product)
        return np.clip(np.where(product > 0, gap, 0.0), 0.0, 2.0)

    def scaled(self, factor: ArrayLike) -> GroupGram:
        """The Gram matrix times a number (of each in the batch)."""
        f = np.asarray(factor, dtype=np.float64)
        return GroupGram(self.sizes, self.variances * f[..., None], self.distances * f[..., None, None])

    def dense(self) -> Array:
        """(…, n, n).

        Raises:
            ValueError: as `membership`.
        """
        return self.matrix.dense()


def matrix_of_means(sizes: Array, contrasts: Array, means: Array) -> GroupMatrix:
    """The matrix whose groups have these λ and means of this Gram matrix: Q_gh = √(k_g k_h) ⟨μ_g, μ_h⟩."""
    return GroupMatrix(sizes, contrasts, means * np.sqrt(np.multiply.outer(sizes, sizes)))


def gram_of_means(sizes: Array, contrasts: Array, means: Array, apart: Array | None = None) -> GroupGram:
    """The Gram matrix from the λ, the means' Gram matrix and, where they are known better, the means' distances."""
    spread = contrasts * (1 - 1 / sizes)
    norms = np.diagonal(means, axis1=-2, axis2=-1)
    if apart is None:
        apart = norms[..., :, None] + norms[..., None, :] - 2 * means
    across = apart + spread[..., :, None] + spread[..., None, :]
    within = np.where(sizes > 1, 2 * contrasts, 0.0)
    return GroupGram(sizes, norms + spread, np.where(own(sizes.size), within[..., None, :], across))


def group_gram(gram: ArrayLike, sizes: Sequence[float]) -> GroupGram:
    """The groups of a dense (n, n) Gram matrix whose points come in the order of the groups: means over each block.

    Raises:
        ValueError: as `membership`, or the sizes do not add up to n.
    """
    dense = np.asarray(gram, dtype=np.float64)
    k, group = checked_sizes(sizes), membership(sizes)
    if dense.shape != (group.size, group.size):
        raise ValueError(f"sizes {tuple(sizes)} add up to {group.size}, the Gram matrix has shape {dense.shape}")
    norms = np.diagonal(dense)
    apart = norms[:, None] + norms[None, :] - 2 * dense
    inside = np.equal.outer(np.arange(k.size), group).astype(np.float64)
    pairs = np.multiply.outer(k, k) - np.diag(k)
    distances = inside @ apart @ inside.T / np.where(pairs > 0, pairs, 1.0)
    return GroupGram(k, inside @ norms / k, distances)


def recentered_means(sizes: Array, apart: Array) -> Array:
    """(…, m, m): Gram matrix of the groups' means about the mean of all points, from the means' squared distances.

    −½ U E Uᵀ with U = I − 1 pᵀ, p = sizes/n. The diagonal of U is summed over the other groups, so that nothing cancels
    where one group holds nearly all points.
    """
    about = _about(sizes.tobytes())
    return -0.5 * (about @ apart @ about.T)


@lru_cache(maxsize=256)
def _about(sizes: bytes) -> Array:
    """U of `recentered_means`: the same for all Gram matrices of groups of these sizes."""
    k = np.frombuffer(sizes)
    others = np.where(own(k.size), 0.0, k / k.sum())
    return _diagonal(others.sum(axis=-1)) - others


@lru_cache(maxsize=64)
def own(m: int) -> NDArray[np.bool_]:
    """(m, m): the diagonal."""
    return np.eye(m, dtype=bool)


def _diagonal(values: Array) -> Array:
    """(…, m) to (…, m, m)."""
    return values[..., :, None] * np.eye(values.shape[-1])
