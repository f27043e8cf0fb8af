"""How often batches end at each fixed point: the shares of its basin of attraction under a law of batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from normscope.system import free_bytes
from normscope.theory.activations.kernel import Array
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.layers.geometry import Geometry
from normscope.theory.layers.gram_map import GramMap
from normscope.theory.phases.phase import searched

if TYPE_CHECKING:
    import pandas as pd

_CLOSEST = 1e-2  # relative distance to a fixed point at which a batch counts as arrived, at most
_SHARE = 0.1  # of the distance to the nearest other fixed point
_CHECKED = 10  # layers between two looks
_COPIES = 10  # of all Gram matrices that one layer holds at most
NONE = -1


@dataclass(frozen=True)
class Basins:
    """Where batches went."""

    points: tuple[FixedPoint, ...]
    """The stable fixed points."""
    reached: NDArray[np.int64]
    """(batches,): index of the fixed point each batch came to; −1 where it came to none within the depth."""
    outlier: NDArray[np.int64]
    """(batches,): of fixed points with an odd point, which point of the batch it is; −1 else."""
    layers: NDArray[np.int64]
    """(batches,): layers until it was there; the depth where it never was."""

    @property
    def counts(self) -> list[int]:
        """Of batches at each fixed point, and last of those at none of them."""
        return [int(np.sum(self.reached == i)) for i in (*range(len(self.points)), NONE)]

    def share(self, index: int, confidence: float = 0.95) -> tuple[float, float, float]:
        """Share of the batches at one of ``points`` (−1: at none) and its Wilson interval (1927)."""
        count, total = int(np.sum(self.reached == index)), len(self.reached)
        interval = binomtest(count, total).proportion_ci(confidence, method="wilson")
        return count / total, float(interval.low), float(interval.high)

    def table(self, confidence: float = 0.95) -> pd.DataFrame:
        """A row a fixed point and one for none: kind, sizes, count, share, its interval, median layers to it."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for index, count in zip((*range(len(self.points)), NONE), self.counts, strict=True):
            share, low, high = self.share(index, confidence)
            there = self.layers[self.reached == index]
            kind, sizes = (self.points[index].kind, self.points[index].sizes) if index != NONE else ("none of them", ())
            row = {"kind": kind, "sizes": sizes, "count": count, "share": share, "low": low, "high": high}
            rows.append({**row, "median_layers": float(np.median(there)) if there.size else np.nan})
        return pd.DataFrame(rows)


