"""What is read off the edges of a partition: how dense they are near the data, and by how much boundaries turn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from normscope import spline

Array = NDArray[np.float64]

_APART = 2.0  # radii: discs elsewhere do not meet those around data
_SHORT = 1e-6  # of the window's side: edges whose direction is rounding


def near_and_elsewhere(
    cut: spline.Partition, points: Array, radius: float, discs: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Mean number of units of each fold that cross a disc: around the data, and elsewhere in the window.

    Args:
        cut: the partition of a slice.
        points: where the data are in it, (n, 2).
        radius: of the discs.
        discs: how many elsewhere, uniform in the window but for two radii around data.
        generator: draws these.

    Returns:
        Columns layer (1, 2, …), near, elsewhere.
    """
    low, high = np.array(cut.extent[::2]) + radius, np.array(cut.extent[1::2]) - radius
    drawn = generator.uniform(low, high, (4 * discs, 2))
    apart = cKDTree(points).query(drawn)[0] > _APART * radius
    near, elsewhere = (
        spline.disc_complexity(cut, centers, radius).counts.mean(0) for centers in (points, drawn[apart][:discs])
    )
    return pd.DataFrame({"layer": np.arange(len(near)) + 1, "near": near, "elsewhere": elsewhere})


def crossings(cut: spline.Partition) -> pd.DataFrame:
    """Where the boundary of a unit crosses that of a unit of an earlier fold, and turns. One row a crossing.

    Columns: vertex; fold and unit that turn; first and second, the two edges of it; ``turn``, the angle by which it
    turns there, 0 to π, from the edges alone; earlier_fold and earlier_unit.
    """
    edges = cut.edges
    ends = cut.vertices[edges[["start", "end"]].to_numpy()]
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    side = max(cut.extent[1] - cut.extent[0], cut.extent[3] - cut.extent[2])
    kept = np.flatnonzero((edges["fold"] >= 0) & (length > _SHORT * side))
    direction = along[kept] / length[kept, None]
    halves = pd.DataFrame(
        {
            "vertex": edges[["start", "end"]].to_numpy()[kept].T.ravel(),
            "fold": np.tile(edges["fold"].to_numpy()[kept], 2),
            "unit": np.tile(edges["unit"].to_numpy()[kept], 2),
            "edge": np.tile(kept, 2),
            "dx": np.concatenate([direction[:, 0], -direction[:, 0]]),
            "dy": np.concatenate([direction[:, 1], -direction[:, 1]]),
        }
    )
    return _turning(halves)


def _turning(halves: pd.DataFrame) -> pd.DataFrame:
    """From half edges (at their vertex, pointing away) to pairs of one unit where an earlier fold passes."""
    halves = halves.sort_values(["vertex", "fold", "unit"], kind="stable", ignore_index=True)
    pair = halves.groupby(["vertex", "fold", "unit"])["edge"].transform("size") == 2
    halves = halves[pair]
    one, two = halves.iloc[::2].reset_index(drop=True), halves.iloc[1::2].reset_index(drop=True)
    cross = one["dx"] * two["dy"] - one["dy"] * two["dx"]
    straight = -(one["dx"] * two["dx"] + one["dy"] * two["dy"])
    turns = one[["vertex", "fold", "unit"]].assign(
        first=one["edge"], second=two["edge"], turn=np.arctan2(cross.abs(), straight)
    )
    lowest = turns.sort_values("fold", kind="stable").drop_duplicates("vertex").set_index("vertex")
    turns["earlier_fold"] = lowest["fold"].loc[turns["vertex"]].to_numpy()
    turns["earlier_unit"] = lowest["unit"].loc[turns["vertex"]].to_numpy()
    return turns[turns["earlier_fold"] < turns["fold"]].reset_index(drop=True)
