"""One small study for all tests of the room, one in which the phenomena have room, and traces of given numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from normscope.report import Settings, Study, run_study
from normscope.tracing import Trace


@pytest.fixture(scope="session")
def study() -> Study:
    return run_study(Settings(seed=1, batch=12, depth=6, width=24, resnet_depth=8))


@pytest.fixture(scope="session")
def deep() -> Study:
    return run_study(Settings(seed=0, batch=32, depth=200, width=128, models=("mlp",)))


@pytest.fixture(scope="session")
def made() -> Callable[..., Trace]:
    """A trace of given numbers, without a network: quick, and of any size."""

    def make(layers: int = 12, batch: int = 16, channels: int = 6, seed: int = 0, **columns: object) -> Trace:
        generator = np.random.default_rng(seed)
        names = [f"blocks.{i // 3}.{('conv', 'norm', 'act')[i % 3]}" for i in range(layers)]
        points = generator.standard_normal((layers, batch, 8))
        depth = np.arange(layers)
        table = pd.DataFrame(
            {
                "layer": names, "kind": [("Conv2d", "BatchNorm2d", "ReLU")[i % 3] for i in range(layers)], "call": 0,
                "shape": [(batch, channels, 7, 7)] * layers, "mean": 0.1, "std": 1.0 + depth / layers,
                "dead_fraction": 0.0, "finite": True, "cos_mean": 0.2 + 0.1 * depth / layers,
                "effective_rank": batch / 2, "stable_rank": 3.0, "orthogonality_gap": 0.3, "isometry_gap": np.inf,
                "odd_index": depth % batch, "odd_cosine": 0.1, "cluster_cosine": 0.3, "odd_norm_ratio": 1.1,
                "odd_score": 0.05, "grad_norm": 2.0 - depth / layers, "grad_coherence": 0.2,
                **columns,
            }
        )  # fmt: skip
        keys = list(zip(table["layer"], table["call"], strict=True))
        grams = {key: x @ x.T / 8 for key, x in zip(keys, points, strict=True)}
        held = {
            key: {"mean": generator.standard_normal(channels), "std": generator.random(channels),
                  "dead": np.zeros(channels, dtype=bool)}
            for key in keys
        }  # fmt: skip
        return Trace(table, "Made", batch, True, 2.5, _grams=grams, _channels=held)

    return make