def basins(
    layer: GramMap,
    grams: ArrayLike,
    depth: int = 3000,
    *,
    points: Sequence[FixedPoint] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Basins:
    """Follow batches through the layer until each is at a stable fixed point.

    A batch has arrived when, its points sorted by norm and put into the groups in turn, every squared norm and distance
    is within 1 % of the largest one from the fixed point's, or within a tenth of the way to the nearest other fixed
    point if that is less: saddles may be close.

    Args:
        layer: the map.
        grams: (batches, n, n).
        depth: layers after which a batch that is nowhere counts as none.
        points: all fixed points known: only the stable ones are counted, the others say how close is close. By default
            those of groups (k, n − k), k = 0, 1, 2, 3.
        progress: called with (layers done, depth).

    Raises:
        ValueError: no batch, or not Gram matrices; or the layer has no scale-free shape to compare.
    """
    if not layer.scale_free:
        raise ValueError(
            f"batches are compared up to scale, and without rescaling {layer.phi.name!r} does not leave it free"
        )
    array = np.asarray(grams, dtype=np.float64)
    if array.ndim != 3 or len(array) == 0:
        raise ValueError(f"batches come as (batches, n, n) Gram matrices, got shape {array.shape}")
    known = list(searched(layer, array.shape[-1], (0, 1, 2, 3)) if points is None else points)
    stable = [point for point in known if point.stable]
    nearness = [_nearness(point, known) for point in stable]
    reached, outlier = np.full(len(array), NONE), np.full(len(array), NONE)
    layers = np.full(len(array), depth)
    going = np.arange(len(array))
    now, _ = Geometry.from_gram(array).normalized()
    for done in range(depth + 1):
        if done % _CHECKED == 0 or done == depth:
            order = np.argsort(-now.variances, axis=-1, kind="stable")
            for index, (point, near) in enumerate(zip(stable, nearness, strict=True)):
                there = _distances(now, order, point) < near
                arrived = going[there]
                reached[arrived], layers[arrived] = index, done
                if point.kind == "odd":
                    outlier[arrived] = order[there, 0]
                now, going, order = _without(now, there), going[~there], order[~there]
            if progress is not None:
                progress(done, depth)
        if going.size == 0 or done == depth:
            break
        now, _ = layer.step(now).normalized()
    return Basins(tuple(stable), reached, outlier, layers)


def ensure_batches_fit(n: int, batches: int, dimension: int = 0) -> None:
    """Refuse batches that memory does not hold while `basins` follows them, before they are made.

    Args:
        n: points of a batch.
        batches: how many.
        dimension: of the points they are made from; 0 if these are not held at once.

    Raises:
        MemoryError: they need more than is free.
    """
    needed, free = 8 * batches * n * (_COPIES * n + dimension), free_bytes()
    if free is not None and needed > free:
        raise MemoryError(
            f"{batches} batches of {n} points need about {needed / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are "
            "free: take fewer batches or points"
        )


def gaussian_grams(n: int, dimension: int, batches: int, seed: int = 0) -> Array:
    """(batches, n, n): Gram matrices X Xᵀ/d of n standard normal points in d dimensions, a Wishart law.

    Raises:
        ValueError: a number below 1, or a negative seed.
        MemoryError: as `ensure_batches_fit`.
    """
    for name, value in (("n", n), ("dimension", dimension), ("batches", batches)):
        if value < 1:
            raise ValueError(f"{name} is at least 1, got {value}")
    if seed < 0:
        raise ValueError(f"a seed is a whole number from 0 on, got {seed}")
    ensure_batches_fit(n, batches, dimension)
    points = np.random.default_rng(seed).standard_normal((batches, n, dimension))
    return np.asarray(points @ np.swapaxes(points, -1, -2) / dimension)


def _expanded(point: FixedPoint) -> tuple[Array, Array]:
    """Squared norms (n,) and distances (n, n), the points in order of falling norm."""
    groups = point.groups.scaled(point.groups.sizes.sum() / point.groups.trace)
    order = np.argsort(-groups.variances, kind="stable")
    member = np.repeat(order, np.rint(groups.sizes[order]).astype(int))
    distances = groups.distances[np.ix_(member, member)].copy()
    np.fill_diagonal(distances, 0.0)
    return groups.variances[member], distances


def _nearness(point: FixedPoint, known: Sequence[FixedPoint]) -> float:
    v, d = _expanded(point)
    gaps = []
    for other in known:
        w, e = _expanded(other)
        gaps.append(max(np.abs(v - w).max(), np.abs(d - e).max()) / max(v.max(), d.max()))
    return float(min([_CLOSEST, *(_SHARE * gap for gap in gaps if gap > 0)]))


def _distances(now: Geometry, order: NDArray[np.int64], point: FixedPoint) -> Array:
    """(batches,): of each batch from the fixed point, relative to its largest squared norm or distance."""
    v, d = _expanded(point)
    variances = np.take_along_axis(now.variances, order, axis=-1)
    rows = np.take_along_axis(now.distances, order[..., :, None], axis=-2)
    distances = np.take_along_axis(rows, order[..., None, :], axis=-1)
    furthest = np.maximum(np.abs(variances - v).max(-1), np.abs(distances - d).max((-1, -2)))
    return np.asarray(furthest / max(v.max(), d.max()))


def _without(now: Geometry, gone: NDArray[np.bool_]) -> Geometry:
    return Geometry(now.variances[~gone], now.distances[~gone])
