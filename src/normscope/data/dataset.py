"""What every data set of this room is, and the checks that they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

_SEEDS = 2**32  # scikit-learn's generators take 32-bit seeds; one range for all is easier to remember


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named set of inputs with their labels. Unpacks as a pair: ``inputs, targets = digits()``.

    Attributes:
        inputs: float32, batch first: ``(n, channels, height, width)`` for images, ``(n, features)`` for points.
        targets: int64 labels, ``(n,)``.
        name: the word that :func:`normscope.data.load` knows it by.
        description: one sentence on what the numbers are, for captions.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    name: str
    description: str

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield self.inputs
        yield self.targets


def require_at_least(minimum: int, **sizes: int) -> None:
    """Check that every keyword is an integer of at least ``minimum``.

    Raises:
        TypeError: a value is not an integer; the message names the keyword.
        ValueError: a value is too small; the message names the keyword and the limit.
    """
    for name, value in sizes.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}, got {value}")


def seeded(seed: int) -> torch.Generator:
    """A generator of its own for ``seed``, so that the global one is left alone.

    Raises:
        TypeError: the seed is not an integer.
        ValueError: the seed is negative or needs more than 32 bits.
    """
    require_at_least(0, seed=seed)
    if seed >= _SEEDS:
        raise ValueError(f"seed must be less than 2**32, got {seed}")
    return torch.Generator().manual_seed(int(seed))


def balanced_choice(targets: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Indices of a random subset, dealt in rounds of one sample of every class that still has any.

    Args:
        targets: the labels, ``(n,)`` int64, not negative.
        count: size of the subset.
        generator: what draws.

    Returns:
        ``(count,)`` int64; a smaller subset is the beginning of a larger one.

    Raises:
        TypeError: the count is not an integer.
        ValueError: it is below 1 or above n.
    """
    require_at_least(1, count=count)
    available = len(targets)
    if count > available:
        raise ValueError(f"count must be at most {available}, the size of the set, got {count}")
    shuffled = torch.randperm(available, generator=generator, device="cpu")
    labels = targets[shuffled]
    by_class = labels.argsort(stable=True)
    per_class = labels.bincount()
    first_of_class = per_class.cumsum(0) - per_class
    round_of = torch.empty_like(shuffled)  # the k-th sample of its class is dealt in round k
    round_of[by_class] = torch.arange(available, device="cpu") - first_of_class[labels[by_class]]
    return shuffled[round_of.argsort(stable=True)[:count]]
