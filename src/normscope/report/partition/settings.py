"""What `normscope partition` is to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from normscope.loading import one_line
from normscope.models import ACTIVATIONS
from normscope.report.norms import SWITCHES

ACTIVATION_NAMES = tuple(name for name in ("leaky_relu", "relu", "abs") if name in ACTIVATIONS)
_NUMBERS = 3  # samples that a plane goes through


class PartitionError(ValueError):
    """A partition cannot be drawn. The message is one line: what was wrong, where, and what to do."""


@dataclass(frozen=True)
class PartitionSettings:
    """What to draw. Checked when made; messages name the options of the command line.

    Args:
        model: `normscope.loading.load_model`'s spec; None: the reference network.
        keywords: keyword arguments of what makes the model.
        weights: a checkpoint to load into it.
        data: `normscope.data.open_data`'s spec.
        data_options: options of the data.
        batch: how many samples are opened: the dots, and the batch of the statistics. None: 200, or all where the data
            holds fewer.
        samples: three of them, by number; the picture is of the plane through them. None: the input is 2-D.
        norms: "batch", "recenter", "rescale", "none": the parts of batch norm that are left, a picture each. None: of
            a model of the user's one picture, as it is; of the reference network "batch" and "none".
        width: units in each hidden layer of the reference network.
        depth: its hidden layers.
        activation: its activation.
        offsets: standard deviation of its random offsets.
        statistics: "batch": batch norms use the statistics of the opened batch; "running": those they hold. None:
            "batch" for the reference network, which holds none, "running" for the user's.
        extent: (xmin, xmax, ymin, ymax) in the plane's coordinates; None: the data and some space around.
        max_regions: no picture has more; what is done by then is drawn.
        seed: of weights, offsets and data.
        figure: what the figure shows that will be drawn (`write_figure`'s ``by``), so that networks of which it cannot
            be drawn are refused before the work. None: there will be none.

    Raises:
        PartitionError: settings that cannot run; says which, and what is possible.
    """

    model: str | None = None
    keywords: Mapping[str, object] = field(default_factory=dict)
    weights: str | None = None
    data: str = "two_moons"
    data_options: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    samples: tuple[int, ...] | None = None
    norms: tuple[str, ...] | None = None
    width: int = 6
    depth: int = 4
    activation: str = "leaky_relu"
    offsets: float = 0.5
    statistics: Literal["batch", "running"] | None = None
    extent: tuple[float, ...] | None = None
    max_regions: int = 200_000
    seed: int = 0
    figure: str | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("batch", self.batch, 2), ("width", self.width, 1), ("depth", self.depth, 1),
            ("max-regions", self.max_regions, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise PartitionError(f"--{name} {value}: at least {least}")
        if not 0 <= self.seed < 2**32:
            raise PartitionError(f"--seed {self.seed}: a seed is from 0 to 2³² − 1")
        if not 0 <= self.offsets < math.inf:
            raise PartitionError(f"--offsets {self.offsets:g}: a finite standard deviation, at least 0")
        if self.activation not in ACTIVATION_NAMES:
            raise PartitionError(
                f"--activation {one_line(self.activation)}: not known, or not piecewise affine; "
                f"choose from {', '.join(ACTIVATION_NAMES)}"
            )
        if self.statistics not in (None, "batch", "running"):
            raise PartitionError(f"--statistics {one_line(str(self.statistics))}: choose batch or running")
        if self.model is None and (self.keywords or self.weights):
            raise PartitionError("--kw and --weights are for a model of yours: name it, as pkg.module:factory")
        self._check_norms()
        self._check_plane()

    def _check_norms(self) -> None:
        for place, norm in enumerate(self.norms or ()):
            if norm not in SWITCHES:
                told = one_line(norm) or "''"
                raise PartitionError(f"--norm {told}: not known; choose from {', '.join(SWITCHES)}")
            if norm in (self.norms or ())[:place]:
                raise PartitionError(f"--norm {norm}: named twice")
        if self.norms == ():
            raise PartitionError(f"--norm: name at least one of {', '.join(SWITCHES)}")

    def _check_plane(self) -> None:
        if self.samples is not None:
            told = ",".join(map(str, self.samples))
            if len(self.samples) != _NUMBERS:
                raise PartitionError(f"--samples {told}: a plane goes through three samples, as --samples 0,1,2")
            for number in self.samples:
                if number < 0 or (self.batch is not None and number >= self.batch):
                    raise PartitionError(f"--samples {told}: {numbered(self.batch)}")
            if len(set(self.samples)) < _NUMBERS:
                raise PartitionError(f"--samples {told}: three different samples, or there is no plane through them")
        if self.extent is not None:
            told = ",".join(f"{value:g}" for value in self.extent)
            if len(self.extent) != 4:
                raise PartitionError(f"--extent {told}: four numbers, xmin,xmax,ymin,ymax")
            x0, x1, y0, y1 = self.extent
            if not all(map(math.isfinite, self.extent)):
                raise PartitionError(f"--extent {told}: all four are finite numbers")
            if not (x0 < x1 and y0 < y1):
                raise PartitionError(f"--extent {told}: the window is empty; xmin < xmax and ymin < ymax")


def numbered(batch: int | None) -> str:
    """How samples are numbered, for messages."""
    return "samples have numbers from 0 on" if batch is None else f"the {batch} samples have numbers 0 to {batch - 1}"


def parse_numbers(option: str, text: str, kind: type[int] | type[float], form: str) -> tuple[Any, ...]:
    """As many numbers as there are in ``form``, such as ``I,J,K``.

    Raises:
        PartitionError: one is none, or they are fewer or more.
    """
    parts, asked = text.split(","), form.split(",")
    told = f"{option} {one_line(text, 80)}: give {len(asked)} {'whole ' if kind is int else ''}numbers, {option} {form}"
    if len(parts) != len(asked):
        raise PartitionError(told)
    try:
        return tuple(map(kind, parts))
    except ValueError:
        raise PartitionError(told) from None
