"""How σ folds: by how much the boundaries of layer 2 turn where they cross a hyperplane of layer 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from normscope import data, models, spline
from normscope.claims.axes import mean_and_bars, number_ticks, panels
from normscope.claims.balestriero2022.edges import crossings
from normscope.claims.balestriero2022.setting import PAPER, children, scales
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_most
from normscope.claims.statistics import exact, mean
from normscope.system import BLACK, BLUE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_SLOPES: Final = {"leaky": 0.2, "relu": 0.0}
_REACH: Final = 3.0  # of the window, in root mean squared distances of the data from their mean


def _measure(*, seed: int, width: int, networks: int, factors: Sequence[float]) -> Measurement:
    """All crossings of layers 2 and 1, measured and by formula; and those at one unit whose σ is made larger."""
    rows, scan = [], []
    for network, child in enumerate(children(seed, networks)):
        batch = data.two_moons(200, seed=child).inputs
        for name, slope in _SLOPES.items():
            layers = _two_layers(width, slope, child)
            found = _crossings(layers, batch, slope)
            moved = _own_layer_moved(width, slope, child, batch)
            rows.append(found.assign(what="crossing", activation=name, network=network, factor=1.0, moved=moved))
            for factor in factors:
                at_unit = _crossings(_with_larger_deviation(layers, factor), batch, slope)
                turn = at_unit.loc[at_unit["earlier_unit"] == 0, "turn"].mean()
                scan.append({"what": "scan", "activation": name, "network": network, "factor": factor, "turn": turn})
    return Measurement(pd.concat([*rows, pd.DataFrame(scan)], ignore_index=True))


def _two_layers(width: int, slope: float, seed: int, norm: str = "batch") -> nn.Module:
    activation = partial(nn.LeakyReLU, slope) if slope else nn.ReLU
    return models.mlp(2, width, 2, norm=norm, activation=activation, seed=seed).double()


def _with_larger_deviation(layers: nn.Module, factor: float) -> nn.Module:
    """The same network with σ of the first unit of layer 1 multiplied: the same as a gain of 1/factor."""
    weight = layers.get_parameter("blocks.0.norm.weight")
    with torch.no_grad():
        weight[0] = 1 / factor
    return layers


def _cut(program: spline.Program, batch: torch.Tensor) -> spline.Partition:
    centre = batch.mean(0)
    reach = _REACH * float((batch - centre).square().sum(1).mean().sqrt())
    x, y = centre.tolist()
    return spline.partition(program, None, (x - reach, x + reach, y - reach, y + reach))


def _crossings(layers: nn.Module, batch: torch.Tensor, slope: float) -> pd.DataFrame:
    """Where units k of layer 2 cross units r of layer 1.

    n is the normal of unit k, Aᵀ w_2k with A the layer before it. Columns: ``turn``, from the edges; ``angle`` of n
    and n', from weights and σ; ``jump``: ‖n − n'‖ from derivatives, over its formula.
    """
    program = spline.read(layers, (2,), batch=batch)
    cut = _cut(program, batch)
    found = crossings(cut)
    found = found[found["fold"] == 1].reset_index(drop=True)
    ends = cut.vertices[cut.edges[["start", "end"]].to_numpy()]
    middles, k, r = ends.mean(1), found["unit"].to_numpy(), found["earlier_unit"].to_numpy()
    first, sigma = _layer(layers, batch.double(), 0), _deviation(layers, batch.double())
    second = layers.get_parameter("blocks.1.linear.weight").detach().numpy()
    normals = np.stack([_gradient(program, middles[found[edge]], k) for edge in ("first", "second")]) * sigma[k, None]
    formula = (1 - slope) * np.abs(second[k, r]) * np.linalg.norm(first, axis=1)[r]
    found["jump"] = np.linalg.norm(normals[0] - normals[1], axis=1) / formula
    found["angle"] = _angle(*_normals(program, cut.vertices[found["vertex"]], first, second, k, r, slope))
    return found[["earlier_unit", "turn", "angle", "jump"]]


def _layer(layers: nn.Module, batch: torch.Tensor, number: int) -> Array:
    """γ w/σ of the units of layer 1, by its statistics on the batch; (units, 2)."""
    weight = layers.get_parameter(f"blocks.{number}.linear.weight").detach()
    norm = layers.get_submodule(f"blocks.{number}.norm")
    deviation = ((batch @ weight.T).var(0, correction=0) + norm.eps).sqrt()  # type: ignore[operator]  # a module's attributes
    gain = layers.get_parameter(f"blocks.{number}.norm.weight").detach()
    return np.asarray((weight * (gain / deviation)[:, None]).numpy())


def _deviation(layers: nn.Module, batch: torch.Tensor) -> Array:
    """σ of the units of layer 2 on the batch."""
    seen: list[torch.Tensor] = []
    handle = layers.get_submodule("blocks.1.linear").register_forward_hook(lambda _m, _i, made: seen.append(made))
    with torch.no_grad():
        layers.train()(batch)
    handle.remove()
    eps = float(layers.get_submodule("blocks.1.norm").eps)  # type: ignore[arg-type]  # a number
    return np.asarray((seen[0].var(0, correction=0) + eps).sqrt().numpy())


def _gradient(program: spline.Program, points: Array, units: NDArray[np.int64]) -> Array:
    """Of the argument of a unit of layer 2 at each point, by automatic differentiation; (m, 2)."""
    at = torch.from_numpy(points).requires_grad_()
    chosen = program.arguments(at, upto=1)[1][torch.arange(len(at)), torch.tensor(units)]
    (gradient,) = torch.autograd.grad(chosen.sum(), at)
    return np.asarray(gradient.numpy())


def _normals(
    program: spline.Program, points: Array, first: Array, second: Array, k: NDArray[np.int64],
    r: NDArray[np.int64], slope: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Σ_j w_2kj s_j w_1j/σ_1j, s_j = 1 or the slope by the side of unit j; unit r active, and not."""
    with torch.no_grad():
        active = program.arguments(torch.from_numpy(points), upto=0)[0].numpy() > 0
    sides = np.where(active, 1.0, slope)
    rows = np.arange(len(r))
    normals = []
    for side in (1.0, slope):
        sides[rows, r] = side
        normals.append((second[k] * sides) @ first)
    return normals[0], normals[1]


