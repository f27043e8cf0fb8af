"""What the claims of this paper share: one wide layer of batch normalization, and which of its units separate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import models
from normscope.claims.claim import Paper, Scale

PAPER: Final = Paper("The sequel of Batch Normalization Explained (PMLR 334)", "", "Riedi et al. 2026")
"""It is not on arXiv, as far as we know, and we know its statements alone, not its title."""


def sides(points: Tensor, units: int, seed: int) -> NDArray[np.bool_]:
    """(units, n): on which side of each unit's hyperplane the points (n, d) of a batch lie.

    The units are those of a layer with Gaussian weights and batch normalization in train mode: their hyperplanes go
    through the mean of the batch.
    """
    network = models.mlp(points.shape[1], units, 1, norm="batch", seed=seed).double().train()
    linear, norm = network.get_submodule("blocks.0.linear"), network.get_submodule("blocks.0.norm")
    with torch.no_grad():
        arguments = norm(linear(points.double()))
    found: NDArray[np.bool_] = (arguments.T > 0).numpy()
    return found


def children(seed: int, count: int) -> list[int]:
    """Seeds of ``count`` independent repetitions."""
    return [int(child) for child in np.random.SeedSequence(seed).generate_state(count)]


def scales(quick: Mapping[str, Any], full: Mapping[str, Any]) -> dict[Scale, Mapping[str, Any]]:
    """Sizes of the three scales: the paper's own are not known to us, and its scale is our full one."""
    return {"quick": quick, "full": full, "paper": full}
