"""Gradient growth by sampled directions of the batch: rescaling with any φ, at any fixed point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normscope.theory.backward.backward import centred
from normscope.theory.backward.stationary import GradientGrowth, from_matrix, pack, units
from normscope.theory.groups.groups import Array, GroupMatrix, membership

if TYPE_CHECKING:
    from normscope.theory.layers.gram_map import GramMap

_BATCHES = 32
_NUMBERS = 1 << 21  # in one batch of Jacobians
_DRAWS = 1 << 12  # at most, per batch
_SEED = 0


def sampled_growth(layer: GramMap, pre: GroupMatrix) -> GradientGrowth:
    """Growth at the covariance C = ``pre`` of the pre-activations, from draws of z ~ N(0, C), with its standard error.

    The matrix of Σ' ↦ Σ is a mean over 32 batches of draws (seeded); to first order its leading eigenvalue varies like
    the batches' matrices between its left and right eigenvectors, which gives the standard error.

    Args:
        layer: a rescaled layer.
        pre: C behind the recentering.

    Raises:
        ValueError: C has fewer than five directions, where the draws have no variance; or too many points to be dense.
    """
    sizes, rank = pre.sizes, _rank(pre)
    if rank < 5:
        raise ValueError(
            f"the batch spans {rank} of the at least 5 directions that it takes to sample: "
            "below, squared gradients have no variance"
        )
    generator = np.random.default_rng(_SEED)
    root = pre.sqrt().dense()
    count = max(1, min(_DRAWS, _NUMBERS // root.shape[0] ** 2))
    basis = [unit.dense() for unit in units(sizes)]
    matrices = np.array(
        [_batch(layer, root @ generator.standard_normal((len(root), count)), basis, sizes) for _ in range(_BATCHES)]
    )
    mean = matrices.mean(axis=0)
    values, right = np.linalg.eig(mean)
    lead = int(np.argmax(np.abs(values)))
    left = np.linalg.inv(right)[lead]
    growths = np.real(np.einsum("i,bij,j->b", left, matrices, right[:, lead]))
    error = float(growths.std(ddof=1) / np.sqrt(_BATCHES)) * layer.weight_variance
    return from_matrix(mean, sizes, layer.weight_variance, 1.0, error)


def _rank(pre: GroupMatrix) -> int:
    values = np.concatenate([np.linalg.eigvalsh(pre.quotient), pre.contrasts])
    counts = np.concatenate([np.ones(pre.sizes.size), pre.sizes - 1])
    return int(counts[values > 1e-12 * values.max()].sum())


def _batch(layer: GramMap, z: Array, basis: list[Array], sizes: Array) -> Array:
    """The matrix of Σ' ↦ Σ for the draws in the columns of ``z``, (n, draws)."""
    n, length = len(z), np.linalg.norm(z, axis=0)
    rescaled = np.sqrt(n) * z / length
    slopes = layer.phi.derivative(rescaled)
    eye = np.eye(n)
    jacobians = (
        np.sqrt(n) / length * (eye[:, :, None] - rescaled[:, None] * rescaled / n) * slopes
    )  # J D, (n, n, draws)
    flat = jacobians.reshape(n, -1)
    columns = []
    for unit in basis:
        pushed = np.einsum("ijf,jk->ikf", jacobians, unit).reshape(n, -1)
        after = _averaged(pushed @ flat.T / z.shape[1], sizes)
        columns.append(pack(centred(after) if layer.recenter else after))
    return np.array(columns).T


def _averaged(dense: Array, sizes: Array) -> GroupMatrix:
    """The mean over all permutations within the groups."""
    inside = np.equal.outer(np.arange(sizes.size), membership(sizes)) / np.sqrt(sizes)[:, None]
    quotient = inside @ dense @ inside.T
    traces = sizes * (inside**2 @ np.diagonal(dense))
    rest = np.where(sizes > 1, sizes - 1, 1.0)
    return GroupMatrix(sizes, (traces - np.diagonal(quotient)) / rest, quotient)
