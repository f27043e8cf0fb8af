"""A model, a batch and a loss, as the probes of gradients take them: checked, called, differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from normscope.tracing import inputs as given
from normscope.tracing.inputs import Inputs
from normscope.tracing.labels import check_labels, ignored_label
from normscope.tracing.preserve import preserved
from normscope.tracing.unwrap import eagerly, unwrapped

Loss = Callable[[Any, Any], Tensor]


class Objective:
    """``loss(model(inputs), targets)``, the same number however often it is asked for.

    Args:
        model: any module; wrappers (torch.compile, DataParallel) are taken off.
        inputs: the batch: a tensor, or a tuple of positional or a mapping of keyword arguments.
        targets: second argument of ``loss``.
        loss: default cross-entropy for integer targets, mean squared error for floating ones.
        seed: start of torch's random generators at each evaluation.

    Raises:
        TypeError: the model is no module, the inputs hold no tensor, or the loss is no function.
        ValueError: fewer than two samples, neither targets nor a loss, or bools as targets of the default one.
    """

    def __init__(self, model: nn.Module, inputs: Inputs, targets: Any, loss: Loss | None, seed: int) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError("a model compiled by TorchScript takes no hooks: pass the module that it was compiled from")
        self.model, _ = unwrapped(model)
        self.batch = given.batch_size(inputs, 0)
        self.inputs, self.targets, self.seed = inputs, targets, seed
        criterion = given.criterion(targets, loss)
        if criterion is None:
            raise ValueError("gradients need a loss: give targets, or loss(outputs, targets)")
        if not callable(criterion):
            raise TypeError(f"loss is a {type(criterion).__name__}: give a function loss(outputs, targets)")
        if loss is None and isinstance(targets, Tensor) and targets.dtype == torch.bool:
            raise ValueError("targets are bools: give classes as integers, or name the loss(outputs, targets)")
        self._criterion = criterion
        self._ignored = ignored_label(targets, loss)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Whatever is done to the model inside is undone at the end; random generators start from the seed."""
        with preserved(self.model, self.seed), eagerly(), torch.inference_mode(mode=False), torch.enable_grad():
            yield

    def outputs(self, arguments: Any) -> Any:
        """What the model returns for ``arguments``, a copy of the inputs."""
        return given.call(self.model, arguments)

    def loss_of(self, outputs: Any) -> Tensor:
        """The loss, 0-d.

        Raises:
            ValueError: it is not one real number, or labels are out of range.
        """
        if self._ignored is not None:
            check_labels(outputs, self.targets, self._ignored)
        value = given.scalar(self._criterion(outputs, given.own_copy(self.targets, with_gradient=False)))
        if value.is_complex():
            raise ValueError("loss(outputs, targets) must return one real number, it returned a complex one")
        return value

    def start(self, arguments: Any) -> tuple[Any, Tensor]:
        """Outputs and loss of the model as it is.

        Raises:
            ValueError: as `loss_of`, or the loss is not finite.
        """
        outputs = self.outputs(arguments)
        value = self.loss_of(outputs)
        if not value.isfinite():
            raise ValueError(
                f"the loss is {value.item()} at the start, so no gradient means anything; "
                "normscope.trace(model, inputs) shows the first layer that is not finite"
            )
        return outputs, value

    def value(self) -> float:
        """The loss of the model as it is, finite or not; call it inside `running`."""
        with torch.no_grad():
            return self.loss_of(self.outputs(given.own_copy(self.inputs, with_gradient=False))).item()

    def gradients(self) -> tuple[dict[str, Tensor], float]:
        """∂L/∂θ by the name of each trained parameter (dense, detached), and L; call it inside `running`.

        Raises:
            ValueError: as `start`, or the loss depends on no trained parameter.
        """
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        _, value = self.start(given.own_copy(self.inputs, with_gradient=False))
        found = differentiate(value, list(trained.values()))
        gradients = {n: g.to_dense().detach() for n, g in zip(trained, found, strict=True) if g is not None}
        return gradients, value.item()


def differentiate(value: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """∂value/∂leaf of each, without touching ``.grad``; None where it does not depend on one.

    Raises:
        ValueError: it depends on none, or on activation checkpoints that allow nothing but ``.grad``.
    """
    if not value.requires_grad or not leaves:
        raise ValueError("the loss does not depend on any parameter or input that needs a gradient")
    try:
        return torch.autograd.grad(value, leaves, allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        why = "activation checkpointing with use_reentrant=True allows no gradient that leaves .grad alone"
        raise ValueError(f"{why}: use use_reentrant=False") from error
