"""What all claims on the odd point share: batches, networks watched through depth, and how many have an odd point.

A batch *has an odd point* where `normscope.measure.odd_point` scores at least a half: 1 is one point orthogonal to a
tight cluster of all others, 0 a symmetric batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normscope import data, simulate
from normscope.claims.claim import Paper, Scale
from normscope.claims.estimate import Estimate
from normscope.claims.statistics import proportion
from normscope.measure import odd_point

PAPER: Final = Paper("Batch Normalization Decomposed", "2412.02843", "Nachum et al. 2024")
SCORE: Final = 0.5  # half-way between a symmetric batch and the paper's configuration
ALMOST_ALL: Final = 0.9
HARDLY_ANY: Final = 0.1

NORMS: Final = {"RC+ReLU": (True, False), "RC+RS+ReLU": (True, True), "RS+ReLU": (False, True), "ReLU": (False, False)}
"""Recentering and rescaling before a ReLU, each on or off; the one that has an odd point comes first."""

_FEATURES = 64  # of a Gaussian batch: as many as the pixels of a digit
_RECORDED = 20


def scales(quick: Mapping[str, Any], full: Mapping[str, Any]) -> dict[Scale, Mapping[str, Any]]:
    """Sizes of the three scales: the paper's own are not known to us, and its scale is our full one."""
    return {"quick": quick, "full": full, "paper": full}


def children(seed: int, count: int) -> list[int]:
    """Seeds of ``count`` independent repetitions."""
    return [int(child) for child in np.random.SeedSequence(seed).generate_state(count)]


def batch_of(kind: str, n: int, seed: int) -> Tensor:
    """Points (n, 64): "gaussian", independent standard normal numbers, or "digits", different handwritten ones."""
    if kind == "digits":
        return data.digits(count=n, seed=seed).inputs.flatten(1)
    return torch.randn(n, _FEATURES, generator=torch.Generator().manual_seed(seed))


def described(grams: Tensor) -> pd.DataFrame:
    """What `odd_point` says of Gram matrices (count, n, n), one row each."""
    odd = odd_point(grams)
    return pd.DataFrame(
        {
            "odd_index": odd.index.numpy(),
            "score": odd.score.numpy(),
            "odd_cosine": odd.cosine.numpy(),
            "cluster_cosine": odd.cluster_cosine.numpy(),
            "norm_ratio": odd.norm_ratio.numpy(),
        }
    )


def watch(
    inputs: Tensor,
    *,
    width: int,
    depth: int,
    seed: int,
    recenter: bool = True,
    rescale: bool = False,
    depths: Sequence[int] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """One random network: `described` at ``depths``, some twenty from 0 to ``depth`` if not given."""
    at = sorted({round(t) for t in np.linspace(0, depth, _RECORDED + 1)}) if depths is None else list(depths)
    found = simulate.random_network(
        inputs, width, depth, recenter=recenter, rescale=rescale, seed=seed, depths=at, is_gram=False, **options
    )
    rows = described(found.gram[0])
    rows.insert(0, "depth", found.depths)
    return rows


def watch_many(kind: str, n: int, networks: int, seed: int, **options: Any) -> pd.DataFrame:
    """`watch` of many networks, each with a batch of its own; column ``network`` tells them apart."""
    frames = []
    for network, (of_batch, of_weights) in enumerate(np.reshape(children(seed, 2 * networks), (networks, 2)).tolist()):
        rows = watch(batch_of(kind, n, of_batch), seed=of_weights, **options)
        rows.insert(0, "network", network)
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def at_the_end(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last depth."""
    last: pd.DataFrame = table[table["depth"] == table["depth"].max()]
    return last


def has_odd_point(table: pd.DataFrame, score: float) -> pd.Series[bool]:
    """Row by row; a batch that cannot be scored has none."""
    return table["score"] >= score


def share(table: pd.DataFrame, score: float, confidence: float) -> Estimate:
    """The fraction of rows with an odd point, its interval exact; rows must be independent networks."""
    return proportion(int(has_odd_point(table, score).sum()), len(table), confidence)
