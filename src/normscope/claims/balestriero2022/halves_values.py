"""What a partition is like near the data and elsewhere, one number a network: how far drawn to them, how far folded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = dict[tuple[str, str], Array]
"""One number a network, by data and offsets."""

HALVES: Final = ("batch", "recenter", "shifted", "random")
"""Recentering and rescaling, recentering, rescaling, neither."""


def _by_network(values: Mapping[Any, float]) -> Values:
    """From values by data, offsets and network, in the order of networks."""
    found: dict[tuple[str, str], list[float]] = {}
    for (kind, offsets, _), value in values.items():
        found.setdefault((kind, offsets), []).append(value)
    return {key: np.array(of_key) for key, of_key in found.items()}


def concentration(table: pd.DataFrame) -> Values:
    """Logarithm of the number of units that cross a disc at the data over that elsewhere, over all layers."""
    total = table.groupby(["data", "offsets", "network"])[["near", "elsewhere"]].sum()
    ratio = total["near"] / total["elsewhere"]
    return _by_network({key: math.log(value) if value > 0 else math.nan for key, value in ratio.to_dict().items()})


def turn(table: pd.DataFrame) -> Values:
    """Mean turn of boundaries at earlier folds, radians, mean over the layers from the second."""
    return _by_network(table.groupby(["data", "offsets", "network"])["turn"].mean().to_dict())
