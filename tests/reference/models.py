"""The reference networks written out again, slowly and plainly, from a state dict and nothing else (float64)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import conv2d

State = dict[str, Tensor]
Function = Callable[[Tensor], Tensor]

EPS = 1e-5

ACTIVATIONS: dict[str, Function] = {
    "relu": lambda z: torch.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: torch.where(z > 0, z, 0.01 * z),
    "abs": lambda z: torch.where(z > 0, z, -z),
    "elu": lambda z: torch.where(z > 0, z, torch.exp(z) - 1),
    "gelu": lambda z: z * 0.5 * (1 + torch.erf(z / 2**0.5)),
    "silu": lambda z: z / (1 + torch.exp(-z)),
    "tanh": lambda z: (torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z)),
    "linear": lambda z: z,
}


def normalize(norm: str, z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The batch's own statistics, feature by feature (or sample by sample for "layer")."""
    out = torch.empty_like(z)
    for index in range(z.shape[0] if norm == "layer" else z.shape[1]):
        pick = (index,) if norm == "layer" else (slice(None), index)
        values = z[pick]
        if norm != "rescale":
            values = values - values.mean()
        if norm != "recenter":
            values = values / torch.sqrt((values**2).mean() + EPS)
        out[pick] = values
    shape = (1, -1) + (1,) * (z.dim() - 2)
    return out * weight.view(shape) + bias.view(shape)


class Net:
    """One network's parameters, its norm and its activation."""

    def __init__(self, state: State, norm: str, activation: str) -> None:
        self.state, self.norm, self.phi = state, norm, ACTIVATIONS[activation]

    def normalized(self, z: Tensor, name: str) -> Tensor:
        if self.norm in ("none", "last"):
            return z
        return normalize(self.norm, z, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def last(self, x: Tensor) -> Tensor:
        if self.norm != "last":
            return x
        return normalize("batch", x, self.state["last_norm.weight"], self.state["last_norm.bias"])

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return conv2d(x, weight, self.state.get(f"{name}.bias"), stride=stride, padding=weight.shape[-1] // 2)

    def head(self, x: Tensor) -> Tensor:
        return x @ self.state["head.weight"].T + self.state["head.bias"]

    def conv_block(self, x: Tensor, name: str) -> Tensor:
        return self.phi(self.normalized(self.conv(x, f"{name}.conv"), f"{name}.norm"))


def mlp(net: Net, x: Tensor) -> Tensor:
    x = x.reshape(len(x), -1)
    for name in _there(net, "blocks.{}", "linear"):
        z = x @ net.state[f"{name}.linear.weight"].T + net.state.get(f"{name}.linear.bias", 0.0)
        x = net.phi(net.normalized(z, f"{name}.norm"))
    return net.head(net.last(x))


def convnet(net: Net, x: Tensor) -> Tensor:
    for name in _there(net, "blocks.{}", "conv"):
        x = net.conv_block(x, name)
    return net.head(net.last(x).mean((2, 3)))


def vgg(net: Net, x: Tensor) -> Tensor:
    for stage in range(1, 6):
        for name in _there(net, f"stage{stage}." + "{}", "conv"):
            x = net.conv_block(x, name)
        quarters = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = torch.stack(quarters).amax(0)
    return net.head(net.last(x).mean((2, 3)))


def cifar_resnet(net: Net, x: Tensor) -> Tensor:
    x = net.conv_block(x, "stem")
    for stage in (1, 2, 3):
        for name in _there(net, f"stage{stage}." + "{}", "conv1"):
            stride = 2 if stage > 1 and name.endswith(".0") else 1
            z = net.phi(net.normalized(net.conv(x, f"{name}.conv1", stride), f"{name}.norm1"))
            z = net.normalized(net.conv(z, f"{name}.conv2"), f"{name}.norm2")
            if f"{name}.shortcut.conv.weight" in net.state:
                x = net.normalized(net.conv(x, f"{name}.shortcut.conv", 2), f"{name}.shortcut.norm")
            elif stride == 2:
                x = x[:, :, ::2, ::2]
                x = torch.cat([x, torch.zeros_like(x)], 1)
            x = net.phi(z + x)
    return net.head(net.last(x).mean((2, 3)))


def _there(net: Net, pattern: str, layer: str) -> list[str]:
    names = []
    for index in count():
        name = pattern.format(index)
        if f"{name}.{layer}.weight" not in net.state:
            return names
        names.append(name)
    raise AssertionError
