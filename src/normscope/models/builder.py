"""What every network of this room is made with: one norm, one activation, one initialization, one seed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import skip_init

from normscope.models.activations import ActivationFactory, activation_factory
from normscope.models.inits import init_law, initialize_, stream_seed
from normscope.models.norms import Kind, norm_plan

Network = TypeVar("Network", bound=nn.Module)


class Builder:
    """Makes the layers of one network, and at the end gives them their weights.

    torch's layers draw from the global generator when they are made. These are made without weights, and
    :meth:`finish` draws the weights from generators of its own.

    Raises:
        ValueError: unknown norm, activation or init.
        TypeError: the activation is neither a name nor a function that makes modules, or the seed is no integer.
    """

    def __init__(self, *, norm: str, activation: str | ActivationFactory, init: str, seed: int) -> None:
        self._norms = norm_plan(norm)
        self._make_activation = activation_factory(activation)
        self._law = init_law(init)
        self._seed = require_integer("seed", seed)
        self._weighted: list[nn.Linear | nn.Conv2d] = []
        self._activations = 0

    def linear(self, in_features: int, out_features: int, *, bias: bool) -> nn.Linear:
        """A linear layer, its weights still to come."""
        device = torch.get_default_device()
        layer: nn.Linear = skip_init(nn.Linear, in_features, out_features, bias=bias, device=device)
        self._weighted.append(layer)
        return layer

    def conv(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, bias: bool) -> nn.Conv2d:
        """A convolution that keeps height and width (over the stride), its weights still to come."""
        device = torch.get_default_device()
        shape = (in_channels, out_channels, kernel)
        layer: nn.Conv2d = skip_init(nn.Conv2d, *shape, stride=stride, padding=kernel // 2, bias=bias, device=device)
        self._weighted.append(layer)
        return layer

    def norm(self, features: int, kind: Kind) -> nn.Module | None:
        """The norm after a layer, or None if this network has none there."""
        return None if self._norms.inside is None else self._norms.inside(features, kind)

    def last_norm(self, features: int, kind: Kind) -> nn.Module | None:
        """The norm of the last hidden representation, or None if this network has none there."""
        return None if self._norms.last is None else self._norms.last(features, kind)

    def activation(self) -> nn.Module:
        """A new module of the activation.

        Raises:
            TypeError: the function that was given to make it needs arguments or does not return a module.
        """
        self._activations += 1
        # The user's function may draw (a layer of its own, say): from our seed, and not at the caller's expense.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream_seed(self._seed, f"activation {self._activations}"))
            try:
                module = self._make_activation()
            except TypeError as error:
                raise TypeError(
                    f"activation must be a function without arguments that returns a module, but calling "
                    f"{self._make_activation!r} failed: {error}"
                ) from error
        if not isinstance(module, nn.Module):
            raise TypeError(f"activation must return a torch.nn.Module, but returned {module!r}")
        return module

    def finish(self, network: Network) -> Network:
        """``network`` with weights drawn and biases zero."""
        names = {module: name for name, module in network.named_modules()}
        with torch.device("cpu"):
            activation = self.activation().double().eval()  # a random activation draws in train mode, and only there
        for layer in self._weighted:
            initialize_(layer, self._law, activation, names[layer], self._seed)
        return network


def sequential(**modules: nn.Module | None) -> nn.Sequential:
    """A sequence with names, in the order given, without those that are None."""
    return nn.Sequential(named(**modules))


def named(**modules: nn.Module | None) -> OrderedDict[str, nn.Module]:
    """What :class:`torch.nn.Sequential` takes to name its modules, without those that are None."""
    return OrderedDict((name, module) for name, module in modules.items() if module is not None)


def require_integer(name: str, value: int) -> int:
    """``value`` as an int.

    Raises:
        TypeError: it is not an integer; the message names the argument.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    return int(value)


def require_positive(**sizes: int) -> None:
    """Check that every keyword is an integer of at least 1.

    Raises:
        TypeError: a value is not an integer; the message names the keyword.
        ValueError: a value is below 1; the message names the keyword.
    """
    for name, value in sizes.items():
        if require_integer(name, value) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
