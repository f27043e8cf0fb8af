"""Rescaling as a mixture of tilted Gaussians, on groups of exchangeable points.

For φ of degree 1 and z ~ N(0, C), ẑ = √n z/‖z‖,

    E φ(ẑ_i)φ(ẑ_j) = n ∫₀^∞ det(I + 2sC)^(−1/2) E φ(y_i)φ(y_j) ds,    y ~ N(0, C (I + 2sC)⁻¹),

as 1/‖z‖² = ∫ exp(−s‖z‖²) ds. A `Tilted` is the set of nodes s of the quadrature, with the weights and all that the
layer and its derivative need at each. Without rescaling it is the one node s = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.theory.groups.groups import Array, GroupGram, GroupMatrix, gram_of_means, own

_STEP = 0.2
_FIRST, _LAST = -3.8, 84.0
_NEGLIGIBLE = 42.0  # e^−42 of the largest term
_ROUNDING = 1e-14  # eigenvalues below this part of the largest are 0 up to rounding
_SAMPLED = 8  # every so manieth node says where those are that are not negligible

_U = np.arange(_FIRST, _LAST, _STEP)
_AT = np.exp(_U - np.exp(-_U))
_LOG_STEPS = np.log(_AT * (1 + np.exp(-_U)) * _STEP)


@dataclass(frozen=True)
class Tilted:
    """A mixture of covariances of groups. One more dimension than that of the batch: nodes, (…, s)."""

    weights: Array
    """(…, s)"""
    at: Array
    """(…, s): the nodes."""
    gram: GroupGram
    """(…, s) Gram matrices C (I + 2sC)⁻¹."""
    covariances: Array
    """(…, s, m, m): of two different points; on the diagonal, of two points of one group."""
    shrink: Array
    """(…, s, m): (1 + 2sλ_g)⁻¹, what (I + 2sC)⁻¹ does to contrasts."""
    resolvent: Array
    """(…, s, m, m): its quotient; of a recentered C without the part along (1, …, 1), which no change of C reaches."""
    rank: NDArray[np.int64]
    """(…,): of C."""


def untilted(gram: GroupGram, means: Array) -> Tilted:
    """No rescaling: C itself, with weight 1. ``means`` is the Gram matrix of the groups' means."""
    batch, m = gram.variances.shape[:-1], gram.sizes.size
    one = GroupGram(gram.sizes, gram.variances[..., None, :], gram.distances[..., None, :, :])
    return Tilted(
        weights=np.ones((*batch, 1)),
        at=np.zeros((*batch, 1)),
        gram=one,
        covariances=_covariances(one, means[..., None, :, :]),
        shrink=np.ones((*batch, 1, m)),
        resolvent=np.broadcast_to(np.eye(m), (*batch, 1, m, m)),
        rank=np.full(batch, round(float(gram.sizes.sum()))),
    )


def tilted(matrix: GroupMatrix, *, recentered: bool) -> Tilted:
    """The quadrature of this module for C = ``matrix`` (a batch of them shares the number of nodes).

    s = exp(u − exp(−u))/tr C and the trapezoidal rule in u: the relative error is below 1e-12 for spectra over twelve
    decades and for any rank from 1 on. Across groups, squared distances are sums of squares; within, they are 2λ_g.
    """
    sizes = matrix.sizes
    loose = np.where(sizes > 1, matrix.contrasts, 0.0)
    values, vectors = np.linalg.eigh(matrix.quotient)
    largest = np.maximum(values[..., -1:], loose.max(axis=-1, keepdims=True))
    values = np.where(values > _ROUNDING * largest, values, 0.0)
    trace = (loose @ (sizes - 1) + values.sum(axis=-1))[..., None]
    at, log_weights = _nodes(sizes, loose / trace, values / trace)
    at = at / trace

    shrink = 1 / (1 + 2 * at[..., None] * loose[..., None, :])  # shape: (…, s, m)
    damped = 1 / (1 + 2 * at[..., None] * values[..., None, :])
    # the first eigenvalue is that of (1, …, 1)
    reached = damped * (np.arange(sizes.size) > 0) if recentered else damped
    resolvent = _weighted(reached, vectors[..., :, None, :] * vectors[..., None, :, :])
    places = vectors / np.sqrt(sizes)[:, None]  # row g: the mean of group g
    kept = values[..., None, :] * damped
    means = _weighted(kept, places[..., :, None, :] * places[..., None, :, :])
    apart = _weighted(kept, (places[..., :, None, :] - places[..., None, :, :]) ** 2)
    gram = gram_of_means(sizes, loose[..., None, :] * shrink, means, apart)
    weights = sizes.sum() * np.exp(log_weights) / trace
    rank = np.rint((loose > 0) @ (sizes - 1)).astype(np.int64) + np.sum(values > 0, axis=-1)
    return Tilted(weights, at, gram, _covariances(gram, means), shrink, resolvent, rank)


def _weighted(weights: Array, parts: Array) -> Array:
    """(…, s, m) and (…, m, m, m) to (…, s, m, m): Σ_a weights_sa parts_gha, as one product of matrices."""
    m = parts.shape[-1]
    flat = np.swapaxes(parts.reshape(*parts.shape[:-3], m * m, m), -1, -2)
    mixed = weights @ flat
    return np.asarray(mixed.reshape(*mixed.shape[:-1], m, m))


def _nodes(sizes: Array, loose: Array, values: Array) -> tuple[Array, Array]:
    """(s,) nodes and (…, s) log weights for trace 1, those left out that are negligible everywhere in the batch."""
    sampled = _log_weights(sizes, loose, values, slice(None, None, _SAMPLED))
    # they rise and then fall: what is not negligible lies between two sampled ones that are
    there = np.flatnonzero(_counts(_AT[::_SAMPLED], sampled))
    first, last = (there[0] - 1, there[-1] + 1) if there.size else (0, -1)  # no batch, or nan: no nodes
    window = slice(max(0, first * _SAMPLED), max(0, last * _SAMPLED + 1))
    at, log_weights = _AT[window], _log_weights(sizes, loose, values, window)
    kept = _counts(at, log_weights)
    return at[kept], log_weights[..., kept]


def _log_weights(sizes: Array, loose: Array, values: Array, which: slice) -> Array:
    """(…, s): of these of all nodes."""
    at = 2 * _AT[which]
    logdet = np.log1p(at * values[..., :, None]).sum(axis=-2)
    several = sizes > 1
    if np.any(several):
        logdet = logdet + (sizes - 1)[several] @ np.log1p(at * loose[..., several, None])
    return np.asarray(_LOG_STEPS[which] - logdet / 2)


def _counts(at: Array, log_weights: Array) -> NDArray[np.bool_]:
    """(s,): which nodes are not negligible for at least one of the batch."""
    size = log_weights - np.log1p(at)  # the expectations fall like 1/s
    kept = size > size.max(axis=-1, keepdims=True, initial=-np.inf) - _NEGLIGIBLE
    return np.asarray(kept.reshape(-1, at.size).any(axis=0))


def _covariances(gram: GroupGram, means: Array) -> Array:
    within = gram.variances - gram.contrasts
    return np.where(own(gram.sizes.size), within[..., None, :], means)
