"""Partitions of networks by their offsets: of the plane of two moons, and of planes through three digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from normscope import data, spline
from normscope.claims.balestriero2022.edges import crossings, near_and_elsewhere
from normscope.claims.balestriero2022.setting import children, perceptron
from normscope.claims.claim import Observation

Array = NDArray[np.float64]

SETS: Final = {"moons": "two moons, the whole plane", "digits": "digits, planes through three"}
OFFSETS: Final = ("batch", "recenter", "shifted", "random", "zero")

_REACH: Final = 3.0  # of the window around moons, in root mean squared distances of the data from their mean
_TRIANGLE: Final = 2.0  # of the window around three digits, in their largest distance from their centre


class View(NamedTuple):
    """A batch, and the window of a plane through it."""

    batch: Tensor
    plane: spline.Plane | None
    extent: tuple[float, float, float, float]
    points: Array  # where the data are in the plane, (n, 2)


def view(kind: str, count: int, seed: int, size: int = 8) -> View:
    """Two moons in the window around their mean, or the first three of some digits in the plane through them."""
    if kind == "moons":
        batch = data.two_moons(count, seed=seed).inputs.double()
        spread = float((batch - batch.mean(0)).square().sum(1).mean().sqrt())
        return View(batch, None, _around(batch.mean(0).tolist(), _REACH * spread), batch.numpy())
    batch = data.digits(size, count=count, seed=seed).inputs.double()
    axes, points = spline.plane_through(*batch[:3])
    centre = points.mean(0)
    reach = _TRIANGLE * float(np.linalg.norm(points - centre, axis=1).max())
    return View(batch, spline.Plane(*axes), _around(centre.tolist(), reach), points)


def _around(centre: Sequence[float], reach: float) -> tuple[float, float, float, float]:
    x, y = centre
    return x - reach, x + reach, y - reach, y + reach


def cut_of(shown: View, offsets: str, width: int, depth: int, seed: int, activation: str = "relu") -> spline.Partition:
    """The partition of a view by a perceptron, batch norm at the statistics of the batch."""
    network = perceptron(offsets, shown.batch[0].numel(), width, depth, seed, activation)
    program = spline.read(network, shown.batch[0], batch=shown.batch)
    return spline.partition(program, shown.plane, shown.extent)


def _observe(
    *, seed: int, samples: int, width: int, depth: int, networks: int, radii: Sequence[float], discs: int
) -> pd.DataFrame:
    """One row a data set, network, offsets and layer: near, elsewhere, turn (radians; NaN in layer 1).

    ``radii`` of discs, of each data set, are in units of half the window's side.
    """
    tables = []
    for network, child in enumerate(children(seed, networks)):
        for kind, radius in zip(SETS, radii, strict=True):
            shown = view(kind, samples, child)
            reach = (shown.extent[1] - shown.extent[0]) / 2
            for offsets in OFFSETS:
                cut = cut_of(shown, offsets, width, depth, child)
                generator = np.random.default_rng(child)
                rows = near_and_elsewhere(cut, shown.points, radius * reach, discs, generator)
                turns = crossings(cut).groupby("fold")["turn"].mean()
                rows["turn"] = turns.reindex(range(depth)).to_numpy(dtype=np.float64)
                tables.append(rows.assign(data=kind, network=network, offsets=offsets, regions=len(cut)))
    return pd.concat(tables, ignore_index=True)


OBSERVATION: Final = Observation("balestriero2022.slices", _observe)
