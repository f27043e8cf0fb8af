"""A batch of points up to rotation, as squared norms and squared distances.

Where points nearly coincide, their distance is what matters, and a Gram matrix does not hold it: 1 − cos = 1e-14 leaves
two digits of it. Norms and distances hold it to rounding, and recentering and activations act on them directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from normscope.theory.activations.kernel import Array, norm_difference, one_minus_cosine

VIOLATION = 1e-6
"""What counts as rounding (of float32) in a Gram matrix: asymmetry, and negative eigenvalues, of its cosine matrix."""

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Geometry:
    """Squared norms and squared distances of n points, or of many batches of n points.

    With RC the norms are those of the centred points only after `recentered`.
    """

    variances: Array  # shape: (..., n)
    """‖x_i‖² / d: the diagonal of the Gram matrix."""
    distances: Array  # shape: (..., n, n)
    """‖x_i − x_j‖² / d, exactly symmetric, 0 on the diagonal."""

    def __post_init__(self) -> None:
        shape = self.distances.shape
        if self.variances.shape != shape[:-1] or len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] == 0:
            raise ValueError(
                f"n squared norms come with (n, n) squared distances, got {self.variances.shape} and {shape}"
            )

    @classmethod
    def from_gram(cls, gram: ArrayLike) -> Geometry:
        """The geometry of Gram matrices (..., n, n), without what is only rounding in them.

        Of the cosine matrix, eigenvalues below n · 2e-16 of the largest, and negative ones down to −1e-6 (`VIOLATION`),
        count as 0; points whose squared distance is within rounding of 0 coincide. What is smaller than that, a Gram
        matrix of float64 cannot hold: make the geometry itself.

        Raises:
            ValueError: not square, not finite, not symmetric, or not positive semidefinite.
        """
        gram = _checked(gram)
        variances = np.diagonal(gram, axis1=-2, axis2=-1)
        norms = np.sqrt(variances)
        inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        cosines = gram * inverse[..., :, None] * inverse[..., None, :]
        eigenvalues, vectors = np.linalg.eigh((cosines + np.swapaxes(cosines, -1, -2)) / 2)
        lost = (norms[..., :, None] * norms[..., None, :] == 0) & (gram != 0)
        if np.any(eigenvalues < -VIOLATION) or np.any(lost):
            least = np.nan if np.any(lost) else eigenvalues.min()
            raise ValueError(_indefinite(least))
        n = gram.shape[-1]
        rounding = n * _EPS * eigenvalues[..., -1:]
        kept = np.sqrt(np.where(eigenvalues > rounding, eigenvalues, 0.0))
        points = norms[..., None] * vectors * kept[..., None, :]
        return cls(variances.copy(), _without_rounding(_squared_distances(points), variances))

    @classmethod
    def from_points(cls, points: ArrayLike) -> Geometry:
        """The geometry of points (..., n, d), one row a point: ‖x_i‖² / d and ‖x_i − x_j‖² / d.

        Raises:
            ValueError: fewer than two dimensions, no point, no feature, or not finite.
        """
        points = np.asarray(points, dtype=np.float64)
        if points.ndim < 2 or 0 in points.shape or not np.all(np.isfinite(points)):
            raise ValueError(f"points are finite and (..., n, d), one row a point, got shape {points.shape}")
        d = points.shape[-1]
        return cls(np.square(points).sum(axis=-1) / d, _squared_distances(points) / d)

    @property
    def n(self) -> int:
        """Number of points."""
        return int(self.variances.shape[-1])

    @property
    def gram(self) -> Array:
        """(v_i + v_j − D_ij) / 2, exactly symmetric."""
        v = self.variances
        return np.asarray((v[..., :, None] + v[..., None, :] - self.distances) / 2)

    @property
    def cosines(self) -> Array:
        """cos(i, j), in [−1, 1]; that of a point at 0 to every other is 1."""
        return 1 - self.one_minus_cosine

    @property
    def one_minus_cosine(self) -> Array:
        """1 − cos(i, j) without cancellation; 0 where a point is 0."""
        v = self.variances
        return one_minus_cosine(v[..., :, None], v[..., None, :], self.distances)

    def recentered(self) -> Geometry:
        """H G H: distances stay, v_i = mean_k D_ik − ½ mean D."""
        rows = self.distances.mean(axis=-1)
        return Geometry(np.maximum(rows - rows.mean(axis=-1, keepdims=True) / 2, 0.0), self.distances)

    def scaled(self, factor: ArrayLike, shift: ArrayLike = 0.0) -> Geometry:
        """Factor · G + shift · 11ᵀ; factor and shift (...) are one number a batch."""
        a, b = np.asarray(factor, dtype=np.float64), np.asarray(shift, dtype=np.float64)
        return Geometry(self.variances * a[..., None] + b[..., None], self.distances * a[..., None, None])

    def normalized(self) -> tuple[Geometry, Array]:
        """Scaled to trace n, and the natural logarithm of the scale taken out; where all is 0, as it is, and −∞."""
        mean = self.variances.mean(axis=-1)
        with np.errstate(divide="ignore"):
            return self.scaled(1 / np.where(mean > 0, mean, 1.0)), np.asarray(np.log(mean))


def _checked(gram: ArrayLike) -> Array:
    gram = np.asarray(gram, dtype=np.float64)
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2] or gram.shape[-1] == 0:
        raise ValueError(f"a Gram matrix is square, (..., n, n), got shape {gram.shape}")
    if not np.all(np.isfinite(gram)):
        raise ValueError("a Gram matrix is finite, got nan or infinity: look for overflow where it was made")
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    if np.any(diagonal < 0):
        raise ValueError(_indefinite(float(diagonal.min()), "diagonal entry"))
    norms = np.sqrt(diagonal)
    bound = VIOLATION * norms[..., :, None] * norms[..., None, :]
    asymmetry = np.abs(gram - np.swapaxes(gram, -1, -2))
    if np.any(asymmetry > bound):
        raise ValueError(
            f"a Gram matrix is symmetric, got entries that differ from their mirror by {asymmetry.max():g}"
        )
    return gram


def _indefinite(value: float, what: str = "eigenvalue") -> str:
    if np.isnan(value):
        return "a Gram matrix is positive semidefinite: the row of a point of norm 0 is 0, got another one"
    of = "" if what == "diagonal entry" else " of the cosine matrix"
    return f"a Gram matrix is positive semidefinite, got {what} {value:g}{of}; center or clip it first"


def _squared_distances(points: Array) -> Array:
    distances = np.empty((*points.shape[:-1], points.shape[-2]))
    for index in np.ndindex(points.shape[:-2]):
        distances[index] = cdist(points[index], points[index], "sqeuclidean")
    return distances


def _without_rounding(distances: Array, variances: Array) -> Array:
    """Distances that the entries of a Gram matrix cannot tell from 0 are 0."""
    apart = norm_difference(variances[..., :, None], variances[..., None, :]) ** 2
    floor = 4 * _EPS * (variances[..., :, None] + variances[..., None, :])
    return np.where((distances <= floor) & (apart <= floor), 0.0, distances)
