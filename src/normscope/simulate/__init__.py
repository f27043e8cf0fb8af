"""Random networks of finite width, by exact law or by explicit weights."""

from __future__ import annotations

from normscope.simulate.network import random_network
from normscope.simulate.plan import Parameters
from normscope.simulate.result import RandomNetworks
from normscope.simulate.weights import WEIGHTS

__all__ = ["WEIGHTS", "Parameters", "RandomNetworks", "random_network"]