def _angle(one: Array, two: Array) -> Array:
    return np.asarray(np.arctan2(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]), (one * two).sum(1)))


def _own_layer_moved(width: int, slope: float, seed: int, batch: torch.Tensor) -> float:
    """How far the hyperplanes of layer 1 are from where they are without rescaling, in the plane of lines (a, b, c)."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    lines = []
    for norm in ("batch", "recenter"):
        program = spline.read(_two_layers(width, slope, seed, norm), (2,), batch=batch)
        with torch.no_grad():
            at_zero, at_u, at_v = program.arguments(corners, upto=0)[0].numpy()
        line = np.stack([at_u - at_zero, at_v - at_zero, at_zero])
        lines.append(line / np.linalg.norm(line[:2], axis=0))
    return float(np.abs(lines[0] - lines[1]).max())


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits = measurement.table, criterion.limits
    found = table[table["what"] == "crossing"]
    scan = table[(table["what"] == "scan") & (table["activation"] == "relu")]
    turns = scan.pivot_table("turn", "network", "factor").dropna()
    change = turns[turns.columns.max()] - turns[turns.columns.min()]
    return [
        at_most("‖n − n'‖ over its formula, less 1", exact((found["jump"] - 1).abs().max()), limits["jump"]),
        at_most(
            "angle from edges less angle by formula",
            exact((found["turn"] - found["angle"]).abs().max()),
            limits["angle"],
        ),
        at_most("hyperplanes of layer 1 moved by σ", exact(found["moved"].max()), limits["moved"]),
        at_most(
            "ReLU: mean turn at a unit, largest σ − smallest (radians)",
            mean(change, criterion.confidence),
            limits["change"],
        ),
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    """Left: angles from edges against the formula. Right: turns at one unit against its σ."""
    left, right = panels(ax, 1, 2, sharex=False, sharey=False)[0]
    table = measurement.table
    found = table[table["what"] == "crossing"]
    degrees = 180 / np.pi
    for name, colour, marker in (("leaky", SKY, "o"), ("relu", VERMILLION, ".")):
        rows = found[found["activation"] == name]
        label = "ReLU" if name == "relu" else f"leaky ReLU, slope {_SLOPES[name]:g}"
        left.plot(
            degrees * rows["angle"], degrees * rows["turn"], marker, color=colour, markersize=4, alpha=0.5, label=label
        )
    left.plot([0, 180], [0, 180], "--", color=BLACK, linewidth=1, label="the formula")
    left.set(xlabel="angle of n and n' by formula (degrees)", ylabel="turn of the boundary, from its edges (degrees)")
    number_ticks(left, x=range(0, 181, 45), y=range(0, 181, 45))
    left.legend(fontsize="small")
    scan = table[table["what"] == "scan"]
    for name, colour, style in (("leaky", BLUE, "o--"), ("relu", VERMILLION, "s-")):
        of_factor = scan[scan["activation"] == name].groupby("factor")["turn"]
        middle, half = mean_and_bars(of_factor)
        label = "ReLU" if name == "relu" else f"leaky ReLU, slope {_SLOPES[name]:g}"
        right.errorbar(middle.index, degrees * middle, degrees * half, fmt=style, color=colour, capsize=3, label=label)
    right.set(
        xscale="log", xlabel="σ of a unit of layer 1, over its own", ylim=(0, None),
        ylabel="turn of layer 2 at its hyperplane\n(degrees; mean over networks, 95% interval)",
    )  # fmt: skip
    number_ticks(right, x=scan["factor"])
    right.legend(fontsize="small")


TURNING: Final = Claim(
    id="balestriero2022.turning",
    paper=PAPER,
    result="σ folds: ‖n − n'‖ = (1 − η)|w_2kr|‖w_1r‖/σ_1r and the dihedral angle",
    statement="Where the boundary of unit k of layer 2 crosses unit r of layer 1 its normal changes by a vector of "
    "length (1 − η)|w_2kr|‖w_1r‖/σ_1r, η the slope of the negative side, so that a larger σ_1r folds it less; "
    "σ moves no hyperplane of its own layer.",
    method="Networks of two layers with batch norm on two moons, exact partition of the plane: the turn at each "
    "crossing from the edges against the angle of n and n' by weights and σ; ‖n − n'‖ from derivatives; lines of "
    "layer 1 with and without rescaling; and mean turns at a unit of which σ is multiplied.",
    criterion=Criterion(
        text="at every crossing ‖n − n'‖ is as in the formula to a fraction of {jump:g} and the turn to {angle:g} "
        "radians; lines of layer 1 differ by at most {moved:g} without rescaling; with ReLU the mean turn at the "
        "largest σ less that at the smallest has its {confidence:.2%} interval over networks below {change:g}",
        limits={"jump": 1e-8, "angle": 1e-6, "moved": 1e-9, "change": 0.0},
        error_rate=0.01,
        error="calling it reproduced though turns do not fall with σ",
        parts=4,
        judge=_judge,
    ),
    revised="Quick scale: 6 networks instead of 8, for time; the outcome of the first run was the same.",
    measure=_measure,
    figure=_draw,
    figure_size=(8.0, 3.8),
    sizes=scales(
        {"width": 12, "networks": 6, "factors": (0.125, 0.5, 1, 2, 8)},
        {"width": 24, "networks": 20, "factors": (0.125, 0.25, 0.5, 1, 2, 4, 8)},
    ),
    seconds={"quick": 3, "full": 11, "paper": 11},
)
