"""The multilayer perceptron."""

from __future__ import annotations

import torch
from torch import nn

from normscope.models.activations import ActivationFactory
from normscope.models.builder import Builder, named, require_positive, sequential


class Flatten(nn.Flatten):
    """``(n, ...)`` to ``(n, in_features)``, saying so when the batch has another number of features."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Every sample as one row.

        Raises:
            ValueError: a sample does not have ``in_features`` numbers.
        """
        flat = super().forward(inputs)
        if flat.shape[1] != self.in_features:
            raise ValueError(
                f"this network takes {self.in_features} features, but a batch of shape {tuple(inputs.shape)} has "
                f"{flat.shape[1]} per sample: make it with in_features={flat.shape[1]}, or resize the data"
            )
        return flat

    def extra_repr(self) -> str:
        """What the printed module shows."""
        return f"in_features={self.in_features}"


class MLP(nn.Sequential):
    """What :func:`mlp` returns: ``flatten``, ``blocks``, ``head``."""


def mlp(
    in_features: int,
    width: int,
    depth: int,
    out_features: int = 10,
    *,
    norm: str = "batch",
    activation: str | ActivationFactory = "relu",
    init: str = "he",
    bias: bool = False,
    seed: int = 0,
) -> MLP:
    """``X ← φ(norm(X Wᵀ))``, ``depth`` times, then a linear head.

    Submodules, in order: ``flatten``; ``blocks.0.linear``, ``blocks.0.norm``, ``blocks.0.activation``, ``blocks.1.…``;
    ``last_norm`` (norm "last" only); ``head``. Images are flattened.

    Args:
        in_features: numbers per sample.
        width: units of every hidden layer.
        depth: hidden layers; the head is not counted.
        out_features: outputs of the head.
        norm: "batch", "none" (no module at all), "recenter", "rescale" (a batch norm of which one half is left),
            "layer", or "last" (one batch norm, on what the head sees).
        activation: a name in :data:`ACTIVATIONS`, or a function without arguments that returns a new module.
        init: "he", "xavier" or "orthogonal"; see :data:`INITS`.
        bias: gives the hidden layers a bias, which begins at zero. The head always has one.
        seed: decides the weights. Two networks with the same seed share the weights of every layer that has the
            same name and shape in both, whatever their norms are.

    Raises:
        ValueError: a size below 1, or an unknown norm, activation or init.
        TypeError: a size or seed that is not an integer, or an activation that is neither name nor function.
    """
    require_positive(in_features=in_features, width=width, depth=depth, out_features=out_features)
    make = Builder(norm=norm, activation=activation, init=init, seed=seed)
    blocks = [
        sequential(
            linear=make.linear(in_features if index == 0 else width, width, bias=bias),
            norm=make.norm(width, "dense"),
            activation=make.activation(),
        )
        for index in range(depth)
    ]
    modules = named(
        flatten=Flatten(in_features),
        blocks=nn.Sequential(*blocks),
        last_norm=make.last_norm(width, "dense"),
        head=make.linear(width, out_features, bias=True),
    )
    return make.finish(MLP(modules))
