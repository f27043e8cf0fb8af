"""Non-linearities on features whose scale is carried apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from normscope.models.activations import activation_factory

Activation = Callable[[Tensor], Tensor]
"""An elementwise function of tensors."""

_IN_PLACE: dict[str, Activation] = {"relu": torch.relu_, "abs": torch.abs_, "linear": lambda u: u}
_TINY, _HUGE = 2.0**-30, 2.0**40  # where the degree of a function near 0 and far from it is read


class Elementwise:
    """φ, evaluated at ``s·u`` for scales s beyond the range of floating-point numbers.

    A φ that is positively homogeneous (ReLU, leaky ReLU, the absolute value, the identity: φ(s u) = s φ(u)) never sees
    the scale. Any other φ sees it between eps and 1/eps of the dtype; beyond, it is continued as the power to which
    it tends there, φ(s u) = (s/s₀)^p φ(s₀ u), with p measured when this object is made: 1 and 0 for tanh near zero and
    far away, 1 and 1 for GELU, 0 near zero for every φ with φ(0) ≠ 0. The relative error is of order eps.

    Args:
        activation: a name of `normscope.models.ACTIVATIONS`, or an elementwise, deterministic function of tensors.
        dtype: of the features.
        device: of the features.

    Raises:
        ValueError: an unknown name, or a function that is not elementwise.
        TypeError: neither a name nor a function of tensors.
    """

    def __init__(self, activation: str | Activation, dtype: torch.dtype, device: torch.device) -> None:
        self.name = activation if isinstance(activation, str) else getattr(activation, "__name__", repr(activation))
        self._function = _function(activation)
        self._in_place = _IN_PLACE.get(activation) if isinstance(activation, str) else None
        self._eps = torch.finfo(dtype).eps
        self._check_elementwise(dtype, device)
        self._homogeneous = self._is_homogeneous(dtype, device)
        self._small, self._large = (self._degree(at, dtype, device) for at in (_TINY, _HUGE))

    def __call__(self, u: Tensor, log_s: Tensor) -> tuple[Tensor, Tensor]:
        """φ(s u) = e^a y, with ``u`` (networks, n, features) and ``log_s`` (networks,).

        Without a graph to record, the memory of ``u`` may be used for y.

        Returns:
            y, the shape of ``u``, and a, the shape of ``log_s``.
        """
        if self._homogeneous:
            return self._apply(u), log_s
        low, high = math.log(self._eps), -math.log(self._eps)
        inside = log_s.clamp(low, high)
        # a degree of 0 times an infinite distance is no distance
        below = (log_s - low).clamp(max=0) * self._small if self._small else torch.zeros_like(log_s)
        above = (log_s - high).clamp(min=0) * self._large if self._large else torch.zeros_like(log_s)
        return self._apply(u * inside.exp().to(u.dtype)[:, None, None]), below + above

    def _apply(self, u: Tensor) -> Tensor:
        if self._in_place is not None and not u.requires_grad:
            return self._in_place(u)
        return self._function(u)

    def _check_elementwise(self, dtype: torch.dtype, device: torch.device) -> None:
        points = torch.tensor([-1.5, -0.25, 0.5, 2.0], dtype=dtype, device=device)
        try:
            together = self._function(points[None])
            alone = torch.stack([self._function(point.view(1, 1)).view(()) for point in points])[None]
        except Exception as error:
            raise ValueError(f"activation {self.name}: it does not take a tensor: {error}") from error
        if together.shape != alone.shape or not torch.allclose(together, alone, rtol=1e-5, equal_nan=True):
            raise ValueError(
                f"activation {self.name} is not elementwise: its value at one feature depends on the others, for which "
                "there is no exact law; pass a function of single numbers"
            )

    def _is_homogeneous(self, dtype: torch.dtype, device: torch.device) -> bool:
        u = torch.tensor([-1.7, -0.9, -0.3, 0.2, 0.7, 1.3], dtype=dtype, device=device)
        scales = [2.0**k for k in (-30, -7, -2, -1, 1, 3, 6, 30)]
        return all(torch.allclose(self._function(s * u) / s, self._function(u), rtol=1e-6, atol=0.0) for s in scales)

    def _degree(self, at: float, dtype: torch.dtype, device: torch.device) -> float:
        """The p of φ(s u) ~ s^p around ``at``: by the largest |φ| over one octave and over the next."""
        octave = torch.linspace(1, 2, 65, dtype=dtype, device=device) * at
        octave = torch.cat([-octave, octave])
        here, there = float(self._function(octave).abs().max()), float(self._function(2 * octave).abs().max())
        if here == 0 or there == 0:
            return 0.0
        return round(math.log2(there / here), 3) if math.isfinite(there) else math.inf


def _function(activation: str | Activation) -> Activation:
    if isinstance(activation, str):
        module: nn.Module = activation_factory(activation)()
        return module
    if isinstance(activation, type) or not callable(activation):
        raise TypeError(
            f"activation must be a name or a function of tensors, got {activation!r}; "
            "of a module class pass an instance"
        )
    return activation
