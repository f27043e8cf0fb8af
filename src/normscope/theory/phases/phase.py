"""Phase diagram: which fixed points there are and which attract, over batch sizes, parts of a layer, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normscope.theory.activations.activation import Activation, activation
from normscope.theory.groups.fixed_point import FixedPoint, listing_order
from normscope.theory.layers.gram_map import GramMap

if TYPE_CHECKING:
    import pandas as pd

SIZES = (4, 6, 7, 16, 51, 52, 64, 128)
COMBINATIONS = ((False, False), (True, False), (False, True), (True, True))
ACTIVATIONS = ("linear", "relu")


class Setting(NamedTuple):
    """One cell of the diagram."""

    recenter: bool
    rescale: bool
    activation: str
    n: int


def phase_diagram(
    sizes: Sequence[int] = SIZES,
    combinations: Sequence[tuple[bool, bool]] = COMBINATIONS,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    *,
    first: Sequence[int] = (0, 1, 2),
    progress: Callable[[int, int, Setting], None] | None = None,
) -> pd.DataFrame:
    """A row for every fixed point found, and one of kind "none" for each setting that has none.

    Columns: recenter, rescale, activation, n; kind, sizes, stable, attraction, saddle, rate (spectral radius: what is
    left of a small deviation after one layer), layers_to_shrink (by e; inf where it does not), unstable_directions,
    cosine_within (of the largest group) and cosine_across (nan where there is one group), norm_ratio (of the first
    group over the last), family (of a continuum), note (why nothing was searched).

    Args:
        sizes: batch sizes.
        combinations: (recenter, rescale) pairs.
        activations: as of `GramMap`. "linear" is no activation.
        first: sizes k of the first group; the groups searched are (k, n − k), and 0 is one group of all points.
        progress: called before each setting with (settings done, of how many, the next).

    Raises:
        ValueError: an unknown activation, or n < 2.
    """
    import pandas as pd

    phis = [activation(spec) for spec in activations]
    grid = list(product(phis, combinations, sizes))
    rows: list[dict[str, Any]] = []
    for done, (phi, (recenter, rescale), n) in enumerate(grid):
        setting = Setting(recenter, rescale, phi.name, n)
        if progress is not None:
            progress(done, len(grid), setting)
        rows += _rows(setting, GramMap(recenter, rescale, phi), first)
    return pd.DataFrame(rows)


def searched(layer: GramMap, n: int, first: Sequence[int] = (0, 1, 2)) -> list[FixedPoint]:
    """The fixed points of groups (k, n − k), k in ``first``, each once; those that attract come first.

    Raises:
        ValueError: as `GramMap.fixed_points`.
    """
    found: list[FixedPoint] = []
    for k in first:
        if k > n // 2 or (k and n == 2 and layer.recenter):
            continue
        for point in layer.fixed_points(n, (n,) if k == 0 else (k, n - k)):
            if not any(_same(point, other) for other in found):
                found.append(point)
    return sorted(found, key=listing_order)


def _same(one: FixedPoint, other: FixedPoint) -> bool:
    """Continua are found for any group sizes."""
    alike = one.sizes == other.sizes and one.family == other.family
    return alike and np.allclose(one.groups.distances, other.groups.distances, rtol=1e-9, atol=1e-12)


def _rows(setting: Setting, layer: GramMap, first: Sequence[int]) -> list[dict[str, Any]]:
    try:
        points = searched(layer, setting.n, first)
    except ValueError as error:
        if layer.rescale and layer.phi.degree is None:  # the one refusal that belongs to a cell, not to the question
            return [setting._asdict() | _empty(str(error))]
        raise
    return [setting._asdict() | _row(point) for point in points] or [setting._asdict() | _empty("")]


def _row(point: FixedPoint) -> dict[str, Any]:
    cosines, last = point.cosines, len(point.sizes) - 1
    return {
        "kind": point.kind,
        "sizes": point.sizes,
        "stable": point.stable,
        "attraction": point.attraction,
        "saddle": point.saddle,
        "rate": point.rate,
        "layers_to_shrink": point.layers_to_shrink,
        "unstable_directions": point.unstable_directions,
        "cosine_within": float(cosines[last, last]),
        "cosine_across": float(cosines[0, last]) if last else np.nan,
        "norm_ratio": float(point.norm_ratios[0]),
        "family": point.family,
        "note": "",
    }


def _empty(note: str) -> dict[str, Any]:
    blank = {"kind": "none", "sizes": (), "stable": False, "attraction": "none", "saddle": False}
    numbers = dict.fromkeys(("rate", "layers_to_shrink", "cosine_within", "cosine_across", "norm_ratio"), np.nan)
    return {**blank, **numbers, "unstable_directions": 0, "family": "", "note": note}
