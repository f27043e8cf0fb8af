"""Batch normalization taken apart, as a function of tensors that updates running statistics in place, as torch's."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from normscope.nn.autograd import normalize
from normscope.nn.switches import Scale, Switches, make_switches

__all__ = ["decomposed_batch_norm"]


def decomposed_batch_norm(
    input: Tensor,  # noqa: A002 - the name in torch.nn.functional.batch_norm
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
    *,
    running_mean_square: Tensor | None = None,
    recenter: bool = True,
    rescale: bool = True,
    scale: Scale = "auto",
) -> Tensor:
    r"""``y = (x − [recenter] μ) / s · weight + bias, per channel, s² = variance + eps, or mean square + eps, or 1``.

    ======== ======= ========= =============================== ==========================================
    recenter rescale ``scale`` y (weight 1, bias 0)            running statistics that evaluation uses
    ======== ======= ========= =============================== ==========================================
    on       on      std, auto ``(x − μ) / sqrt(σ² + eps)``    ``running_mean``, ``running_var``
    on       on      rms       ``(x − μ) / sqrt(ms + eps)``    ``running_mean``, ``running_mean_square``
    on       off     any       ``x − μ``                       ``running_mean``
    off      on      rms, auto ``x / sqrt(ms + eps)``          ``running_mean_square``
    off      on      std       ``x / sqrt(σ² + eps)``          ``running_var``
    off      off     any       ``x`` (a new tensor)            none
    ======== ======= ========= =============================== ==========================================

    μ, σ² (biased) and ms, the mean square about zero, are those of the *input*, over the batch and all positions.
    With ``training`` they are those of this batch, gradients flow through them, and the running statistics that are
    given and used are updated in place: ``running ← (1 − momentum) · running + momentum · new``, the variance with the
    factor N / (N − 1), as in torch. Without ``training`` they are the running statistics. A statistic that the
    switches do not use is neither read nor updated. The first row is `torch.nn.functional.batch_norm` itself, with
    its limits: third derivatives in training are wrong in torch (its issue 186256). Those of the other rows are right.

    Args:
        input: shape ``(n, C, ...)``, floating point; half precision is accumulated in float32.
        running_mean: shape ``(C,)``, or ``None``, which training allows.
        running_var: shape ``(C,)``, likewise.
        weight: shape ``(C,)``, or ``None`` for 1.
        bias: shape ``(C,)``, or ``None`` for 0.
        training: normalize by the statistics of the batch.
        momentum: the share of the new statistic in the running one; a 0-d tensor is not read on the host.
        eps: added to the variance or mean square; unused without ``rescale``.
        running_mean_square: shape ``(C,)``, or ``None``, which training allows.
        recenter: subtract the mean.
        rescale: divide by the scale.
        scale: ``"std"``, the standard deviation; ``"rms"``, the root mean square; ``"auto"``, std when recentering,
            rms when not.

    Returns:
        A new tensor with the shape, dtype and memory format of ``input``.

    Raises:
        ValueError: for an unknown ``scale``, an input of fewer than 2 dimensions, a batch statistic of one value per
            channel, or ``eps`` that is not positive in training, or negative.
        NotImplementedError: if ``input`` is not of a floating-point type.
        RuntimeError: if a vector does not have one element per channel, or evaluation lacks a running statistic.

    Source: Ioffe, Szegedy (arXiv 1502.03167), Algorithm 1, for both on; recentering alone: Nachum et al.
        (arXiv 2412.02843); rescaling alone, by the root mean square: Daneshmand et al. (arXiv 2106.03970).
    """
    switches = make_switches(recenter, rescale, scale)
    if weight is None and bias is not None:
        # torch's batch_norm forgets the bias in second derivatives when it has no weight
        weight = torch.ones(input.shape[1:2], dtype=bias.dtype, device=bias.device)
    if switches.is_batch_norm:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, float(momentum), eps)

    given: dict[str, Tensor | None] = {
        "running_mean": running_mean,
        "running_var": running_var,
        "running_mean_square": running_mean_square,
    }
    running: dict[str, Tensor | None] = {name: given[name] for name in switches.statistics}
    _check_input(input, switches, training, eps)
    _check_sizes(input, {**running, "weight": weight, "bias": bias})
    if not training:
        _check_present(running, switches)
    if not training or not running or input.numel() == 0:  # torch leaves the statistics alone when a batch is empty
        return _normalize_by_running(input, running, weight, bias, eps if rescale else 0.0)
    output, mean, second = normalize(input, weight, bias, switches, eps)
    _update_running(running, mean, second, momentum, input.numel() // input.shape[1])
    return output


def _normalize_by_running(
    x: Tensor,
    running: dict[str, Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    vectors = [v for v in (*running.values(), weight, bias) if v is not None]
    # torch wants the vectors of a channel in one dtype
    like = vectors[0] if vectors else x
    mean = running.get("running_mean")
    if mean is None:
        mean = torch.zeros(x.shape[1], dtype=like.dtype, device=like.device)
    variance = running.get("running_var", running.get("running_mean_square"))
    if variance is None:
        variance = torch.ones(x.shape[1], dtype=like.dtype, device=like.device)
    return F.batch_norm(x, mean, variance, weight, bias, training=False, momentum=0.0, eps=eps)


def _update_running(
    running: dict[str, Tensor | None],
    mean: Tensor | None,
    second: Tensor | None,
    momentum: float | Tensor,
    count: int,
) -> None:
    unbiased = None if second is None else second * (count / (count - 1))
    new = {"running_mean": mean, "running_var": unbiased, "running_mean_square": second}
    for name, old in running.items():
        value = new[name]
        if old is not None and value is not None:
            with torch.no_grad():
                old.copy_((1 - momentum) * old.to(value.dtype) + momentum * value)


def _check_input(x: Tensor, switches: Switches, training: bool, eps: float) -> None:
    if x.dim() < 2:
        raise ValueError(f"expected at least 2D input (got {x.dim()}D input)")
    if not x.is_floating_point():
        raise NotImplementedError(  # the type that torch raises
            f"batch_norm is not implemented for {x.dtype}: convert the input, for example with input.float()"
        )
    if training and switches.statistics and x.shape[0] * math.prod(x.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
    if switches.rescale and training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if switches.rescale and eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")


def _check_sizes(x: Tensor, vectors: Mapping[str, Tensor | None]) -> None:
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (x.shape[1],):
            raise RuntimeError(
                f"{name} should contain {x.shape[1]} elements, one per channel of an input of size "
                f"{tuple(x.shape)}, not have shape {tuple(vector.shape)}"
            )


def _check_present(running: Mapping[str, Tensor | None], switches: Switches) -> None:
    for name, statistic in running.items():
        if statistic is None:
            raise RuntimeError(
                f"{name} must be defined in evaluation mode with {switches}: pass it, or use training=True"
            )
