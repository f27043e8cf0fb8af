"""Traces made by hand, so that every number in them is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from normscope import Trace

NAN, INF = float("nan"), float("inf")
COLUMNS = (
    "layer", "kind", "call", "shape", "mean", "std", "dead_fraction", "finite", "cos_mean", "effective_rank",
    "odd_index", "odd_score", "grad_norm", "sparsity",
)  # fmt: skip
ROWS = (
    ("stem", "Conv2d", 0, (3, 8, 4, 4), 0.00123456, 0.999999, 0.0, True, 0.5, 2.4142, 1, 0.25, 1234567.0, 0.5),
    ("body.0.norm", "BatchNorm2d", 0, (3, 8, 4, 4), -3e-9, 1.0, 0.125, True, -0.25, 3.0, 0, 0.0625, 98765.4, 0.0),
    ("body.0.act", "ReLU", 0, (3, 8, 4, 4), 0.4, 0.6, 0.0, True, 1.0, 1.0, -1, NAN, 99.96, 1.0),
    ("body.0.act", "ReLU", 1, (3, 8, 4, 4), 1e-30, 0.0, 1.0, True, NAN, NAN, -1, NAN, 0.0, 0.000123),
    ("a.very.long.name.of.a.layer.that.goes.on.and.on.attention.query", "Linear", 0, (5,), -12.5, 1e30, 0.0, True,
     NAN, NAN, -1, NAN, NAN, NAN),
    ("<img src=x onerror=alert(1)>\x1b[31m", "Evil & Sons", 0, (3, 2), INF, NAN, NAN, False,
     NAN, NAN, -1, NAN, NAN, NAN),
    ("head", "Linear", 0, (), NAN, NAN, 0.0, False, NAN, NAN, -1, NAN, 1.0, 7.0),
)  # fmt: skip


def points(seed: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((3, 7))


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T / x.shape[1]


def by_hand(**changes: Any) -> Trace:
    """Seven layer calls of a batch of three, with everything in them that is hard to print."""
    fields: dict[str, Any] = {
        "table": pd.DataFrame(ROWS, columns=list(COLUMNS)),
        "model": "Net<T>",
        "batch": 3,
        "training": True,
        "loss": 2.302585,
        "seed": 5,
        "notes": ("torch.compile wrapper removed: watched eagerly",),
        "_grams": {("stem", 0): gram(points(0)), ("body.0.act", 1): np.zeros((3, 3))},
        "_channels": {
            ("stem", 0): {
                "mean": np.arange(8.0),
                "std": np.linspace(0, 1, 8),
                "dead": np.array([True, *[False] * 7]),
            }
        },
    }
    return Trace(**{**fields, **changes})


def deep(rows: int, **columns: Any) -> Trace:
    """``rows`` calls of blocks of a linear layer and an activation."""
    kinds = ("linear", "Linear"), ("activation", "ReLU")
    table = pd.DataFrame(
        {
            "layer": [f"blocks.{i // 2}.{kinds[i % 2][0]}" for i in range(rows)],
            "kind": [kinds[i % 2][1] for i in range(rows)],
            "call": 0,
            "shape": [(3, 7)] * rows,
            "std": 2.0 ** np.arange(rows) if rows < 500 else np.linspace(1, 2, rows),
            **columns,
        }
    )
    return Trace(table=table, model="Deep", batch=3, training=False)
