"""One layer of a wide random network, as a function from Gram matrix to Gram matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from normscope.theory.activations.activation import Activation, activation
from normscope.theory.activations.kernel import Array
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.groups.fixed_points import fixed_points
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.layers.geometry import Geometry
from normscope.theory.layers.layer import activated, activated_error, rescaled, rescaled_error
from normscope.theory.layers.limits import FAR, homogeneous_limit


@dataclass(frozen=True)
class GramMap:
    """G'_ij = E φ(z_i)φ(z_j), z ~ N(0, C): one layer in the infinite-width limit, with weights W_ij ~ N(0, 1/d).

    C is the Gram matrix G of the layer's input times the weight variance, plus the bias variance; recentered, H G H
    with H = I − 11ᵀ/n. Rescaled, z becomes ẑ = √n z/‖z‖: per feature the batch has mean square 1 (eps = 0).

    Without rescaling, exact to rounding for activations with a closed kernel, and to about 1e-9 for any other function
    that is smooth but at 0. With rescaling, of relative error below 1e-8 for activations of degree 1 (linear, ReLU,
    leaky ReLU, absolute value); for others quadrature where C is a multiple of a projection or of rank 1, and otherwise
    sampled. `with_error` says how well. On the step, rescaling has no effect.

    Args:
        recenter: whether the layer subtracts the mean over the batch.
        rescale: whether it divides by the scale over the batch: root mean square, so standard deviation if recentered.
        activation: a name, an `Activation` or an elementwise function of a float64 array; see `theory.activation`.
        weight_variance: of W, times the fan-in. 2 is He initialization.
        bias_variance: of a bias N(0, ·) of each feature. Recentering takes it out.

    Raises:
        ValueError: an activation that is not known or not elementwise; a weight variance that is not positive, or a
            bias variance that is negative.

    Source: kernels of Cho & Saul (2009) and Williams (1997); rescaling is normscope's own, see `theory.rescaled`.
    """

    recenter: bool
    rescale: bool
    activation: str | Activation | Callable[..., object] = "relu"
    _: KW_ONLY
    weight_variance: float = 1.0
    bias_variance: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.weight_variance < np.inf:
            raise ValueError(f"weight_variance is positive and finite, got {self.weight_variance}")
        if not 0 <= self.bias_variance < np.inf:
            raise ValueError(f"bias_variance is finite and at least 0, got {self.bias_variance}")
        _ = self.phi  # an activation that is not known fails here, not at the first layer

    @cached_property
    def phi(self) -> Activation:
        """The activation, with its kernels."""
        return activation(self.activation)

    @property
    def scale_free(self) -> bool:
        """Whether the shape of the output does not depend on the scale of the input, up to a bias."""
        return self.rescale or self.phi.degree is not None

    def __call__(self, gram: ArrayLike) -> Array:
        """The Gram matrix after the layer, E φφ, not normalized.

        Args:
            gram: of the layer's input, (..., n, n): finite, symmetric and positive semidefinite up to rounding.

        Returns:
            (..., n, n), exactly symmetric.

        Raises:
            ValueError: the input is no Gram matrix; or all points coincide (recentered) or are 0, and there is nothing
                to rescale.
        """
        return self.step(Geometry.from_gram(gram)).gram

    def step(self, geometry: Geometry) -> Geometry:
        """The layer on norms and distances, accurate where points nearly coincide; not normalized.

        Raises:
            ValueError: there is nothing to rescale, as in a call.
        """
        return self._apply(self.phi, geometry.scaled(self.weight_variance, self._bias))

    def with_error(self, gram: ArrayLike) -> tuple[Array, Array]:
        """The Gram matrix after the layer, and for each entry an estimate of its absolute error.

        The difference of two quadratures, the standard error of a sampled mean, or the rounding of a closed form.

        Raises:
            ValueError: as in a call.
        """
        before = Geometry.from_gram(gram).scaled(self.weight_variance, self._bias)
        after = self._apply(self.phi, before).gram
        if self._rescales(self.phi):
            return after, rescaled_error(self.phi, before, self.recenter)
        return after, activated_error(self.phi, before.recentered() if self.recenter else before)

    @overload
    def iterate(self, gram: ArrayLike, depth: int, *, return_log_scale: Literal[False] = ...) -> Array: ...
    @overload
    def iterate(self, gram: ArrayLike, depth: int, *, return_log_scale: Literal[True]) -> tuple[Array, Array]: ...
    def iterate(self, gram: ArrayLike, depth: int, *, return_log_scale: bool = False) -> Array | tuple[Array, Array]:
        """The Gram matrices through ``depth`` layers, each scaled to trace n; entry 0 is the input's.

        The true matrix of layer t is exp(log_scale[t]) times entry t. Where the activation is homogeneous the scale is
        carried apart, otherwise it takes part. A matrix that becomes 0 stays 0, with log_scale −∞.

        Args:
            gram: as in a call.
            depth: number of layers, at least 0.
            return_log_scale: whether to return log_scale too.

        Returns:
            (depth + 1, ..., n, n), and with ``return_log_scale`` also (depth + 1, ...).

        Raises:
            ValueError: as in a call; or depth < 0.
            OverflowError: the scale leaves float64, for an activation that is nowhere near homogeneous.
        """
        path, log_scale = self.iterate_geometry(Geometry.from_gram(gram), depth)
        return (path.gram, log_scale) if return_log_scale else path.gram

    def iterate_geometry(self, geometry: Geometry, depth: int) -> tuple[Geometry, Array]:
        """`iterate` on norms and distances: layers first, and log_scale.

        Raises:
            ValueError: as `iterate`.
            OverflowError: as `iterate`.
        """
        if depth < 0:
            raise ValueError(f"depth is at least 0, got {depth}")
        now, log_scale = geometry.normalized()
        path = Geometry(np.empty((depth + 1, *now.variances.shape)), np.empty((depth + 1, *now.distances.shape)))
        scales = np.empty((depth + 1, *log_scale.shape))
        for layer in range(depth + 1):
            path.variances[layer], path.distances[layer], scales[layer] = now.variances, now.distances, log_scale
            if layer < depth:
                now, log_scale = self._advance(now, log_scale)
        return path, scales

    def fixed_points(self, n: int, sizes: Sequence[int] | None = None) -> list[FixedPoint]:
        """The Gram matrices of n points that the layer leaves as they are: see `theory.fixed_points`.

        Args:
            n: number of points, at least 2; up to 10⁶.
            sizes: of groups of exchangeable points, adding up to n, to search instead of one and two groups.

        Raises:
            ValueError: n < 2, sizes that do not add up to n, or rescaling with a φ that is not of degree 0 or 1.
        """
        layer = GroupMap(
            self.recenter,
            self.rescale,
            self.phi,
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
        )
        return fixed_points(layer, n, sizes)

    def gradient_growth(self, n: int) -> float:
        """Factor of the squared gradient norm per layer, towards the input, at the symmetric fixed point of n points.

        The leading eigenvalue of Σ' ↦ σ_w² E[J D Σ' D J], with D = diag φ' and J the Jacobian of the normalization; see
        `symmetric_gradient_growth`, which also gives the factor of the activations and the stationary Σ, and
        `gradient_growth_at` for other fixed points.

        Raises:
            ValueError: φ is a step; n is too small for the gradient to have a second moment (below 4 with recentering
                and rescaling, 3 with rescaling, 2 with recentering); or activations that are not rescaled grow without
                bound.
        """
        from normscope.theory.backward.symmetric import symmetric_gradient_growth  # it knows this class

        return symmetric_gradient_growth(self, n).growth

    @property
    def _bias(self) -> float:
        return 0.0 if self.recenter else self.bias_variance

    def _apply(self, phi: Activation, geometry: Geometry) -> Geometry:
        if self._rescales(phi):
            return rescaled(phi, geometry, self.recenter)
        return activated(phi, geometry.recentered() if self.recenter else geometry)

    def _rescales(self, phi: Activation) -> bool:
        return self.rescale and phi.degree != 0

    def _advance(self, geometry: Geometry, log_scale: Array) -> tuple[Geometry, Array]:
        """One layer from normalized to normalized geometry and the logarithm of its scale."""
        if self.scale_free:
            return self._advance_at(self.phi, geometry, log_scale)
        far = np.abs(log_scale) > FAR
        if not np.any(far & np.isfinite(log_scale)):
            after, scale = self.step(geometry.scaled(np.exp(log_scale))).normalized()
            return after, scale
        return self._advance_far(geometry, log_scale)

    def _advance_at(self, phi: Activation, geometry: Geometry, log_scale: Array) -> tuple[Geometry, Array]:
        """For a φ that is homogeneous, or rescaled: computed at a scale at which neither input nor bias overflows."""
        reference = np.maximum(log_scale, 0.0) if self._bias else np.where(np.isfinite(log_scale), log_scale, 0.0)
        factor = np.exp(np.where(np.isfinite(log_scale), log_scale, 0.0) - reference)
        bias = self._bias * np.exp(-reference) if self._bias else 0.0
        after, scale = self._apply(phi, geometry.scaled(self.weight_variance * factor, bias)).normalized()
        carried = reference if phi.degree == 1 and not self.rescale else 0.0
        return after, scale + carried

    def _advance_far(self, geometry: Geometry, log_scale: Array) -> tuple[Geometry, Array]:
        """For scales of which at least one is so small or so large that only the limit of φ counts."""
        after = Geometry(np.empty_like(geometry.variances), np.empty_like(geometry.distances))
        scales = np.empty_like(log_scale)
        for index in np.ndindex(log_scale.shape):
            one, scale = Geometry(geometry.variances[index], geometry.distances[index]), log_scale[index]
            limit = homogeneous_limit(self.phi, float(scale)) if abs(scale) > FAR and np.isfinite(scale) else None
            if limit is None and scale > 2 * FAR:
                raise OverflowError(
                    f"the Gram matrix grew to e**{scale:.0f} and {self.phi.name} is not homogeneous there; "
                    "use fewer layers, a smaller weight_variance or rescale=True"
                )
            if limit is None:
                next_, scales[index] = self.step(one.scaled(np.exp(scale))).normalized()
            else:
                next_, scales[index] = self._advance_at(limit, one, np.asarray(scale))
            after.variances[index], after.distances[index] = next_.variances, next_.distances
        return after, scales
