"""Real images that need no download: scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn.functional import interpolate

from normscope.data.dataset import Dataset, balanced_choice, require_at_least, seeded

_NATIVE_SIZE = 8


def digits(size: int = 8, channels: int = 1, *, count: int | None = None, seed: int = 0) -> Dataset:
    """``(x − μ) / σ``: 1797 real handwritten digits, resized and normalized by one mean and one deviation.

    The images are 8 × 8 with grey levels 0 … 16. They are brought to ``size × size`` by bilinear interpolation
    (antialiased where that shrinks them), and ``channels`` equal copies are made of each. μ and σ are the mean and
    the standard deviation of all pixels of all 1797 images at the asked size, whatever ``count`` is, so that the
    whole set has mean 0 and variance 1. At size 8, μ = 4.884 and σ = 6.017; at size 32, μ = 4.884 and σ = 5.178
    (interpolation smooths); ``description`` has the numbers of other sizes.

    Args:
        size: height and width in pixels.
        channels: number of equal channels.
        count: how many images; None for all 1797 in the set's own order. A subset is random and as balanced as
            the set allows: the first ten images hold each class once, so do the next ten, and so on. So 10 or
            more images have all ten classes, and fewer than 10 are of different classes. (After 1740 images the
            rarest class has run out.) With one seed, a smaller subset is the beginning of a larger one.
        seed: decides the subset, and nothing else.

    Returns:
        inputs ``(count, channels, size, size)`` float32, targets ``(count,)`` int64 in 0 … 9.

    Raises:
        TypeError: a size, count or seed is not an integer.
        ValueError: ``size``, ``channels`` or ``count`` is below 1, ``count`` is above 1797, or the seed does not
            fit in 32 bits.

    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI; the test half, as
    ``sklearn.datasets.load_digits`` has it.
    """
    require_at_least(1, size=size, channels=channels)
    generator = seeded(seed)
    images, targets = _load()
    mean, std = _moments_after_resizing(images, size)
    if count is not None:
        chosen = balanced_choice(targets, count, generator)
        images, targets = images[chosen], targets[chosen]
    resized = interpolate(images, size=(size, size), mode="bilinear", antialias=size < _NATIVE_SIZE)
    inputs = ((resized - mean) / std).float().repeat(1, channels, 1, 1)  # shape: (n, channels, size, size)
    brought = "" if size == _NATIVE_SIZE else f" brought to {size}×{size}"
    description = (
        f"{len(targets)} real handwritten digits, {_NATIVE_SIZE}×{_NATIVE_SIZE}{brought}, "
        f"less the mean {mean:.3f} and divided by the standard deviation {std:.3f} of the whole set's grey levels"
    )
    return Dataset(inputs, targets.clone(), "digits", description)  # a clone: the loaded labels are kept


@lru_cache(maxsize=1)
def _load() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float64, device="cpu").unsqueeze(1)  # shape: (1797, 1, 8, 8)
    return images, torch.tensor(bunch.target, dtype=torch.int64, device="cpu")


def _moments_after_resizing(images: torch.Tensor, size: int) -> tuple[float, float]:
    """Mean and standard deviation of all images at ``size``, without resizing them all.

    Resizing is ``y = A x Aᵀ`` with A ``(size, 8)``, so with ``a = Aᵀ1`` and ``M = AᵀA`` the pixels of y sum to
    ``aᵀ x a`` and their squares to ``⟨x, M x M⟩``. Thirty-two images of 1024 × 1024 then cost no gigabytes.
    """
    identity = torch.eye(_NATIVE_SIZE, dtype=torch.float64, device="cpu")[None, None]
    rows_only = (size, _NATIVE_SIZE)
    resize = interpolate(identity, size=rows_only, mode="bilinear", antialias=size < _NATIVE_SIZE)[0, 0]
    column_sums, gram = resize.sum(0), resize.T @ resize
    pixels = images.shape[0] * size**2
    mean = float((images @ column_sums @ column_sums).sum() / pixels)
    mean_square = float((images * (gram @ images @ gram)).sum() / pixels)
    return mean, float((mean_square - mean**2) ** 0.5)
