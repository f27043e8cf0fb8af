"""Steps that are tried and taken back: the loss along the gradient, and an update replayed in fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from normscope.loading import suggestion
from normscope.tracing.inputs import Inputs
from normscope.tracing.objective import Loss, Objective
from normscope.tracing.preserve import preserved
from normscope.tracing.unwrap import unwrapped
from normscope.tracing.watch import trace, watched_layers

Array = NDArray[np.float64]
_TENTHS = tuple(k / 10 for k in range(11))


@dataclass(frozen=True, eq=False)
class LossAlongGradient:
    """L(θ − α ∇L(θ)) on one batch, for many α.

    Attributes:
        step_sizes: α, (k,).
        losses: (k,); inf or NaN where the step diverged.
        start: L(θ).
        gradient_norm: ‖∇L(θ)‖ over all trained parameters. To first order the loss falls by α ‖∇L‖².
    """

    step_sizes: Array
    losses: Array
    start: float
    gradient_norm: float

    @property
    def relative(self) -> Array:
        """Loss after the step over loss before, (k,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.losses / self.start

    @property
    def best(self) -> float:
        """The step size with the smallest loss; NaN where none is finite."""
        finite = np.isfinite(self.losses)
        return float(self.step_sizes[finite][np.argmin(self.losses[finite])]) if finite.any() else float("nan")

    @property
    def table(self) -> pd.DataFrame:
        """One row a step: ``step_size``, ``loss``, ``relative``."""
        return pd.DataFrame({"step_size": self.step_sizes, "loss": self.losses, "relative": self.relative})


def loss_along_gradient(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Loss | None = None,
    *,
    step_sizes: ArrayLike,
    seed: int = 0,
) -> LossAlongGradient:
    """The loss on the same batch after one step of plain gradient descent, for each of many step sizes.

    Every step starts from the model as it is: weights, running statistics, attributes and random generators (the same
    dropout masks) are put back bit for bit in between, and at the end, also when something raises. The model runs in
    the mode it is in.

    Args:
        model: any module; the parameters with ``requires_grad`` take the step.
        inputs: the batch, as for `normscope.trace`.
        targets: second argument of ``loss``.
        loss: ``loss(outputs, targets)``; default cross-entropy for integer targets, mean squared error for floating.
        step_sizes: α, (k,), finite.
        seed: start of the random generators at each evaluation.

    Raises:
        TypeError: the model is no module, or the inputs hold no tensor.
        ValueError: no step sizes, or one that is not finite; labels out of range; a loss that is not finite at the
            start, not one number, or depends on no trained parameter.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), section 3.1, figure 3.
    """
    sizes = _finite(step_sizes, "step_sizes")
    objective = Objective(model, inputs, targets, loss, seed)
    with objective.running():
        gradients, start = objective.gradients()
    losses = np.array([_loss_after(objective, gradients, -size) for size in sizes.tolist()])
    return LossAlongGradient(sizes, losses, start, _norm(gradients.values()))


def gradient_step(
    model: nn.Module,
    inputs: Inputs,
    targets: Any = None,
    loss: Loss | None = None,
    *,
    step_size: float,
    seed: int = 0,
) -> dict[str, Tensor]:
    """−α ∂L/∂θ by the name of each trained parameter: the update of plain gradient descent, not applied.

    Args:
        model: any module, bit-identical afterwards.
        inputs: the batch, as for `normscope.trace`.
        targets: second argument of ``loss``.
        loss: as for `loss_along_gradient`.
        step_size: α.
        seed: start of the random generators.

    Raises:
        TypeError: the model is no module, or the inputs hold no tensor.
        ValueError: a step size that is not finite, or as `loss_along_gradient`.
    """
    if not np.isfinite(step_size):
        raise ValueError(f"step_size must be finite, got {step_size}")
    objective = Objective(model, inputs, targets, loss, seed)
    with objective.running():
        gradients, _ = objective.gradients()
    return {name: -step_size * gradient for name, gradient in gradients.items()}


def replay_update(
    model: nn.Module,
    inputs: Inputs,
    update: Mapping[str, Tensor],
    *,
    layers: str | Sequence[str] = "*",
    fractions: ArrayLike = _TENTHS,
    seed: int = 0,
) -> pd.DataFrame:
    """Moments of the channels of chosen layers at θ + f Δ, for fractions f of one update Δ.

    Every fraction starts from the model as it is, which is bit-identical in between and at the end.

    Args:
        model: any module, in the mode in which it is to run.
        inputs: the batch, as for `normscope.trace`.
        update: Δ by the names of parameters (`torch.nn.Module.named_parameters`); `gradient_step` makes one, and the
            difference of two ``state_dict`` is one, for any optimizer.
        layers: glob pattern, or several; each must match.
        fractions: f, from 0 for the model as it is to 1 for the whole update.
        seed: start of the random generators at each fraction.

    Returns:
        One row a fraction, layer, call and channel: ``fraction``, ``layer``, ``call``, ``channel``, ``mean`` and
        ``var`` over the batch and all positions.

    Raises:
        TypeError: the model is no module, the inputs hold no tensor, or the update is no mapping of tensors.
        ValueError: no layer matches (the message names the nearest), a name in ``update`` is no parameter or its shape
            differs, or fractions are not finite.

    Source: Bjorck et al. (NeurIPS 2018), section 3.1, figure 4.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    model, _ = unwrapped(model)
    shares = _finite(fractions, "fractions")
    patterns = [layers] if isinstance(layers, str) else list(layers)
    if not patterns:
        raise ValueError("no layers were named: give one glob pattern or more, such as '*'")
    for pattern in patterns:
        watched_layers(model, pattern)
    _check_update(model, update)
    frames = []
    for share in shares.tolist():
        with preserved(model, seed):
            _apply(model, update, share)
            watched = trace(model, inputs, layers=patterns, measures=("moments",), seed=seed)
        for layer, call in zip(watched.table["layer"], watched.table["call"], strict=True):
            channels = watched.channels(layer, call).reset_index()
            moments = {"channel": channels["channel"], "mean": channels["mean"], "var": channels["std"] ** 2}
            frames.append(pd.DataFrame({"fraction": share, "layer": layer, "call": call, **moments}))
    return pd.concat(frames, ignore_index=True)


def _loss_after(objective: Objective, direction: Mapping[str, Tensor], step: float) -> float:
    with objective.running():
        _apply(objective.model, direction, step)
        return objective.value()


@torch.no_grad()
def _apply(model: nn.Module, direction: Mapping[str, Tensor], step: float) -> None:
    """θ += step · direction; inside `preserved`."""
    parameters = dict(model.named_parameters())
    for name, change in direction.items():
        parameter = parameters[name]
        parameter.add_(change.detach().to(parameter), alpha=step)


def _finite(values: ArrayLike, name: str) -> Array:
    try:
        numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be one or more finite numbers in a row")
    return numbers


def _check_update(model: nn.Module, update: Mapping[str, Tensor]) -> None:
    if not isinstance(update, Mapping) or not all(isinstance(change, Tensor) for change in update.values()):
        raise TypeError("the update must be a mapping from the names of parameters to tensors, as gradient_step makes")
    parameters = dict(model.named_parameters())
    if not update:
        raise ValueError("the update is empty: give the change of at least one parameter by its name")
    for name, change in update.items():
        if name not in parameters:
            raise ValueError(
                f"{name!r} in the update is no parameter of the model{suggestion(name, list(parameters), ())}"
            )
        if change.shape != parameters[name].shape:
            shapes = f"{tuple(change.shape)}, the parameter {tuple(parameters[name].shape)}"
            raise ValueError(f"the update of {name!r} has shape {shapes}")


def _norm(tensors: Any) -> float:
    squares = [torch.linalg.vector_norm(t, dtype=torch.float64).square() for t in tensors]
    return torch.stack([s.cpu() for s in squares]).sum().sqrt().item()
