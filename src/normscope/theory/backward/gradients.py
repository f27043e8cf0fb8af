"""Growth of gradients through wide layers, at fixed points of the forward pass.

Backwards, the second moment of a feature's gradient over the batch, Σ (n, n), goes through a linear map that keeps
positive semidefinite matrices (`backward`). At a fixed point of the forward pass it is the same map at every layer,
and the squared gradient norm grows by its leading eigenvalue. That eigenvalue has a positive semidefinite eigenmatrix
(Krein & Rutman, 1948), which may be averaged over the permutations that leave the fixed point as it is: the groups of
the fixed point are enough, also for 10⁶ points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normscope.theory.activations.kernel import Activation
from normscope.theory.backward.backward import Backward, PlainBackward, TiltedBackward
from normscope.theory.backward.sampled_gradients import sampled_growth
from normscope.theory.backward.stationary import GradientGrowth, stationary
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram, GroupMatrix, group_gram, matrix_of_means, recentered_means

if TYPE_CHECKING:
    from normscope.theory.groups.fixed_point import FixedPoint
    from normscope.theory.layers.gram_map import GramMap


def gradient_growth_at(layer: GramMap, fixed_point: FixedPoint | GroupGram) -> GradientGrowth:
    """Growth of the squared gradient norm per layer at any fixed point.

    Σ = σ_w² E[J D Σ' D J] per layer (see `backward`), in the limit of infinite width, gradients taken to be independent
    of the forward pass. Exact; with rescaling and a φ that is not of degree 1 sampled, with a standard error.

    Args:
        layer: the layer.
        fixed_point: one of ``layer.fixed_points``, or its Gram matrix behind the activation by groups.

    Raises:
        ValueError: φ is a step (its gradient is zero almost everywhere); or the rescaled batch has fewer than three
            directions, where the second moment is infinite.

    Source: normscope's own, for all fixed points; at the symmetric one of batch normalization Yang et al. (2019).
    """
    check_differentiable(layer.phi)
    gram = fixed_point if isinstance(fixed_point, GroupGram) else fixed_point.groups
    if layer.rescale and layer.phi.degree != 1:
        gram = group_gram(layer(gram.dense()), gram.sizes.tolist())  # rescaling sets the scale
        return sampled_growth(layer, covariance(layer, gram))
    groups = GroupMap(layer.recenter, layer.rescale, layer.phi, layer.weight_variance, layer.bias_variance)
    after, forward = groups(gram), 1.0
    if layer.rescale:
        gram = after
    elif groups.scale_free:
        forward = float(after.trace / gram.trace)
    return stationary(backward_map(layer, covariance(layer, gram)), gram.sizes, layer.weight_variance, forward)


def check_differentiable(activation: Activation) -> None:
    """Refuse an activation whose gradient says nothing.

    Raises:
        ValueError: φ is of degree 0.
    """
    if activation.degree == 0:
        raise ValueError(f"{activation.name!r} has a gradient of zero almost everywhere: nothing is propagated back")


def covariance(layer: GramMap, gram: GroupGram) -> GroupMatrix:
    """C of the pre-activations behind the recentering: σ_w² H G H, or σ_w² G + σ_b² 11ᵀ."""
    contrasts = layer.weight_variance * gram.contrasts
    if layer.recenter:
        means = recentered_means(gram.sizes, layer.weight_variance * gram.mean_distances)
    else:
        means = layer.weight_variance * gram.means + layer.bias_variance
    return matrix_of_means(gram.sizes, contrasts, means)


def backward_map(layer: GramMap, pre: GroupMatrix) -> Backward:
    """Σ' ↦ Σ at the covariance C = ``pre``, for weights of variance 1/d."""
    kind = TiltedBackward if layer.rescale else PlainBackward
    return kind(pre, layer.phi, recenter=layer.recenter)
