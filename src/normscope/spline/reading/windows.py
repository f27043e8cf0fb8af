"""Which numbers a maximum is taken of: windows of max pooling, and dimensions that a maximum runs over."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def pooling_windows(
    shape: Sequence[int],
    output: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Integers:
    """Flat indices into ``shape`` that each output is the maximum of; −1 where a window lies on the padding.

    Along a pooled dimension output o covers ``o · stride − padding + k · dilation`` for k below the kernel's size.

    Args:
        shape: of one sample, the pooled dimensions last.
        output: sizes of the output in the pooled dimensions (``ceil_mode`` is in them).
        kernel: sizes of the window.
        stride: steps between windows.
        padding: entries added at either side.
        dilation: steps within a window.

    Returns:
        shape (outputs, entries of a window), outputs in the order of the flattened output.
    """
    axes = []
    for size, outputs, *steps in zip(shape[-len(output) :], output, kernel, stride, padding, dilation, strict=True):
        width, step, before, gap = steps
        covered = np.arange(outputs)[:, None] * step - before + np.arange(width) * gap
        axes.append(np.where((covered >= 0) & (covered < size), covered, -1))
    return _products(shape, axes)


def adaptive_windows(shape: Sequence[int], output: Sequence[int]) -> Integers:
    """The same for adaptive pooling: output o of O covers ``⌊o L / O⌋ … ⌈(o + 1) L / O⌉ − 1`` of L entries."""
    axes = []
    for size, outputs in zip(shape[-len(output) :], output, strict=True):
        first = np.arange(outputs) * size // outputs
        last = -(-(np.arange(outputs) + 1) * size // outputs)
        covered = first[:, None] + np.arange(int((last - first).max(initial=0)))
        axes.append(np.where(covered < last[:, None], covered, -1))
    return _products(shape, axes)


def reduction_windows(shape: Sequence[int], dims: Sequence[int]) -> Integers:
    """Flat indices that a maximum over ``dims`` of ``shape`` is taken of, shape (outputs, entries)."""
    kept = [dim for dim in range(len(shape)) if dim not in dims]
    indices = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *dims)
    return indices.reshape(math.prod(shape[dim] for dim in kept), -1)


def _products(shape: Sequence[int], axes: Sequence[Integers]) -> Integers:
    """Windows in all pooled dimensions from those in each, shapes (outputs, entries), for every leading index."""
    pooled = len(axes)
    leading = math.prod(shape[: len(shape) - pooled])
    flat = np.zeros((leading, *(1,) * 2 * pooled), dtype=np.int64)
    flat += np.arange(leading).reshape(-1, *(1,) * 2 * pooled)
    outside = np.zeros((1,) * (2 * pooled + 1), dtype=bool)
    for number, (size, covered) in enumerate(zip(shape[len(shape) - pooled :], axes, strict=True)):
        # outputs in dimensions 1 … pooled, entries of a window in those behind
        layout = [1] * (2 * pooled + 1)
        layout[1 + number], layout[1 + pooled + number] = covered.shape
        index = covered.reshape(layout)
        flat = flat * size + index
        outside = outside | (index < 0)
    flat = np.where(outside, -1, flat)
    return flat.reshape(-1, math.prod(covered.shape[1] for covered in axes))


def broadened(sizes: Sequence[int], dims: int) -> tuple[int, ...]:
    """One size for every pooled dimension, where torch takes one for all."""
    sizes = tuple(sizes)
    return sizes * dims if len(sizes) == 1 else sizes
