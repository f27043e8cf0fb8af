"""Resizing, cropping, normalizing, and balanced choice, written out."""

from __future__ import annotations

import math

import torch


def enlarge(images: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear interpolation of square images to larger ones: pixel centres at half-integers, edges held."""
    native = images.shape[-1]
    result = torch.empty(len(images), size, size, dtype=torch.float64)
    for row in range(size):
        for column in range(size):
            y = min(max((row + 0.5) * native / size - 0.5, 0.0), native - 1.0)
            x = min(max((column + 0.5) * native / size - 0.5, 0.0), native - 1.0)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, native - 1), min(left + 1, native - 1)
            dy, dx = y - top, x - left
            result[:, row, column] = (
                (1 - dy) * (1 - dx) * images[:, top, left]
                + (1 - dy) * dx * images[:, top, right]
                + dy * (1 - dx) * images[:, bottom, left]
                + dy * dx * images[:, bottom, right]
            )
    return result


def class_counts(targets: list[int]) -> list[int]:
    """How many there are of each of the ten classes."""
    return [sum(target == label for target in targets) for label in range(10)]


def normalize(pixels: list[list[list[int]]], mean: list[float], std: list[float]) -> torch.Tensor:
    """One image of bytes, channels first, to [0, 1] and then by channel, pixel by pixel."""
    result = torch.empty(len(pixels), len(pixels[0]), len(pixels[0][0]), dtype=torch.float64)
    for channel, rows in enumerate(pixels):
        for y, row in enumerate(rows):
            for x, value in enumerate(row):
                result[channel, y, x] = (value / 255 - mean[channel]) / std[channel]
    return result


def balanced(targets: list[int], shuffled: list[int], count: int) -> list[int]:
    """The first ``count`` of ``shuffled`` when dealt in rounds of one of every class, in the order of the shuffling."""
    left, dealt = list(shuffled), []
    while len(dealt) < count:
        seen: set[int] = set()
        for index in list(left):
            if targets[index] not in seen:
                seen.add(targets[index])
                dealt.append(index)
                left.remove(index)
    return dealt[:count]
