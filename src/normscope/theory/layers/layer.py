"""The second half of a layer, behind recentering: with or without rescaling, the activation, on norms and distances."""

from __future__ import annotations

import numpy as np

from normscope.theory.activations.kernel import Activation, Array
from normscope.theory.activations.numeric_kernel import NumericActivation
from normscope.theory.layers.coordinates import principal_coordinates
from normscope.theory.layers.geometry import Geometry
from normscope.theory.layers.rescaled import STEP, rescaled_kernel
from normscope.theory.layers.rescaled_numeric import REPLICATES, rescaled_kernel_numeric

SAMPLES = 1 << 15
"""Directions sampled for rescaling before an activation that is not positively homogeneous."""

_SEED = 0
_ROUNDING = 32 * float(np.finfo(np.float64).eps)  # of closed forms, relative to the norms


def activated(phi: Activation, before: Geometry) -> Geometry:
    """E φ(z_i)² and E(φ(z_i) − φ(z_j))², z ~ N(0, C) of the geometry ``before``; any leading dimensions."""
    v, (rows, columns) = before.variances, np.triu_indices(before.n, 1)
    after = np.zeros_like(before.distances)
    apart = phi.distance_kernel(v[..., rows], v[..., columns], before.distances[..., rows, columns])
    after[..., rows, columns] = after[..., columns, rows] = apart
    return Geometry(phi.second_moment(v), after)


def rescaled(phi: Activation, before: Geometry, recenter: bool) -> Geometry:
    """The same for ẑ = √n z/‖z‖, of the points of ``before`` or of those minus their mean.

    Raises:
        ValueError: all points of a batch are 0, so that there is nothing to rescale.
    """
    after = Geometry(np.empty_like(before.variances), np.empty_like(before.distances))
    for index in np.ndindex(before.variances.shape[:-1]):
        points = _points(before, index, recenter)
        if phi.degree == 1:
            after.variances[index], after.distances[index] = rescaled_kernel(phi, points)
        else:
            seconds, distances = rescaled_kernel_numeric(phi, points, SAMPLES, _SEED)
            after.variances[index], after.distances[index] = seconds.mean(axis=0), distances.mean(axis=0)
    after.distances[before.distances == 0] = 0.0  # what coincides still does
    return after


def activated_error(phi: Activation, before: Geometry) -> Array:
    """Estimates of the absolute errors of the Gram matrix after `activated`."""
    v = before.variances
    if isinstance(phi, NumericActivation):
        return phi.kernel_with_error(v[..., :, None], v[..., None, :], before.gram)[1]
    norms = np.sqrt(phi.second_moment(v))
    return np.asarray(_ROUNDING * norms[..., :, None] * norms[..., None, :])


def rescaled_error(phi: Activation, before: Geometry, recenter: bool) -> Array:
    """Estimates of the absolute errors of the Gram matrix after `rescaled`."""
    errors = np.empty_like(before.distances)
    for index in np.ndindex(before.variances.shape[:-1]):
        points = _points(before, index, recenter)
        if phi.degree == 1:
            coarse, fine = (Geometry(*rescaled_kernel(phi, points, step)) for step in (STEP, STEP / 2))
            gram, error = fine.gram, np.abs(coarse.gram - fine.gram)
        else:
            grams = Geometry(*rescaled_kernel_numeric(phi, points, SAMPLES, _SEED)).gram
            gram, error = grams.mean(axis=0), grams.std(axis=0, ddof=1) / np.sqrt(REPLICATES)
        norms = np.sqrt(np.diagonal(gram))
        errors[index] = error + _ROUNDING * np.outer(norms, norms)
    return errors


def _points(before: Geometry, index: tuple[int, ...], recenter: bool) -> Array:
    """Principal coordinates of one batch of many, in any unit: rescaling undoes it."""
    v, d = before.variances[index], before.distances[index]
    unit = d.max() if recenter else v.max()
    points = principal_coordinates(d / unit, None if recenter else v / unit) if unit > 0 else np.zeros((before.n, 0))
    if points.shape[1] == 0:
        raise ValueError(
            "nothing to rescale: all points are 0, or coincide so that recentering makes them 0 (eps is 0)"
        )
    return points
