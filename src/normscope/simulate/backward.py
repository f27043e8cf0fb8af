"""Gradients through depth: back through a weight matrix, or through its law given the forward pass."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from normscope.simulate.layer import features, times
from normscope.simulate.passing import Passed
from normscope.simulate.roots import symmetric_root
from normscope.simulate.streams import Streams

_RANK = {torch.float32: 1e-9, torch.float64: 1e-14}  # eigenvalues of the input's Gram matrix that are rounding


class Cotangent(NamedTuple):
    """∂L/∂(state's features) = e^log_unit · values, (networks, n, d)."""

    values: Tensor
    log_unit: Tensor


class Gradients(NamedTuple):
    """What the backward pass found, from the last depth to the first."""

    gram: list[Tensor]
    """Of ∂L/∂X_t, (networks, n, n), trace n; depth to 0."""
    log_scale: list[Tensor]
    """(networks,): ∂L/∂X_t (∂L/∂X_t)ᵀ = e^log_scale · gram, summed over features."""
    weight_log_norm2: list[Tensor]
    """(networks,): log ‖∂L/∂W_t‖², depth to 1; of a layer with two matrices, the first one's."""


def backward(tape: list[list[Passed]], streams: Streams) -> Gradients:
    """Gradients of L = Σ V_ij X_ij/√d, V_ij ~ N(0, 1), X the last features, at every depth.

    Args:
        tape: what was kept of every layer.
        streams: for V and for what the forward pass has not told about the weights.
    """
    last = tape[-1][-1].after
    assert last.features is not None
    values = streams.normal_(torch.empty_like(last.features), slice(None)) * last.features.shape[-1] ** -0.5
    # with respect to the state's features, of which X is a multiple
    cotangent = _rescaled(Cotangent(values, _unit(last.log_scale)))
    found = Gradients([], [], [])
    _note(found, cotangent, last.log_scale)
    for passes in reversed(tape):
        skipped: Cotangent | None = None
        weight = torch.zeros_like(last.log_scale)
        for passed in reversed(passes):
            cotangent, from_skip, weight = _step(passed, cotangent, streams)
            skipped = from_skip if from_skip is not None else skipped
        if skipped is not None:
            cotangent = _sum(cotangent, skipped)
        found.weight_log_norm2.append(weight)
        _note(found, cotangent, passes[0].before.log_scale)
    return found


def _step(passed: Passed, cotangent: Cotangent, streams: Streams) -> tuple[Cotangent, Cotangent | None, Tensor]:
    """Cotangents of the layer's input, by way of the weights and of the shortcut, and log ‖∂L/∂W‖²."""
    z = passed.z.detach().requires_grad_()
    skip = None if passed.skip is None else passed.skip.detach().requires_grad_()
    with torch.enable_grad():
        y, _ = features(
            passed.layer,
            z,
            passed.units.log_z,
            recentered=passed.recentered,
            skip=skip,
            log_skip=passed.log_skip,
        )
        after = times(y, passed.factor)
    leaves = (z,) if skip is None else (z, skip)
    delta, *of_skip = torch.autograd.grad(after, leaves, cotangent.values)
    if passed.recentered:
        delta = delta - delta.mean(1, keepdim=True)
    square = torch.bmm(delta.double(), delta.double().mT)  # shape: (networks, n, n)
    weight = _weight_log_norm2(passed, square, cotangent.log_unit)
    through = _by_matrix(passed, delta) if passed.weights is not None else _by_law(passed, delta, square, streams)
    result = _rescaled(Cotangent(through, cotangent.log_unit))
    skipped = None
    if of_skip and passed.log_skip is not None:
        skipped = _rescaled(Cotangent(of_skip[0], cotangent.log_unit))
    return result, skipped, weight


def _by_matrix(passed: Passed, delta: Tensor) -> Tensor:
    """δ W, W with the constants of Z = F Wᵀ."""
    assert passed.weights is not None
    fan_in = passed.weights.shape[-1]
    return times(torch.bmm(delta, passed.weights), passed.units.from_input.sqrt() * fan_in**-0.5)


def _by_law(passed: Passed, delta: Tensor, square: Tensor, streams: Streams) -> Tensor:
    """δ W with W drawn given the forward pass.

    With X the layer's input, a column of constants for the bias, such that Z = X Wᵀ, W_ij ~ N(0, 1): let V be an
    orthonormal basis of the row space of X, V = Λ^(−1/2) Uᵀ X for X Xᵀ = U Λ Uᵀ. The forward pass tells W Vᵀ =
    Zᵀ U Λ^(−1/2) = Pᵀ and nothing else, so W = Pᵀ V + W' (I − VᵀV) with W' a new matrix, and δ W' has independent
    columns N(0, δ δᵀ). Where the forward pass drew recentered pre-activations, X is recentered.
    """
    inputs = passed.before.features
    assert inputs is not None
    fan_in = inputs.shape[-1]
    scale = passed.units.from_input.sqrt() * fan_in**-0.5
    x = times(inputs, scale)
    if passed.layer.bias_std and not passed.recentered:
        x = torch.cat([x, times(torch.ones_like(x[..., :1]), passed.units.from_bias.sqrt())], -1)
    if passed.recentered:
        x = x - x.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(torch.bmm(x.double(), x.double().mT))
    told = values > _RANK[x.dtype] * values[:, -1:]
    inverse = torch.where(told, values.clamp(min=torch.finfo(torch.float64).tiny).rsqrt(), 0.0)
    whiten = inverse[..., None] * vectors.mT  # shape: (networks, n, n), Λ^(−1/2) Uᵀ
    basis = torch.bmm(whiten, x.double()).to(x.dtype)  # shape: (networks, n, fan_in)
    delta_p = torch.bmm(torch.bmm(delta.double(), passed.z.double().mT), whiten.mT).to(x.dtype)
    normals = streams.normal_(torch.empty_like(x), slice(None))
    normals = normals - torch.bmm(torch.bmm(normals, basis.mT), basis)
    through = torch.bmm(delta_p, basis) + torch.bmm(symmetric_root(square).to(x.dtype), normals)
    return times(through[..., :fan_in], scale)


def _weight_log_norm2(passed: Passed, square: Tensor, log_unit: Tensor) -> Tensor:
    """‖δᵀ X‖² = tr(δδᵀ XXᵀ) of the true δ and X: e^(−log_z) δ, and X Xᵀ = d e^log_scale · gram."""
    inputs = passed.before.features
    assert inputs is not None
    trace = (square * passed.before.gram).sum((-2, -1)).clamp(min=0)
    return torch.nan_to_num(
        trace.log() + 2 * (log_unit - passed.units.log_z) + passed.before.log_scale + math.log(inputs.shape[-1]),
        nan=-torch.inf,
    )


def _rescaled(cotangent: Cotangent) -> Cotangent:
    """The same with a largest value of 1, so that no depth takes it out of range."""
    values, log_unit = cotangent
    largest = values.abs().amax((1, 2), keepdim=True)
    largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return Cotangent(values / largest, log_unit + largest[:, 0, 0].double().log())


def _sum(a: Cotangent, b: Cotangent) -> Cotangent:
    unit = torch.maximum(a.log_unit, b.log_unit)
    values = (times(c.values, torch.exp(c.log_unit - unit).nan_to_num(0.0)) for c in (a, b))
    return _rescaled(Cotangent(sum(values, torch.zeros_like(a.values)), unit))


def _note(found: Gradients, cotangent: Cotangent, log_scale: Tensor) -> None:
    square = torch.bmm(cotangent.values.double(), cotangent.values.double().mT)
    mean = square.diagonal(dim1=-2, dim2=-1).mean(-1)
    alive = mean > 0
    found.gram.append(torch.where(alive[:, None, None], square / mean[:, None, None], 0.0))
    # ∂L/∂X = e^(−log_scale/2) ∂L/∂(state's features)
    log_norm = 2 * (cotangent.log_unit - _unit(log_scale)) + mean.log()
    found.log_scale.append(torch.where(alive, log_norm, -torch.inf))


def _unit(log_scale: Tensor) -> Tensor:
    """Logarithm of X over the state's features; where X is zero, whatever: of 1."""
    return torch.where(log_scale == -torch.inf, 0.0, log_scale / 2)
