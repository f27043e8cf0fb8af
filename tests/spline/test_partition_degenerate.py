"""Partitions where lines meet in one point, coincide, vanish, or lie on edges; several kinks; max pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from normscope.spline import Partition, partition
from spline.partition_cases import Pool, case

WINDOW = (-2.0, 2.0, -2.0, 2.0)


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def random_linear(fan_in: int, fan_out: int, generator: torch.Generator, bias: float = 0.5) -> nn.Linear:
    weight = torch.randn(fan_out, fan_in, generator=generator, dtype=torch.float64)
    return linear(weight.tolist(), (bias * torch.randn(fan_out, generator=generator, dtype=torch.float64)).tolist())


def checked(found: Partition) -> Partition:
    report = found.verify()
    assert report.ok, str(report)
    return found


@pytest.mark.parametrize("units", [2, 7, 64, 300])
def test_lines_through_one_point_make_two_regions_each(units: int) -> None:
    """A layer of batch normalization: a central arrangement, every region of which reaches the border."""
    generator = torch.Generator().manual_seed(units)
    batch = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    model = nn.Sequential(random_linear(2, units, generator), nn.BatchNorm1d(units), nn.ReLU())
    found = checked(partition(model, None, WINDOW, batch=batch))
    assert len(found) == 2 * units
    mean = batch.mean(dim=0).numpy()
    distance = np.hypot(*(found.vertices - mean).T)
    centre = distance.argmin()
    assert distance[centre] < 1e-12
    assert all((polygon == found.vertices[centre]).all(axis=1).any() for polygon in found.polygons)


def test_deep_networks_with_batch_normalization_verify() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    modules: list[nn.Module] = []
    for fan_in in (2, 20, 20):
        modules += [random_linear(fan_in, 20, generator), nn.BatchNorm1d(20), nn.ReLU()]
    found = checked(partition(nn.Sequential(*modules), None, WINDOW, batch=batch))
    assert len(found) > 500


def test_units_with_one_line_make_one_edge_owned_by_the_first() -> None:
    lines = [[1.0, 0.5], [-2.0, -1.0], [1.0, 0.5], [0.0, 1.0]]
    found = checked(partition(nn.Sequential(linear(lines, [0.25, -0.5, 0.25, 0.0]), nn.ReLU()), None, WINDOW))
    assert len(found) == 4
    inner = found.edges[found.edges["fold"] == 0]
    assert set(inner["unit"]) == {0, 3}
    assert found.verify().shared == 2 * (inner["unit"] == 0).sum()


def test_a_later_line_along_an_edge_cuts_nothing_off() -> None:
    """The second layer sees the first unit again: its line is the edge that is there."""
    first, second = linear([[1.0, 0.5], [0.5, -1.0]], [0.25, 0.0]), linear([[1.0, 0.0], [2.0, 0.0]], [0.0, 0.0])
    found = checked(partition(nn.Sequential(first, nn.LeakyReLU(0.5), second, nn.ReLU()), None, WINDOW))
    assert len(found) == 4
    assert set(found.edges["fold"]) == {-1, 0}


def test_lines_through_corners_of_the_window_and_along_its_border() -> None:
    lines = [[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]
    found = checked(partition(nn.Sequential(linear(lines, [0.0, 0.0, 2.0, -2.0]), nn.ReLU()), None, WINDOW))
    assert len(found) == 4
    np.testing.assert_allclose(found.area, 4.0, rtol=1e-15)


@pytest.mark.parametrize(
    ("weight", "bias"), [([[0.0, 0.0]], [0.0]), ([[0.0, 0.0]], [1.0]), ([[0.0, 0.0]], [-1.0]), ([[0.1, 0.0]], [-1.0])]
)
def test_units_without_a_sign_change_make_no_edge(weight: list[list[float]], bias: list[float]) -> None:
    found = checked(partition(nn.Sequential(linear(weight, bias), nn.ReLU(), nn.Linear(1, 2)), None, WINDOW))
    assert len(found) == 1
    assert found.regions["active"].tolist() == [int(bias[0] > 0)]


def test_a_dead_layer_leaves_the_partition_before_it() -> None:
    generator = torch.Generator().manual_seed(3)
    first = [random_linear(2, 8, generator), nn.ReLU()]
    dead = [linear([[-1.0] * 8] * 3, [-1.0] * 3), nn.ReLU(), random_linear(3, 5, generator, bias=0.0), nn.ReLU()]
    alive = partition(nn.Sequential(*first), None, WINDOW)
    found = checked(partition(nn.Sequential(*first, *dead), None, WINDOW))
    np.testing.assert_array_equal(found.area, alive.area)


@pytest.mark.parametrize("seed", range(12))
def test_features_that_are_constant_but_for_rounding_cut_nothing(seed: int) -> None:
    """Batch norm blows it up 300 times, and rows of a matrix product round differently: signs without sense."""
    generator = torch.Generator().manual_seed(seed)
    constant = linear([[0.0]] * 7, torch.randint(-1, 2, (7,), generator=generator).tolist())
    model = nn.Sequential(
        linear([[0.0, 0.0]], [0.0]), nn.LeakyReLU(0.1), constant, nn.LeakyReLU(0.1),
        random_linear(7, 9, generator, bias=0.0), nn.BatchNorm1d(9), nn.ReLU6(), random_linear(9, 2, generator),
    )  # fmt: skip
    found = checked(partition(model, None, (0, 1, 0, 1), batch=torch.randn(9, 2, generator=generator)))
    assert len(found) == 1


def test_every_kink_of_a_unit_is_an_edge() -> None:
    found = checked(partition(nn.Sequential(linear([[1.0, 0.0]], [0.5]), nn.Hardtanh()), None, WINDOW))
    inner = found.edges[found.edges["fold"] == 0]
    assert sorted(inner["kink"]) == [-1.0, 1.0]
    assert sorted(found.regions["x"]) == pytest.approx([-1.75, -0.5, 1.25])
    assert found.regions.sort_values("x")["active"].tolist() == [0, 1, 0]


def test_max_pooling_folds_only_where_two_candidates_are_the_largest() -> None:
    angles = np.arange(7) * 2 * np.pi / 7
    star = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low = np.array([[0.3, 0.1]])
    pieces = nn.Sequential(linear([*star.tolist(), *low.tolist()], [0.0] * 7 + [-5.0]), Pool(8))
    found = checked(partition(pieces, None, WINDOW))
    assert len(found) == 7
    inner = found.edges[found.edges["fold"] == 0]
    assert len(inner[["left", "right"]].drop_duplicates()) == 7
    assert inner["kink"].isna().all()
    assert set(inner["unit"]) == {0}


def test_max_pooling_of_equal_candidates_is_no_fold() -> None:
    """After ReLU, whole windows are zero: their largest candidate is no matter."""
    found = checked(
        partition(nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), nn.ReLU(), Pool(2)), None, WINDOW)
    )
    assert sorted(found.area) == pytest.approx([2.0, 2.0, 4.0, 4.0, 4.0])


def test_an_image_network_with_max_pooling_verifies() -> None:
    torch.manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2),
        )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    plane = tuple(torch.randn(3, 1, 8, 8, generator=generator))
    found = checked(partition(model, plane, (-1, 1, -1, 1), batch=torch.randn(16, 1, 8, 8, generator=generator)))
    kinds = {fold.kind for fold, name in zip(found.folds, "abcd", strict=True) if name}
    assert kinds == {"relu", "max_pool"}
    assert len(found) > 50
    assert set(found.edges["fold"]) == {-1, 0, 1, 2, 3}


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.inner(x)
        return out


ACTIVATIONS = (nn.ReLU, nn.Hardtanh, nn.ReLU6, lambda: nn.LeakyReLU(0.1), lambda: nn.PReLU(init=-0.5), lambda: Pool(2))


@st.composite
def degenerate_networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """Small integers, repeated and zero rows, no bias, batch norm on a grid of points, shortcuts."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    modules: list[nn.Module] = []
    width = 2
    for _ in range(draw(st.integers(1, 3))):
        units = draw(st.integers(1, 9))
        weight = torch.randint(-2, 3, (units, width), generator=generator).double()
        bias = torch.randint(-1, 2, (units,), generator=generator).double()
        kind = draw(st.sampled_from(["integers", "repeated", "dead", "no bias", "gaussian"]))
        if kind == "repeated":
            source = torch.arange(units) // 2
            factor = torch.where(torch.arange(units) % 2 == 1, -2.0, 1.0).double()
            weight, bias = weight[source] * factor[:, None], bias[source] * factor
        elif kind == "dead":
            weight[::2] = 0
        elif kind == "no bias":
            bias.zero_()
        elif kind == "gaussian":
            weight = torch.randn(units, width, generator=generator, dtype=torch.float64)
        block: list[nn.Module] = [linear(weight.tolist(), bias.tolist())]
        if draw(st.booleans()):
            block.append(nn.BatchNorm1d(units))
        activation = draw(st.sampled_from(ACTIVATIONS))()
        pooled = isinstance(activation, Pool) and units >= 2
        block.append(activation if pooled or not isinstance(activation, Pool) else nn.ReLU())
        after = units // 2 if pooled else units
        modules += [Residual(nn.Sequential(*block))] if after == width and draw(st.booleans()) else block
        width = after
    grid = torch.cartesian_prod(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0)).double()
    return nn.Sequential(*modules, nn.Linear(width, 2)), grid


@settings(max_examples=60, deadline=None)
@given(degenerate_networks(), st.sampled_from([WINDOW, (-1, 1, -1, 1), (-3, 2, 0, 1), (0, 1, 0, 1)]))
def test_degenerate_networks_verify(drawn: tuple[nn.Module, Tensor], window: tuple[float, ...]) -> None:
    model, batch = drawn
    checked(partition(model, None, window, batch=batch))


def test_a_thousand_parallel_lines() -> None:
    offsets = np.linspace(-1.9, 1.9, 1000)
    strips = case([np.tile([[1.0, 0.25]], (1000, 1))], [offsets], ["relu"])
    found = checked(strips.partition())
    edges = found.edges[found.edges["fold"] == 0]
    assert len(found) == 1001
    assert len(edges) == 1000
