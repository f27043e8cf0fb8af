"""The derivative of a layer at a Gram matrix of exchangeable groups, split by the permutations within the groups.

Changes of a symmetric matrix under S_k1 × … × S_km fall into four kinds, which the derivative does not mix:

* *shared*: the same within groups, (dv_g, dD_gh);
* *single points* of group g: weights w_i of its points with Σ w = 0,
  dv_i = α w_i, dD_ij = δ (w_i + w_j) within the group, dD_ij = ε_h w_i to group h;
* *pairs* within group g: dD_ij = −2 P_ij, P with zero diagonal and row sums;
* *pairs across* g and h: dG_ij = w_i x_j, Σ w = Σ x = 0.

D are squared distances, v squared norms. Elementwise maps and H act on these plainly; (I + 2sC)⁻¹ · (I + 2sC)⁻¹, the
derivative of a tilted covariance, takes a diag(w) + w uᵀ + u wᵀ, u = Σ u_h 1_h, to r² a diag(w) + r (w ũᵀ + ũ wᵀ),
ũ = (I + 2sC)⁻¹ u + a y, where (I + 2sC)⁻¹ e_i = r e_i + y.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from normscope.theory.groups.group_map import GroupMap, activated, mixed, pairs_of_groups, without_singles
from normscope.theory.groups.groups import Array, GroupGram


class Linearized:
    """The derivative of ``layer`` at ``gram`` (one Gram matrix, or a batch for `shared`).

    Attributes:
        mixture: the pre-activations there.
        steep: (…, m, m), the pairs of groups for which it does not exist: those of cosine ±1, where φ jumps. Their
            entries count as 0.
    """

    def __init__(self, layer: GroupMap, gram: GroupGram) -> None:
        self.layer, self.sizes = layer, gram.sizes
        self.mixture = layer.preactivation(gram)
        self._moments, self._apart = activated(layer.activation, self.mixture.gram)
        self._slopes()

    @property
    def after(self) -> GroupGram:
        """What the layer makes of ``gram``."""
        return mixed(self.mixture, self._moments, self._apart)

    def _slopes(self) -> None:
        """How v' and D' of each node follow v, the first point's v at fixed D, and D."""
        gram, phi = self.mixture.gram, self.layer.activation
        v = gram.variances
        self.of_variance = phi.second_moment_slope(v)
        one, other = pairs_of_groups(self.sizes)
        first, covariance = np.zeros_like(gram.distances), np.zeros_like(gram.distances)
        found = phi.kernel_gradient(v[..., one], v[..., other], self.mixture.covariances[..., one, other])
        first[..., one, other], first[..., other, one] = found[0], found[1]
        covariance[..., one, other] = covariance[..., other, one] = found[2]
        # D' = s(v1) + s(v2) − 2κ(v1, v2, (v1 + v2 − D)/2)
        finite = np.isfinite(covariance) & np.isfinite(first)
        steep = without_singles(self.sizes, (~finite).astype(np.float64))
        self.steep = np.asarray(np.any(steep > 0, axis=-3))
        with np.errstate(invalid="ignore"):
            of_first = np.where(finite, self.of_variance[..., :, None] - 2 * first - covariance, 0.0)
        self.of_first = without_singles(self.sizes, of_first)
        self.of_distance = without_singles(self.sizes, np.where(finite, covariance, 0.0))

    def shared(self, variances: Array, distances: Array) -> tuple[Array, Array]:
        """The change one layer on of (dv, dD): (…, t, m) and (…, t, m, m), t changes (to each Gram matrix)."""
        sizes, m = self.sizes, self.sizes.size
        contrasts, means = self.layer.push_preactivation(sizes, variances, distances)
        quotient = means * np.sqrt(np.multiply.outer(sizes, sizes))
        changes = np.concatenate([contrasts, quotient.reshape(*quotient.shape[:-2], m * m)], axis=-1)
        out = changes @ np.swapaxes(self._of_shared, -1, -2)
        first, second = pairs_of_groups(sizes)
        out_d = np.zeros((*out.shape[:-1], m, m))
        out_d[..., first, second] = out_d[..., second, first] = out[..., m:]
        return out[..., :m], out_d

    @cached_property
    def _of_shared(self) -> Array:
        """(…, m + p, m + m²): how v' and the D' of `pairs_of_groups` follow λ and the quotient Q of C.

        C_s changes by (I + 2sC)⁻¹ dC (I + 2sC)⁻¹ and the weight of s by −s tr((I + 2sC)⁻¹ dC): so v, D and that trace
        follow λ and Q at each node, and v' and D' follow them. The sum over nodes is taken once, for all changes.
        """
        by_gram, of_gram = self._of_mixture(), self._of_preactivation()
        *batch, nodes, outputs, between = by_gram.shape
        by_gram = np.swapaxes(by_gram, -3, -2).reshape(*batch, outputs, nodes * between)
        return np.asarray(by_gram @ of_gram.reshape(*batch, nodes * between, of_gram.shape[-1]))

    def _of_mixture(self) -> Array:
        """(…, s, m + p, m + p + 1): how v' and D' follow v, D and the trace at each node."""
        first, second = pairs_of_groups(self.sizes)
        m, p = self.sizes.size, first.size
        groups, pairs = np.arange(m), m + np.arange(p)
        by = np.zeros((*self.mixture.weights.shape, m + p, m + p + 1))
        by[..., groups, groups] = self.of_variance
        by[..., pairs, first] += self.of_first[..., first, second]
        by[..., pairs, second] += self.of_first[..., second, first]
        by[..., pairs, pairs] = self.of_distance[..., first, second]
        by[..., -1] = -self.mixture.at[..., None] * np.concatenate([self._moments, self._apart], axis=-1)
        return by * self.mixture.weights[..., None, None]

    def _of_preactivation(self) -> Array:
        """(…, s, m + p + 1, m + m²): how v, D and the trace at each node follow λ and Q of C."""
        sizes, mix = self.sizes, self.mixture
        first, second = pairs_of_groups(sizes)
        m, p = sizes.size, first.size
        groups, pairs = np.arange(m), m + np.arange(p)
        of = np.zeros((*mix.shrink.shape[:-1], m + p + 1, m + m * m))
        spread = mix.shrink**2 * (1 - 1 / sizes)
        of[..., groups, groups] = spread
        of[..., pairs, first] += spread[..., first]
        of[..., pairs, second] += spread[..., second]
        own = first == second
        of[..., pairs[own], first[own]] = 2 * mix.shrink[..., first[own]] ** 2
        of[..., -1, :m] = mix.shrink * (sizes - 1)
        reach = mix.resolvent / np.sqrt(sizes)[:, None]
        steps = np.concatenate([reach, reach[..., first, :] - reach[..., second, :]], axis=-2)
        products = steps[..., :, None] * steps[..., None, :]
        of[..., :-1, m:] = products.reshape(*products.shape[:-2], m * m)
        of[..., -1, m:] = mix.resolvent.reshape(*mix.resolvent.shape[:-2], m * m)
        return of

    def single_points(self, group: int) -> Array:
        """(p, p) matrix on (α,) δ, ε_h (h ≠ group): α only without recentering, which makes it follow from the others.

        δ is there from three points on: with two, w_i + w_j = 0.
        """
        sizes, layer = self.sizes, self.layer
        others = [h for h in range(sizes.size) if h != group]
        k = sizes[group]
        columns = []
        names = ([] if layer.recenter else ["v"]) + (["d"] if k > 2 else []) + list(others)
        for name in names:
            alpha, delta = float(name == "v"), float(name == "d")
            epsilon = np.array([float(name == h) for h in others])
            if layer.recenter:
                alpha = (delta * (k - 2) + sizes[others] @ epsilon) / sizes.sum()
            columns.append(self._push_single(group, others, alpha, delta, epsilon))
        rows = [i for i, kept in enumerate([not layer.recenter, k > 2]) if kept] + [2 + i for i in range(len(others))]
        return np.array(columns).reshape(len(names), 2 + len(others))[:, rows].T

    def _push_single(self, group: int, others: list[int], alpha: float, delta: float, epsilon: Array) -> Array:
        """(α, δ, ε_h) one layer on."""
        mix, sizes, k = self.mixture, self.sizes, self.sizes[group]
        scale = self.layer.weight_variance
        u = np.zeros(sizes.size)
        u[group], u[others] = (alpha - delta) / 2, (alpha - epsilon) / 2
        root, shrink = np.sqrt(sizes), mix.shrink[..., group]
        reach = mix.resolvent[..., :, group] / (root * root[group])  # y, but for r/k of the group itself
        turned = (mix.resolvent * root / root[:, None]) @ u + delta * reach
        turned[..., group] -= delta * shrink / k
        a, turned = scale * shrink**2 * delta, scale * shrink[..., None] * turned
        new_alpha = a + 2 * turned[..., group]
        new_epsilon = new_alpha[..., None] - 2 * turned[..., others]
        slopes = (self.of_variance[..., group], self.of_first[..., group, group], self.of_distance[..., group, group])
        of_alpha = slopes[0] * new_alpha
        of_delta = slopes[1] * new_alpha + slopes[2] * a
        of_epsilon = (
            self.of_first[..., group, others] * new_alpha[..., None]
            + self.of_distance[..., group, others] * new_epsilon
        )
        stacked = np.concatenate([of_alpha[..., None], of_delta[..., None], of_epsilon], axis=-1)
        return np.asarray(mix.weights @ stacked)

    def pairs(self) -> Array:
        """(m, m): the factor of a change of pairs, across two groups and, on the diagonal, within one."""
        mix = self.mixture
        shrunk = mix.shrink[..., :, None] * mix.shrink[..., None, :] * self.of_distance
        return np.asarray(self.layer.weight_variance * np.einsum("...s,...sgh->...gh", mix.weights, shrunk))
