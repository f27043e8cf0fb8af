"""Reference networks: the same net with another norm, activation or initialization, and comparable weights.

Every one is a function that returns a :class:`torch.nn.Module` on torch's default device. The weights come from a
seed; the global random generators are left alone. A norm, an activation or an initialization is one entry of a table.
"""

from __future__ import annotations

from normscope.models.activations import ACTIVATIONS
from normscope.models.inits import INITS
from normscope.models.norms import NORMS
from normscope.models.perceptron import MLP, mlp
from normscope.models.plain import VGG, ConvNet, convnet, vgg
from normscope.models.residual import CifarResNet, cifar_resnet

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "MLP",
    "NORMS",
    "VGG",
    "CifarResNet",
    "ConvNet",
    "cifar_resnet",
    "convnet",
    "mlp",
    "vgg",
]
