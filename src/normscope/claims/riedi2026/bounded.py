"""Bounded regions: a layer of random offsets has them, a centered one has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from normscope import data, spline, theory
from normscope.claims.axes import panels
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.riedi2026.setting import PAPER, children, scales
from normscope.claims.statistics import exact
from normscope.models import mlp
from normscope.system import BLACK, SKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARGIN: Final = 1.2  # the window reaches beyond all crossings of two lines: what does not touch its border is bounded
_SEEN: Final = 10.0  # and beyond what the figure shows
LABELS: Final = {"random": "random offsets", "batch": "batch norm"}


def _measure(*, seed: int, units: Sequence[int], networks: int) -> Measurement:
    """Bounded regions of layers of two inputs; the edges and bounded regions of the first of each kind."""
    rows, shown = [], []
    for network, child in enumerate(children(seed, networks)):
        inputs = data.two_moons(100, seed=child).inputs
        for width in units:
            for offsets in LABELS:
                cut = _whole_plane(_layer(width, offsets, child), inputs)
                bounded = _bounded(cut)
                theirs = theory.bounded_region_count(width, 2, central=offsets == "batch")
                rows.append({"offsets": offsets, "units": width, "network": network, "bounded": int(bounded.sum()),
                             "regions": len(cut), "theory": theirs})  # fmt: skip
                if not network and width == units[len(units) // 2]:
                    shown.append(_picture(cut, bounded, offsets))
    return Measurement(pd.concat([pd.DataFrame(rows).assign(what="count"), *shown], ignore_index=True))


def _layer(units: int, offsets: str, seed: int) -> nn.Module:
    """ReLU units of Gaussian weights, with standard normal biases or batch norm."""
    network = mlp(2, units, 1, norm="batch" if offsets == "batch" else "none", bias=True, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.get_parameter("blocks.0.linear.bias").normal_(generator=generator)
    return network


def _whole_plane(layer: nn.Module, inputs: torch.Tensor) -> spline.Partition:
    """All of the arrangement: the window is as large as its furthest crossing of two lines needs."""
    program = spline.read(layer, (2,), batch=inputs)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    at_zero, at_u, at_v = program.arguments(corners)[0].numpy()
    normals = np.stack([at_u - at_zero, at_v - at_zero], 1)
    one, two = np.triu_indices(len(normals), 1)
    lines = np.stack([normals[one], normals[two]], 1)  # shape: (pairs, 2, 2)
    crossings = np.linalg.solve(lines, -np.stack([at_zero[one], at_zero[two]], 1)[..., None])
    reach = _MARGIN * float(np.abs(crossings).max()) + _SEEN
    return spline.partition(program, None, (-reach, reach, -reach, reach))


def _bounded(cut: spline.Partition) -> NDArray[np.bool_]:
    """Which regions have no edge on the border of the window."""
    border = cut.edges[cut.edges["fold"] < 0]
    touching = np.unique(border[["left", "right"]].to_numpy())
    return ~np.isin(np.arange(len(cut)), touching)


def _picture(cut: spline.Partition, bounded: NDArray[np.bool_], offsets: str) -> pd.DataFrame:
    """Its edges, and the corners of its bounded regions, numbered."""
    edges = cut.edges[cut.edges["fold"] >= 0]
    ends = cut.vertices[edges[["start", "end"]].to_numpy()]
    lines = pd.DataFrame({"x": ends[:, 0, 0], "y": ends[:, 0, 1], "x_end": ends[:, 1, 0], "y_end": ends[:, 1, 1]})
    corners = [
        pd.DataFrame(cut.polygons[region], columns=["x", "y"]).assign(what="corner", region=region)
        for region in np.flatnonzero(bounded).tolist()
    ]
    return pd.concat([lines.assign(what="edge"), *corners]).assign(offsets=offsets)


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table[measurement.table["what"] == "count"]
    drawn, centered = (table[table["offsets"] == offsets] for offsets in LABELS)
    limits = criterion.limits
    wrong = int((table["bounded"] != table["theory"]).sum())
    return [
        at_least("fewest bounded regions, random offsets", exact(drawn["bounded"].min()), limits["some"]),
        at_most("most bounded regions, batch norm", exact(centered["bounded"].max()), limits["none"]),
        at_most("layers with another number than in theory", exact(wrong), limits["none"]),
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    """One layer with either: its lines in the middle of the plane, bounded regions filled."""
    row = panels(ax, 1, len(LABELS))[0]
    for axis, (offsets, label) in zip(row, LABELS.items(), strict=True):
        rows = measurement.table[measurement.table["offsets"] == offsets]
        for _, corners in rows[rows["what"] == "corner"].groupby("region"):
            axis.fill(corners["x"], corners["y"], color=SKY, edgecolor="none")
        edges = rows[rows["what"] == "edge"]
        axis.plot(edges[["x", "x_end"]].T, edges[["y", "y_end"]].T, color=BLACK, linewidth=0.8)
        axis.set(xlabel="first input", xlim=(-3, 4), ylim=(-3.25, 3.75), aspect="equal")
        axis.set_title(label, fontsize="medium")
    row[0].fill([], [], color=SKY, label="bounded region (the long ones end outside of the picture)")
    handles, labels = row[0].get_legend_handles_labels()
    row[0].figure.legend(handles, labels, loc="outside lower center", fontsize="small")
    row[0].set_ylabel("second input")


BOUNDED: Final = Claim(
    id="riedi2026.bounded",
    paper=PAPER,
    result="bounded regions of one layer",
    statement="A layer of random offsets with more units than inputs has a bounded region; one with batch norm never "
    "has one.",
    method="Layers of two inputs, Gaussian weights, and 3 units or more, with standard normal biases or batch norm on "
    "two moons: all regions of the plane, counted where they do not touch a window beyond all crossings of two lines, "
    "against C(m − 1, 2) and 0.",
    criterion=Criterion(
        text="every layer with random offsets has at least {some:g} bounded region, every one with batch norm "
        "{none:g}, and {none:g} layers have another number than in theory",
        limits={"some": 1.0, "none": 0.0},
        error_rate=0.0,
        parts=3,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    figure_size=(6.8, 3.8),
    sizes=scales({"units": (3, 8, 20), "networks": 5}, {"units": (3, 8, 20, 50), "networks": 100}),
    seconds={"quick": 1, "full": 10, "paper": 10},
)
