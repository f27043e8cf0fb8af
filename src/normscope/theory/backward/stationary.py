"""The leading eigenvalue and eigenmatrix of a map of second moments, on groups of exchangeable points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.theory.backward.backward import Backward
from normscope.theory.groups.groups import Array, GroupMatrix

_DOUBLINGS = 60  # the stationary Σ is what 2⁶⁰ layers make of I


@dataclass(frozen=True)
class GradientGrowth:
    """How gradients grow per layer, from the output towards the input."""

    growth: float
    """Factor of the squared gradient norm per layer: the leading eigenvalue of Σ' ↦ Σ."""
    forward: float
    """Factor of the squared norm of the activations per layer; 1 where the fixed point has a scale of its own."""
    moment: GroupMatrix
    """Stationary second moment Σ of a feature's gradient over the batch, of trace n: one of the eigenmatrices."""
    error: float = 0.0
    """Absolute, of ``growth``: a standard error where it is sampled, the difference of two quadrature rules where φ is
    rescaled and not of degree 1; 0 where it is exact to about 1e-10."""

    @property
    def relative(self) -> float:
        """``growth / forward``, the growth when the weights are scaled so that the activations keep their norm.

        He initialization without normalization has 1. Without rescaling, and φ of degree 1, it does not depend on the
        variance of the weights; nor, with rescaling, does ``growth``.
        """
        return self.growth / self.forward


def stationary(backward: Backward, sizes: Array, weight_variance: float, forward: float) -> GradientGrowth:
    """Leading eigenvalue and eigenmatrix of a map of second moments."""
    columns = [pack(backward(unit)) for unit in units(sizes)]
    return from_matrix(np.array(columns).T, sizes, weight_variance, forward)


def from_matrix(
    matrix: Array, sizes: Array, weight_variance: float, forward: float, error: float = 0.0
) -> GradientGrowth:
    """The same from the map's matrix in the numbers of `pack`."""
    growth = float(np.abs(np.linalg.eigvals(matrix)).max())
    power = matrix / growth if growth > 0 else matrix
    for _ in range(_DOUBLINGS):
        power = power @ power
        power /= np.abs(power).max()
    identity = GroupMatrix(sizes, np.where(sizes > 1, 1.0, 0.0), np.eye(sizes.size))
    limit = _unpack(power @ pack(identity), sizes)
    scale = sizes.sum() / limit.trace
    moment = GroupMatrix(sizes, scale * limit.contrasts, scale * limit.quotient)
    return GradientGrowth(weight_variance * growth, forward, moment, error)


def units(sizes: Array) -> list[GroupMatrix]:
    """A basis of the matrices of groups, in the order of `pack`."""
    dimension = int(np.sum(sizes > 1)) + sizes.size * (sizes.size + 1) // 2
    return [_unpack(unit, sizes) for unit in np.eye(dimension)]


def pack(matrix: GroupMatrix) -> Array:
    """The numbers that a matrix of groups has."""
    return np.concatenate([matrix.contrasts[matrix.sizes > 1], matrix.quotient[np.triu_indices(matrix.sizes.size)]])


def _unpack(numbers: Array, sizes: Array) -> GroupMatrix:
    m, large = sizes.size, sizes > 1
    contrasts, quotient = np.zeros(m), np.zeros((m, m))
    contrasts[large] = numbers[: large.sum()]
    quotient[np.triu_indices(m)] = numbers[large.sum() :]
    return GroupMatrix(sizes, contrasts, np.triu(quotient) + np.triu(quotient, 1).T)
