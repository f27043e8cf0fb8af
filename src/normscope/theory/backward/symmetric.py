"""Gradient growth at the symmetric fixed point: all n points exchangeable, any φ, any n."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq, root

from normscope.theory.activations.kernel import Activation
from normscope.theory.backward.backward import TiltedBackward
from normscope.theory.backward.gradients import backward_map, check_differentiable
from normscope.theory.backward.sphere import RescaledExchangeable
from normscope.theory.backward.stationary import GradientGrowth, stationary
from normscope.theory.groups.groups import Array, GroupMatrix

if TYPE_CHECKING:
    from normscope.theory.layers.gram_map import GramMap

_LAYERS = 2000
_CLOSE = 1e-4  # relative change per layer at which iteration gives way to a root finder
_RESIDUAL = 1e-8
_COARSE, _MEDIUM, _FINE = 16, 28, 40  # orders of the quadrature over directions
_RANGE = 60.0  # a variance beyond e^±60 counts as 0 or infinite
_NEUTRAL = 1e-8  # |log growth| of a variance below which it counts as left alone: errors of numerical kernels


def symmetric_gradient_growth(layer: GramMap, n: int) -> GradientGrowth:
    """Growth of the squared gradient norm per layer at the symmetric fixed point.

    The one to which a batch of orthogonal points goes. Exact: by groups where φ has degree 1 or nothing is rescaled,
    else by quadrature over the direction of the rescaled batch (`sphere`). With a = E φ'², b = E φ'φ' and
    m = ½ E(φ − φ)² of two Gaussians of the fixed point's variance and correlation −1/(n − 1), it is

        recentering and rescaling, φ of degree 1, unit variance    ((n − 1) a + b) / ((n − 3) m) − 1/(n − 3)
        recentering                                                σ_w² ((1 − 1/n) a + b/n)
        neither                                                    σ_w² a

    The first is the formula of Yang et al. (2019), for every φ of degree 1, the last that of Schoenholz et al. (2017).

    Args:
        layer: a `GramMap` or `GroupMap`.
        n: batch size.

    Raises:
        ValueError: φ is a step; n is below 2 with recentering, 3 with rescaling, 4 with both; or, without rescaling,
            the activations grow without bound.
    """
    check_differentiable(layer.phi)
    least = _least(layer)
    if n < least:
        raise ValueError(f"the gradient growth of {_name(layer)} is finite from n = {least} on, got n = {n}")
    sizes = np.array([float(n)])
    if layer.rescale:
        pre = _rescaled_covariance(layer, sizes)
        coarse, fine = (
            stationary(_rescaled_map(layer, pre, order), sizes, layer.weight_variance, 1.0)
            for order in (_MEDIUM, _FINE)
        )
        return replace(fine, error=abs(fine.growth - coarse.growth) if layer.phi.degree != 1 else 0.0)
    pre, forward = _fixed_covariance(layer, sizes)
    return stationary(backward_map(layer, pre), sizes, layer.weight_variance, forward)


def _least(layer: GramMap) -> int:
    """The smallest batch whose gradients have a second moment."""
    if layer.rescale:
        return 4 if layer.recenter else 3  # three directions
    return 2 if layer.recenter else 1


def _name(layer: GramMap) -> str:
    parts = [word for word, on in (("recentering", layer.recenter), ("rescaling", layer.rescale)) if on]
    return " + ".join([*parts, layer.phi.name])


def _rescaled_covariance(layer: GramMap, sizes: Array) -> GroupMatrix:
    """C at the fixed point of a rescaled layer to which orthogonal points go.

    Raises:
        ValueError: the search for it fails.
    """

    def after(pre: GroupMatrix, order: int) -> GroupMatrix:
        return _preactivation(layer, _rescaled_map(layer, pre, order).forward())

    pre = _preactivation(layer, GroupMatrix(sizes, np.ones(1), np.ones((1, 1))))
    if layer.recenter:
        return after(pre, _FINE)
    for _ in range(_LAYERS):
        last, pre = pre, after(pre, _COARSE)
        if np.abs(_logs(pre) - _logs(last)).max() <= _CLOSE:
            break

    def change(logs: Array) -> Array:
        return _logs(after(_exponentials(logs, sizes), _FINE)) - logs

    solution = root(change, _logs(pre), tol=1e-13)
    if np.abs(solution.fun).max() > _RESIDUAL:
        raise ValueError(
            f"no symmetric fixed point of {_name(layer)} found near the batch that orthogonal points go to"
        )
    return _exponentials(solution.x, sizes)


def _logs(pre: GroupMatrix) -> Array:
    return np.asarray(np.log([pre.contrasts[0], pre.quotient[0, 0]]))


def _exponentials(logs: Array, sizes: Array) -> GroupMatrix:
    contrast, along = np.exp(logs)
    return GroupMatrix(sizes, np.array([contrast]), np.array([[along]]))


def _rescaled_map(layer: GramMap, pre: GroupMatrix, order: int) -> TiltedBackward | RescaledExchangeable:
    phi = layer.phi
    if phi.degree == 1:
        return TiltedBackward(pre, phi, recenter=layer.recenter)
    return RescaledExchangeable(phi, phi.derivative, pre, recenter=layer.recenter, order=order)


def _preactivation(layer: GramMap, gram: GroupMatrix) -> GroupMatrix:
    along = (
        np.zeros((1, 1)) if layer.recenter else layer.weight_variance * gram.quotient + layer.bias_variance * gram.sizes
    )
    return GroupMatrix(gram.sizes, layer.weight_variance * gram.contrasts, along)


def _fixed_covariance(layer: GramMap, sizes: Array) -> tuple[GroupMatrix, float]:
    """C at the fixed point of a layer without rescaling, and the factor of the activations' squared norm there.

    Recentered, C = q H/(1 − 1/n); else the points are taken as orthogonal: their cosine changes no growth.
    """
    size = float(sizes[0])
    share = 1 - 1 / size if layer.recenter else 1.0

    def after(q: float) -> float:
        """The variance of a pre-activation one layer on."""
        if layer.recenter:
            return layer.weight_variance * share * float(layer.phi.distance_kernel(q, q, 2 * q / share)) / 2
        return layer.weight_variance * float(layer.phi.second_moment(q)) + layer.bias_variance

    unbiased = layer.recenter or layer.bias_variance == 0
    if layer.phi.degree == 1 and unbiased:
        q, forward = 1.0, after(1.0)
    else:
        q, forward = _settled(after, layer.phi)
    contrast, along = q / share, np.zeros((1, 1)) if layer.recenter else np.full((1, 1), q)
    return GroupMatrix(sizes, np.full(1, contrast), along), forward


def _settled(after: Callable[[float], float], phi: Activation) -> tuple[float, float]:
    """Where a variance of 1 goes, layer by layer, and its factor per layer there (1 unless it goes to 0).

    Raises:
        ValueError: it grows without bound.
    """

    def drift(log: float) -> float:
        return float(np.log(after(np.exp(log)))) - log

    start = drift(0.0)
    if abs(start) <= _NEUTRAL:
        return 1.0, 1.0
    direction = float(np.sign(start))
    logs = direction * np.arange(0.0, _RANGE, 0.5)
    for near, far in pairwise(logs):
        if direction * drift(float(far)) < -_NEUTRAL:
            return float(np.exp(brentq(drift, float(near), float(far), xtol=1e-14, rtol=1e-14))), 1.0
    if direction > 0:
        raise ValueError(
            f"without rescaling the activations of {phi.name!r} grow without bound: there is no fixed point; "
            "lower the weight variance"
        )
    end = float(logs[-1])
    return float(np.exp(end)), float(np.exp(drift(end)))
