"""What a simulation gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RandomNetworks:
    """What depth made of a batch of n points in every network; float64, on the CPU.

    Attributes:
        depths: the depths that were recorded; 0 is the input.
        log_scale: (networks, depths): XXᵀ/d = e^log_scale · gram. −∞ where every feature is zero.
        measures: by name, (networks, depths).
    """

    depths: tuple[int, ...]
    log_scale: Tensor
    measures: dict[str, Tensor]
    _gram: Tensor | None = None
    _grad_gram: Tensor | None = None
    _grad_log_scale: Tensor | None = None
    _weight_grad_log_norm2: Tensor | None = None

    @property
    def gram(self) -> Tensor:
        """Gram matrices XXᵀ/d with trace n, (networks, depths, n, n).

        Raises:
            AttributeError: they were not recorded.
        """
        return _recorded(self._gram, "Gram matrices", "record='gram'")

    @property
    def grad_gram(self) -> Tensor:
        """Gram matrices of ∂L/∂X with trace n, (networks, depths, n, n).

        L = Σ V_ij X_ij/√d over the last features, V_ij ~ N(0, 1).

        Raises:
            AttributeError: they were not recorded.
        """
        return _recorded(self._grad_gram, "Gram matrices of gradients", "gradients=True and record='gram'")

    @property
    def grad_log_scale(self) -> Tensor:
        """(networks, depths): ∂L/∂X (∂L/∂X)ᵀ, a sum over features, is e^grad_log_scale · grad_gram.

        So ‖∂L/∂X‖² = n e^grad_log_scale.

        Raises:
            AttributeError: there are no gradients.
        """
        return _recorded(self._grad_log_scale, "gradients", "gradients=True")

    @property
    def weight_grad_log_norm2(self) -> Tensor:
        """Logarithm of ‖∂L/∂W_t‖², (networks, depth), of every layer from the first; of two matrices the first one.

        Raises:
            AttributeError: there are no gradients.
        """
        return _recorded(self._weight_grad_log_norm2, "gradients", "gradients=True")

    def __repr__(self) -> str:
        networks, depths = self.log_scale.shape
        kept = [
            name for name, value in (("gram", self._gram), ("gradients", self._grad_log_scale)) if value is not None
        ]
        what = ", ".join([*kept, *self.measures]) or "log_scale"
        return f"RandomNetworks({networks} networks, {depths} depths of {self.depths[-1]}: {what})"


def _recorded(value: Tensor | None, what: str, how: str) -> Tensor:
    if value is None:
        raise AttributeError(f"{what} were not recorded: ask for them with {how}")
    return value
