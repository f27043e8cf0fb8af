"""Slow, obvious twins of the gradient probes: loops over samples, positions, entries, pairs; numpy, float64."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


def conv_terms(
    inputs: Array,
    deltas: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """Every term of every entry, (terms, out, in / groups, *kernel): one product each."""
    widths = [(0, 0), (0, 0), *((p, p) for p in padding)]
    padded = np.pad(inputs, widths)
    n, out = deltas.shape[:2]
    inner = inputs.shape[1] // groups
    positions = list(itertools.product(*map(range, deltas.shape[2:])))
    terms = np.zeros((n * len(positions), out, inner, *kernel))
    for t, (sample, place) in enumerate(itertools.product(range(n), positions)):
        for o, i in itertools.product(range(out), range(inner)):
            channel = (o // (out // groups)) * inner + i
            for k in itertools.product(*map(range, kernel)):
                at = tuple(q * s + j * d for q, s, j, d in zip(place, stride, k, dilation, strict=True))
                terms[(t, o, i, *k)] = deltas[(sample, o, *place)] * padded[(sample, channel, *at)]
    return terms


def linear_terms(inputs: Array, deltas: Array) -> Array:
    x, g = inputs.reshape(-1, inputs.shape[-1]), deltas.reshape(-1, deltas.shape[-1])
    return np.array([np.outer(delta, row) for row, delta in zip(x, g, strict=True)])


def output_metrics(g: Array, labels: Sequence[int]) -> dict[str, float]:
    """The metrics of the output gradient, row by row and pair by pair."""
    n, classes = g.shape
    wrong = [[j for j in range(classes) if j != labels[b]] for b in range(n)]
    winners = [max(wrong[b], key=lambda j, b=b: (g[b, j], -j)) for b in range(n)]
    largest = max(range(classes), key=lambda j: (winners.count(j), -j))
    eligible = sum(label != largest for label in labels)
    columns = [sum(max(g[b, j], 0.0) for b in range(n)) for j in range(classes)]
    cosines, correlations = [], []
    for b, c in itertools.combinations(range(n), 2):
        common = sorted(set(wrong[b]) & set(wrong[c]))
        u, v = g[b, common], g[c, common]
        cosines.append(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
        correlations.append(np.corrcoef(u, v)[0, 1] if classes >= 5 else math.nan)
    squares = np.linalg.svd(g, compute_uv=False) ** 2
    return {
        "largest_class": largest,
        "largest_share": winners.count(largest) / eligible,
        "positive_share": max(columns) / sum(columns),
        "cosine": float(np.mean(cosines)),
        "correlation": float(np.mean(correlations)),
        "rank_one_energy": float(squares[0] / squares.sum()),
    }


def tails(x: Array, tail: float) -> dict[str, float]:
    q = [np.quantile(x, k / 8) for k in range(9)]
    ordered = sorted(np.abs(x), reverse=True)
    k = min(max(1, round(tail * len(x))), len(x) - 1)
    scale = (q[6] - q[2]) / 1.3489795003921634
    return {
        "scale": float(scale),
        "octile_kurtosis": float((q[7] - q[5] + q[3] - q[1]) / (q[6] - q[2])),
        "quantile_ratio": float((np.quantile(x, 0.975) - np.quantile(x, 0.025)) / (q[6] - q[2])),
        "extreme_ratio": float(ordered[0] / scale),
        "tail_index": 1 / float(np.mean([math.log(value / ordered[k]) for value in ordered[:k]])),
    }


def gradient_noise(g: Array) -> float:
    mean = g.mean(0)
    return float(np.mean([np.sum((row - mean) ** 2) for row in g]))


def in_double(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).double()


def weight_gradients(model: nn.Module, loss: Callable[[Any], Tensor], inputs: Tensor) -> dict[str, Tensor]:
    """Plain autograd on a float64 copy: the gradient of every parameter."""
    model = in_double(model)
    loss(model(inputs.double())).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def loss_after_step(model: nn.Module, loss: Callable[[Any], Tensor], inputs: Tensor, size: float) -> float:
    """A step of torch's own optimizer on a float64 copy, and the loss afterwards."""
    start = in_double(model)
    loss(start(inputs.double())).backward()
    moved = in_double(model)
    for parameter, source in zip(moved.parameters(), start.parameters(), strict=True):
        parameter.grad = source.grad
    torch.optim.SGD(moved.parameters(), lr=size).step()
    return loss(moved(inputs.double())).item()
