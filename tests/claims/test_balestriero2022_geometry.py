"""What claims of Balestriero and Baraniuk 2022 are measured with, against formulas and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from normscope import data, models, spline
from normscope.claims.balestriero2022.deep_slice import _inside
from normscope.claims.balestriero2022.edges import crossings, near_and_elsewhere
from normscope.claims.balestriero2022.hyperplanes import hyperplanes
from normscope.claims.balestriero2022.picture import _from
from normscope.claims.balestriero2022.setting import LABELS, image_network, perceptron
from normscope.claims.balestriero2022.slices import cut_of, view
from normscope.claims.balestriero2022.turning import _crossings, _own_layer_moved, _two_layers


@pytest.mark.parametrize("kind", ["mlp", "convnet", "resnet"])
@pytest.mark.parametrize("offsets", ["batch", "recenter", "rescale", "zero", "random"])
def test_hyperplanes_agree_with_the_formulas(kind: str, offsets: str) -> None:
    """Found from zeros and distances, against offsets and minima by μ, σ, γ and β."""
    network = image_network(kind, offsets, 8, 5, 8 if kind == "resnet" else 3, seed=1)  # no layer is dead
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.add_(torch.linspace(0.1, 0.5, len(parameter)))
    batch = data.digits(8, count=20, seed=1).inputs
    found = hyperplanes(network, batch)
    expected = spline.least_squares_offsets(network, batch, statistics="batch")
    expected = expected[expected["layer"] != "head"]
    np.testing.assert_allclose(found["excess"], expected["mean_squared_distance"] / expected["minimum"] - 1, atol=1e-9)
    away = expected["signed_distance"] / np.sqrt(expected["minimum"])
    np.testing.assert_allclose(found["displacement"], away, atol=1e-9)
    np.testing.assert_allclose(found["from_mean"], away.abs(), atol=1e-9)


def test_networks_share_weights_and_differ_in_offsets() -> None:
    networks = {offsets: perceptron(offsets, 4, 5, 2, seed=3) for offsets in LABELS}
    for network in networks.values():
        for name in ("blocks.0.linear.weight", "blocks.1.linear.weight", "head.weight"):
            assert torch.equal(network.get_parameter(name), networks["zero"].get_parameter(name))
    one, two = (networks[offsets].get_parameter("blocks.1.linear.bias") for offsets in ("random", "shifted"))
    assert torch.equal(one, two)
    assert (one != 0).all()
    assert (image_network("resnet", "random", 8, 2, 8, 0).get_parameter("stem.conv.bias") != 0).all()


class _Corner(nn.Module):
    """One unit x₁, and a unit of the next layer, x₂ − relu(x₁) · slope − ½, that turns where the first folds."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x[:, 1:] - self.slope * torch.relu(x[:, :1]) - 0.5)


@pytest.mark.parametrize("slope", [0.5, 1.0, -2.0])
def test_a_turn_is_the_angle_between_two_edges(slope: float) -> None:
    cut = spline.partition(_Corner(slope), None, (-3, 3, -3, 3))
    (row,) = crossings(cut).to_dict("records")
    assert row["turn"] == pytest.approx(np.arctan(abs(slope)))
    assert (row["fold"], row["unit"], row["earlier_fold"], row["earlier_unit"]) == (1, 0, 0, 0)
    np.testing.assert_allclose(cut.vertices[row["vertex"]], [0, 0.5], atol=1e-12)


def test_crossings_are_all_there() -> None:
    """Of a unit of layer 2 with one of layer 1: where both arguments are zero, found by looking along each line."""
    network = perceptron("batch", 2, 4, 2, seed=5)
    batch = data.two_moons(50, seed=5).inputs.double()
    cut = spline.partition(network, None, (-3, 4, -3.5, 3.5), batch=batch)
    found = crossings(cut)
    program = spline.read(network, (2,), batch=batch)
    with torch.no_grad():
        first, second = (z.numpy() for z in program.arguments(torch.from_numpy(cut.vertices[found["vertex"]]), upto=1))
    rows = np.arange(len(found))
    np.testing.assert_allclose(first[rows, found["earlier_unit"]], 0, atol=1e-12)
    np.testing.assert_allclose(second[rows, found["unit"]], 0, atol=1e-12)
    assert len(found) == _crossings_on_lines(program, (-3, 4, -3.5, 3.5))


