"""Layers over `decomposed_batch_norm`: batch normalization with recentering and rescaling switched on or off."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from normscope.nn.functional import decomposed_batch_norm
from normscope.nn.statistics import INITIAL_VALUES, mean_square
from normscope.nn.switches import STATISTICS, Scale, Switches, make_switches

__all__ = ["DecomposedBatchNorm", "DecomposedBatchNorm1d", "DecomposedBatchNorm2d", "DecomposedBatchNorm3d"]


class DecomposedBatchNorm(nn.Module):
    r"""``y = (x − [recenter] μ) / s · weight + bias, per channel, s² = variance + eps, or mean square + eps, or 1``.

    In training mode μ, the variance (biased) and the mean square about zero are those of the batch; running averages
    of those that are used are kept, and evaluation mode uses these. The table of the switches is in
    `normscope.nn.functional.decomposed_batch_norm`. With both on and ``scale="std"`` this is torch's BatchNorm:
    the same numbers, the same state dict.

    Buffers: ``running_mean`` when recentering; ``running_var`` or ``running_mean_square`` when rescaling;
    ``num_batches_tracked`` when there is one of these. Loading a state dict ignores statistics that the layer does not
    use, so that a trained BatchNorm loads into every variant; its mean square is ``running_var + running_mean²``,
    which leaves out how much the mean varies between batches.

    Not an instance of torch's ``_BatchNorm``: what works on those (``convert_sync_batchnorm``, fusing into a
    convolution, ``update_bn``) takes recentering and rescaling for granted, and leaves these layers alone.

    Args:
        num_features: the number of channels C.
        eps: added to the variance or mean square.
        momentum: the share of the new statistic in the running one; ``None`` for the mean over all batches.
        affine: learn ``weight`` and ``bias``.
        track_running_stats: keep running statistics. Without them evaluation, too, uses those of the batch.
        device: where the tensors are made.
        dtype: of parameters and statistics.
        bias: learn the bias, if ``affine``.
        recenter: subtract the mean.
        rescale: divide by the scale.
        scale: ``"std"``, the standard deviation of the layer's input; ``"rms"``, its root mean square;
            ``"auto"``, std when recentering, rms when not.

    Shape:
        ``(n, C, ...)`` to the same. 1d: ``(n, C)`` or ``(n, C, length)``; 2d: ``(n, C, height, width)``;
        3d: ``(n, C, depth, height, width)``.

    Raises:
        ValueError: for an unknown ``scale``; in `forward` for a wrong number of dimensions, and for one value per
            channel when a batch statistic is needed.

    Source: Ioffe, Szegedy (arXiv 1502.03167), Algorithms 1 and 2; recentering alone: Nachum et al. (arXiv 2412.02843);
        rescaling alone: Daneshmand et al. (arXiv 2106.03970).
    """

    _version = 2  # as torch's: since 2 a state dict has num_batches_tracked
    _dimensions: ClassVar[tuple[int, ...]] = ()  # of the input; () stands for 2 and more

    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    recenter: bool
    rescale: bool
    scale: Scale
    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    running_mean_square: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        recenter: bool = True,
        rescale: bool = True,
        scale: Scale = "auto",
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.recenter, self.rescale, self.scale = make_switches(recenter, rescale, scale)
        self.register_parameter("weight", self._new_parameter(device, dtype) if affine else None)
        self.register_parameter("bias", self._new_parameter(device, dtype) if affine and bias else None)
        used = self.switches.statistics if track_running_stats else ()
        for name in STATISTICS:
            self.register_buffer(name, self._new_statistic(device, dtype) if name in used else None)
        count = torch.tensor(0, dtype=torch.long, device=device) if used else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def _new_parameter(self, device: Any, dtype: torch.dtype | None) -> nn.Parameter:
        return nn.Parameter(torch.empty(self.num_features, device=device, dtype=dtype))

    def _new_statistic(self, device: Any, dtype: torch.dtype | None) -> Tensor:
        return torch.empty(self.num_features, device=device, dtype=dtype)

    @property
    def switches(self) -> Switches:
        """The switches as one value."""
        return make_switches(self.recenter, self.rescale, self.scale)

    def reset_running_stats(self) -> None:
        """Mean 0, variance and mean square 1, no batches counted."""
        for name in (*STATISTICS, "num_batches_tracked"):
            statistic = getattr(self, name)
            if statistic is not None:
                statistic.fill_(INITIAL_VALUES[name])

    def reset_parameters(self) -> None:
        """Reset the running statistics; weight 1, bias 0."""
        self.reset_running_stats()
        for name in ("weight", "bias"):
            parameter = getattr(self, name)
            if parameter is not None:
                nn.init.constant_(parameter, INITIAL_VALUES[name])

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - as in torch
        if self._dimensions:
            if input.dim() not in self._dimensions:
                expected = " or ".join(f"{d}D" for d in self._dimensions)
                raise ValueError(f"expected {expected} input (got {input.dim()}D input)")
        elif input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def _count_batch(self) -> float | Tensor:
        """Count a batch, and return the share of it in the running statistics."""
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                if self.switches.is_batch_norm:
                    return 1.0 / float(self.num_batches_tracked)  # as torch does, to the last bit
                return self.num_batches_tracked.reciprocal()
        return 0.0 if self.momentum is None else self.momentum

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as in torch, for layer(input=x)
        """Normalize, and in training mode update the running statistics."""
        self._check_input_dim(input)
        momentum = self._count_batch()
        use_batch = self.training or all(getattr(self, name) is None for name in self.switches.statistics)
        update = not self.training or self.track_running_stats
        return decomposed_batch_norm(
            input,
            self.running_mean if update else None,
            self.running_var if update else None,
            self.weight,
            self.bias,
            use_batch,
            momentum,
            self.eps,
            running_mean_square=self.running_mean_square if update else None,
            recenter=self.recenter,
            rescale=self.rescale,
            scale=self.scale,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the call that would make this layer."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}, bias={self.bias is not None}, "
            f"recenter={self.recenter}, rescale={self.rescale}, scale={self.scale!r}"
        )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        used = self.switches.statistics if self.track_running_stats else ()
        found = {name: state_dict[prefix + name] for name in STATISTICS if prefix + name in state_dict}
        unused = {prefix + name for name in STATISTICS if name not in used}
        count_key = prefix + "num_batches_tracked"
        if not used:
            unused.add(count_key)
        state_dict = {key: value for key, value in state_dict.items() if key not in unused}
        if "running_mean_square" in used and "running_mean_square" not in found and len(found) == 2:
            state_dict[prefix + "running_mean_square"] = mean_square(**found)
        version = local_metadata.get("version")
        if used and (version is None or version < 2) and count_key not in state_dict:
            count = self.num_batches_tracked
            known = count is not None and count.device.type != "meta"
            state_dict[count_key] = count if known else torch.tensor(0, dtype=torch.long)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class DecomposedBatchNorm1d(DecomposedBatchNorm):
    """`DecomposedBatchNorm` of ``(n, C)`` or ``(n, C, length)``, in the place of `torch.nn.BatchNorm1d`."""

    _dimensions = (2, 3)


class DecomposedBatchNorm2d(DecomposedBatchNorm):
    """`DecomposedBatchNorm` of ``(n, C, height, width)``, in the place of `torch.nn.BatchNorm2d`."""

    _dimensions = (4,)


class DecomposedBatchNorm3d(DecomposedBatchNorm):
    """`DecomposedBatchNorm` of ``(n, C, depth, height, width)``, in the place of `torch.nn.BatchNorm3d`."""

    _dimensions = (5,)
