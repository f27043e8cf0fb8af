"""What regions are filled with: of each a number, and of each number its colour and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from normscope.spline.classes.labels import Labelled, labelled
from normscope.spline.pictures.colours import class_colours, layer_colours, pale, viridis
from normscope.spline.pictures.merging import apart, born_through, merged_regions

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

By = Literal["layer", "active", "class", "depth", "layer-regions"]

_COUNTS = 6  # of active units that a legend tells
_APART = 10  # colours that neighbours are told apart by


@dataclass(frozen=True, eq=False)
class Filling:
    """Of each region a number, and of each number a colour and a name.

    Attributes:
        values: (R,), from 0 on.
        colours: one a number.
        names: one a number; empty where a legend leaves it out.
        labels: where regions hold several classes and are divided.
        classes: colours of classes, for data; None where data are not to have them.
    """

    values: NDArray[np.int64]
    colours: list[str]
    names: list[str]
    labels: Labelled | None = None
    classes: list[str] | None = None


def filling_of(
    partition: Partition, by: By, last: int, layers: list[str], active_range: tuple[int, int] | None
) -> Filling | None:
    """What regions are filled with; None where they are not.

    Args:
        partition: whose regions.
        by: what they show.
        last: the last fold that counts.
        layers: names of all layers.
        active_range: lowest and highest count of active units that colours are for, whole numbers, lowest first; counts
            outside have the colour of the nearest, and names say so; by default those that occur.

    Raises:
        ValueError: classes of a model whose output is no vector, or of a partition that is not complete.
    """
    if by == "layer":
        return None
    if by == "class":
        return _by_class(partition)
    if by == "active":
        return _by_active(partition, last, active_range)
    if by == "depth":
        colours = [pale(colour) for colour in layer_colours(len(layers))]
        born = born_through(partition, last)
        return Filling(born + 1, ["#ffffff", *colours], ["" if (born >= 0).all() else "not cut", *layers[: last + 1]])
    colours = [pale(colour, 0.45) for colour in class_colours(_APART)]
    return Filling(apart(partition, merged_regions(partition, last), _APART), colours, [])


def active_counts(partition: Partition, last: int) -> NDArray[np.int64]:
    """Active units of folds 0 … ``last`` on each region, (R,)."""
    if last < 0 or last >= partition.folds_done - 1:
        counts: NDArray[np.int64] = partition.regions["active"].to_numpy()
        return counts
    through: NDArray[np.int64] = partition.active_through()[last]
    return through


def _by_active(partition: Partition, last: int, active_range: tuple[int, int] | None) -> Filling:
    if not any(fold.kinks for fold in partition.folds[: last + 1]):
        pools = any(fold.windows is not None for fold in partition.folds[: last + 1])
        name = "max pooling has no active units" if pools else "no layer has active units"
        return Filling(np.zeros(len(partition), np.int64), ["#ffffff"], [name])
    counts = active_counts(partition, last)
    fewest, most = (int(counts.min()), int(counts.max())) if active_range is None else active_range
    known = np.arange(fewest, most + 1)
    colours = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, len(known)))]
    told = set(np.linspace(fewest, most, min(_COUNTS, len(known))).round().astype(int).tolist())
    names = [f"{count} active" if count in told else "" for count in known.tolist()]
    below, above = bool((counts < fewest).any()), bool((counts > most).any())
    if below:
        names[0] = f"≤ {names[0]}"
    if above:
        names[-1] = "any number active" if below and fewest == most else f"≥ {names[-1]}"
    return Filling(np.clip(counts, fewest, most) - fewest, colours, names)


def _by_class(partition: Partition) -> Filling:
    if not partition.complete:
        raise ValueError("by='class': the partition was stopped before its last layer, so that no region has one yet")
    labels = labelled(partition)
    if labels is None:
        shape = "×".join(map(str, partition.program.output_shape))
        raise ValueError(
            f"by='class': the model gives no logits; its output has shape {shape} instead of one number a class"
        )
    colours, names = class_colours(labels.count), [f"class {k}" for k in range(labels.count)]
    return Filling(labels.classes, [pale(colour) for colour in colours], names, labels, colours)
