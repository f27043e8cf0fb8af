"""Recentering or not, then rescaling, then any activation: exact where all directions are alike, otherwise sampled.

ẑ = √n z/‖z‖ depends on the direction of z ~ N(0, C) only. Where all eigenvalues of C that are not 0 are equal, that
direction is uniform on a sphere, and a pair of entries is a projection of it: two-dimensional quadrature. This holds
for recentered exchangeable points and for orthogonal ones. Elsewhere the expectation is a mean over directions.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from normscope.theory.activations.gaussian_pair import expectation
from normscope.theory.activations.kernel import Activation, Array, angle_from_distance

REPLICATES = 16
"""Independent randomizations of the quasi-random points: their spread is the standard error."""

_ISOTROPIC = 1e-12  # relative spread of eigenvalues that counts as none


def rescaled_kernel_numeric(phi: Activation, points: Array, samples: int, seed: int) -> tuple[Array, Array]:
    """E φ(ẑ_i)² and E(φ(ẑ_i) − φ(ẑ_j))² for z ~ N(0, C), ẑ = √n z/‖z‖, from `REPLICATES` independent samples each.

    Args:
        phi: any activation.
        points: of which C is the Gram matrix, along their principal axes (n, r), r >= 1.
        samples: directions in all; each is used with both signs.
        seed: of the random directions.

    Returns:
        estimates of the squared norms (replicates, n) and squared distances (replicates, n, n); all replicates are the
        same where the value is computed and not sampled.
    """
    rank, eigenvalues = points.shape[1], np.square(points).sum(axis=0)
    if rank == 1:
        exact = _two_directions(phi, points[:, 0])
    elif eigenvalues[0] - eigenvalues[-1] <= _ISOTROPIC * eigenvalues[0]:
        exact = _sphere(phi, points)
    else:
        return _sampled(phi, points, samples, seed)
    return np.repeat(exact[0][None], REPLICATES, axis=0), np.repeat(exact[1][None], REPLICATES, axis=0)


def _two_directions(phi: Activation, points: Array) -> tuple[Array, Array]:
    """All points on a line: ẑ = ±√n x/‖x‖, each with probability 1/2."""
    z = np.sqrt(len(points)) * points / np.linalg.norm(points)
    plus, minus = phi(z), phi(-z)
    second = (plus**2 + minus**2) / 2
    return second, ((plus[:, None] - plus) ** 2 + (minus[:, None] - minus) ** 2) / 2


def _sphere(phi: Activation, points: Array) -> tuple[Array, Array]:
    n, rank = points.shape
    z = points * np.sqrt(n) / np.linalg.norm(points)
    v, d = np.square(z).sum(axis=1), cdist(z, z, "sqeuclidean")
    rows, columns = np.triu_indices(n, 1)
    theta = angle_from_distance(v[rows], v[columns], d[rows, columns])
    # exchangeable points give the same pair many times
    pairs = np.stack([v[rows], v[columns], theta], axis=1)
    _, first, which = np.unique(np.round(pairs, 14), axis=0, return_index=True, return_inverse=True)
    apart, _ = expectation(lambda x, y: np.square(phi(x) - phi(y)), *pairs[first].T, dimension=rank)
    after = np.zeros((n, n))
    after[rows, columns] = after[columns, rows] = apart[which.ravel()]
    second, _ = expectation(lambda x, y: np.square(phi(x)), v, v, np.zeros(n), dimension=rank)
    return second, after


def _sampled(phi: Activation, points: Array, samples: int, seed: int) -> tuple[Array, Array]:
    """Means over scrambled Sobol points (Owen, 1998), each with its opposite."""
    from scipy.stats import qmc  # slow to import, and seldom used

    n, rank = points.shape
    power = max(0, int(np.ceil(np.log2(samples / REPLICATES))))
    second, apart = np.empty((REPLICATES, n)), np.empty((REPLICATES, n, n))
    for replicate, rng in enumerate(np.random.default_rng(seed).spawn(REPLICATES)):
        uniform = qmc.Sobol(rank, rng=rng).random_base2(power)
        directions = ndtri(np.clip(uniform, 1e-16, 1 - 1e-16))
        z = points @ directions.T
        z *= np.sqrt(n) / np.linalg.norm(z, axis=0)
        features = np.concatenate([phi(z), phi(-z)], axis=1)
        second[replicate] = np.square(features).mean(axis=1)
        apart[replicate] = cdist(features, features, "sqeuclidean") / features.shape[1]
    return second, apart
