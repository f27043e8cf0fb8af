"""Points drawn for a study."""

from __future__ import annotations

import torch

from normscope.data.dataset import Dataset, require_at_least, seeded


def gaussian(count: int, features: int, *, classes: int = 10, seed: int = 0) -> Dataset:
    """``x_i ~ N(0, I)``: independent standard normal points. There is nothing to learn in the labels.

    Two points have cosine 0 on average, with standard deviation ``1/√features``. The labels are independent of
    the points and as equal in number as ``count`` allows: they are there to give a loss something to pull on.

    Args:
        count: number of points, n.
        features: number of features, d.
        classes: number of labels.
        seed: decides points and labels.

    Returns:
        inputs ``(n, d)`` float32, targets ``(n,)`` int64 in 0 … classes − 1.

    Raises:
        TypeError: an argument is not an integer.
        ValueError: ``count``, ``features`` or ``classes`` is below 1, or the seed does not fit in 32 bits.
    """
    require_at_least(1, count=count, features=features, classes=classes)
    generator = seeded(seed)
    inputs = torch.randn(count, features, generator=generator, dtype=torch.float32, device="cpu")
    targets = torch.randperm(count, generator=generator, device="cpu") % classes
    description = f"{count} independent standard normal points in {features} dimensions, labelled at random"
    return Dataset(inputs, targets, "gaussian", description)


def two_moons(count: int, *, noise: float = 0.1, seed: int = 0) -> Dataset:
    """``(cos t, sin t)`` and ``(1 − cos t, 1/2 − sin t)``, 0 ≤ t ≤ π: two interleaved half circles, two classes.

    Args:
        count: number of points, n; the classes differ by one point when it is odd.
        noise: standard deviation of the normal noise added to both coordinates.
        seed: decides the order and the noise.

    Returns:
        inputs ``(n, 2)`` float32, not normalized; targets ``(n,)`` int64 in {0, 1}.

    Raises:
        TypeError: ``count`` or the seed is not an integer, or the noise no number.
        ValueError: ``count`` is below 1, the noise is negative or not finite, or the seed does not fit in 32 bits.

    Source: ``sklearn.datasets.make_moons``.
    """
    require_at_least(1, count=count)
    if isinstance(noise, bool | str):  # of a command line; comparing would complain of "<="
        raise TypeError(f"noise must be a number, got {noise!r}")
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be a finite standard deviation of at least 0, got {noise}")
    from sklearn.datasets import make_moons

    points, labels = make_moons(count, noise=float(noise), random_state=seeded(seed).initial_seed())
    inputs = torch.tensor(points, dtype=torch.float32, device="cpu")  # shape: (n, 2)
    targets = torch.tensor(labels, dtype=torch.int64, device="cpu")
    description = f"{count} points on two interleaved half circles, with normal noise of {noise:g}"
    return Dataset(inputs, targets, "two_moons", description)