def _crossings_on_lines(program: spline.Program, extent: tuple[float, float, float, float]) -> int:
    """Sign changes of the second layer's units along the lines of the first."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    zero, u, v = program.arguments(corners, upto=0)[0].numpy()
    count = 0
    for a, b, c in zip(u - zero, v - zero, zero, strict=True):
        foot = -c * np.array([a, b]) / (a**2 + b**2)
        along = np.linspace(-12, 12, 200_001)[:, None] * np.array([-b, a]) / np.hypot(a, b)
        points = foot + along
        inside = (points > np.array(extent[::2])).all(1) & (points < np.array(extent[1::2])).all(1)
        with torch.no_grad():
            signs = program.arguments(torch.from_numpy(points[inside]), upto=1)[1].numpy() > 0
        count += int((signs[1:] != signs[:-1]).sum())
    return count


def test_discs_near_and_elsewhere() -> None:
    """One line with data all along it: every disc at the data crosses it, and none that is apart from these."""
    cut = spline.partition(nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU()), None, (-5, 5, -5, 5))
    line = cut.vertices[cut.edges.loc[cut.edges["fold"] == 0, ["start", "end"]].to_numpy()[0]]
    along = np.linspace(0.025, 0.975, 300)[:, None]
    rows = near_and_elsewhere(cut, line[0] + along * (line[1] - line[0]), 0.1, 400, np.random.default_rng(0))
    assert rows["layer"].tolist() == [1]
    assert rows["near"].tolist() == [1.0]
    assert rows["elsewhere"].tolist() == [0.0]
    half = near_and_elsewhere(cut, line[:1] + 0.5 * (line[1:] - line[:1]), 0.1, 4000, np.random.default_rng(0))
    length = float(np.linalg.norm(line[1] - line[0]))
    assert half["elsewhere"].item() == pytest.approx(0.2 * length / 100, abs=0.01)  # 4 standard errors


def test_turns_and_normals_are_by_the_formula() -> None:
    batch = data.two_moons(60, seed=2).inputs
    for slope in (0.2, 0.0):
        found = _crossings(_two_layers(6, slope, seed=2), batch, slope)
        assert len(found) > 10
        np.testing.assert_allclose(found["turn"], found["angle"], atol=1e-8)
        np.testing.assert_allclose(found["jump"], 1, atol=1e-9)
        assert _own_layer_moved(6, slope, 2, batch) < 1e-12
        wrong = _crossings(_two_layers(6, slope, seed=2), batch, slope + 0.1)
        assert abs(wrong["turn"] - wrong["angle"]).max() > 1e-3
        assert abs(wrong["jump"] - 1).max() > 1e-3


def test_first_layer_goes_through_the_mean_with_batch_norm_only() -> None:
    shown = view("moons", 40, seed=1)
    mean = shown.points.mean(0)
    assert _from(cut_of(shown, "batch", 6, 2, 1), mean) < 1e-9
    assert _from(cut_of(shown, "random", 6, 2, 1), mean) > 0.1


def test_views_hold_their_data() -> None:
    for kind in ("moons", "digits"):
        shown = view(kind, 30, seed=4)
        low, high = np.array(shown.extent[::2]), np.array(shown.extent[1::2])
        assert ((shown.points > low) & (shown.points < high)).all()
        plane = shown.plane or spline.Plane(torch.zeros(2).double(), *torch.eye(2).double())
        back = plane.points(shown.points).reshape(len(shown.points), -1)
        np.testing.assert_allclose(back, shown.batch[: len(back)].flatten(1), atol=1e-6)


def test_regions_in_the_triangle_are_counted() -> None:
    shown = view("digits", 10, seed=0)
    cut = cut_of(shown, "batch", 10, 3, 0)
    a, b, c = shown.points
    count = 0
    for point in cut.centroids:
        turns = [np.cross(np.append(q - p, 0), np.append(point - p, 0))[2] for p, q in ((a, b), (b, c), (c, a))]
        count += min(turns) >= 0 or max(turns) <= 0
    assert 0 < _inside(cut, shown) == count < len(cut)


def test_reference_networks_have_the_norm_that_is_named() -> None:
    assert models.NORMS["none"].inside is None  # "zero" and "random" have no norm layer at all
    assert not any("norm" in name for name, _ in perceptron("random", 3, 3, 2, 0).named_parameters())
