"""What a partition offers: tables, polygons, neighbours, affine maps, location, verification."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normscope.models import cifar_resnet
from normscope.spline import Partition, partition, plane_through, read

WINDOW = (-2.0, 2.0, -1.0, 3.0)


def perceptron(width: int = 12, depth: int = 2, outputs: int = 3, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    sizes = [2, *[width] * depth, outputs]
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5)
            linear.bias.copy_(torch.randn(fan_out, generator=generator) * 0.5)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    return perceptron()


@pytest.fixture(scope="module")
def found(model: nn.Sequential) -> Partition:
    return partition(model, None, WINDOW)


def inputs(found: Partition, coordinates: np.ndarray) -> Tensor:
    return found.plane.points(coordinates)


def test_areas_fill_the_window_and_polygons_have_them(found: Partition) -> None:
    assert abs(found.area.sum() - 16) < 16e-12
    assert (found.area > 0).all()
    assert len(found.polygons) == len(found) == len(found.regions)
    for region, polygon in enumerate(found.polygons):
        x, y = polygon.T
        area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
        assert area == pytest.approx(found.area[region], rel=1e-9)
        np.testing.assert_array_equal(polygon, found.polygons[region])
    assert found.polygons is found.polygons  # made once: the vertices of all regions are as long as all edges
    assert found.cycles[0] is found.cycles[0]
    assert [len(polygon) for polygon in found.polygons[2:5]] == found.regions["vertices"][2:5].tolist()


def test_an_edge_is_where_its_unit_is_at_its_kink(found: Partition) -> None:
    edges = found.edges
    arguments = found.program.arguments(inputs(found, found.vertices))
    for fold in range(2):
        here = edges[edges["fold"] == fold]
        assert set(here["layer"]) == {found.folds[fold].layer}
        z = arguments[fold].numpy()
        for end in ("start", "end"):
            assert np.abs(z[here[end], here["unit"]] - here["kink"]).max() < 1e-12


def test_a_border_edge_has_a_region_on_one_side(found: Partition) -> None:
    border = found.edges[found.edges["fold"] == -1]
    assert ((border["left"] == -1) ^ (border["right"] == -1)).all()
    assert (border["unit"] == -1).all()
    assert border["layer"].isna().all()
    ends = found.vertices[border[["start", "end"]].to_numpy()]
    assert np.hypot(*(ends[:, 1] - ends[:, 0]).T).sum() == pytest.approx(16, rel=1e-12)


def test_active_units_and_the_fold_of_birth_are_those_of_the_model(found: Partition) -> None:
    patterns = [(z > 0).numpy() for z in found.program.arguments(inputs(found, found.centroids))]
    assert found.regions["active"].tolist() == sum(pattern.sum(axis=1) for pattern in patterns).tolist()
    first = np.unique(patterns[0], axis=0, return_inverse=True)[1]
    alone = np.bincount(first)[first] == 1
    assert (found.regions["born"].to_numpy() == np.where(alone, 0, 1)).all()
    assert alone.any()


def test_neighbours_share_an_edge(found: Partition) -> None:
    edges = found.edges[(found.edges["left"] >= 0) & (found.edges["right"] >= 0)]
    for region in (0, 7, len(found) - 1):
        mine = edges[(edges["left"] == region) | (edges["right"] == region)]
        others = set(mine["left"]) | set(mine["right"])
        assert set(found.neighbours(region)) == others - {region}


def test_affine_maps_are_the_model_on_their_region(model: nn.Sequential, found: Partition) -> None:
    for region in (0, 5, int(found.area.argmax())):
        polygon = found.polygons[region]
        points = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]) @ polygon[:3]
        expected = model(torch.tensor(points)).detach().numpy()
        matrix, offset = found.affine(region)
        np.testing.assert_allclose(points @ matrix.T + offset, expected, atol=1e-12)
        matrix, offset = found.affine_in_input(region)
        np.testing.assert_allclose(points @ matrix.T + offset, expected, atol=1e-12)


def test_points_are_located_in_the_region_with_their_pattern(found: Partition) -> None:
    points = np.random.default_rng(0).uniform((-2, -1), (2, 3), size=(2000, 2))
    where = found.locate(points)
    ours = torch.cat(found.program.arguments(inputs(found, points)), dim=1) > 0
    theirs = torch.cat(found.program.arguments(inputs(found, found.centroids[where])), dim=1) > 0
    assert torch.equal(ours, theirs)
    assert found.locate([[-2.1, 0.0], [0.0, 3.1]]).tolist() == [-1, -1]
    assert (found.locate(found.vertices) >= 0).all()
    for bad, error, message in (
        ([[np.nan, 0.0]], ValueError, "^points hold nan or infinity: first in row 0"),
        ([0.0, 0.0], ValueError, r"^points have shape \(2,\): coordinates in the plane of the slice are \(m, 2\)$"),
        ([["a", 0.0]], TypeError, "^points are a list of 1 .*, no array of numbers$"),
        (None, TypeError, "^points are None, no array of numbers$"),
        ([[0.0, 1j]], TypeError, "^points are complex"),
        (np.zeros((1, 2), dtype="M8[s]"), TypeError, r"^points are an array of datetime64\[s\], no array of numbers$"),
    ):
        with pytest.raises(error, match=message):
            found.locate(bad)
    assert found.locate(torch.zeros(1, 2, requires_grad=True)) == found.locate([[0, 0]])


def test_verification_passes_and_tells_its_numbers(found: Partition) -> None:
    report = found.verify()
    assert report.ok
    assert report.regions == len(found)
    assert report.edges == int((found.edges[["left", "right"]] >= 0).all(axis=1).sum())
    assert report.affine_error < 1e-14
    assert "verified" in str(report)
    part = found.verify(regions=5, seed=1)
    assert part.ok
    assert part.regions == 5


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        ("vertex", "affine_error"),
        ("unit", "unfolded_edges"),
        ("uncut", "unexplained"),
        ("uncut", "affine_error"),
        ("missing", "area_error"),
        ("missing", "euler"),
    ],
)
def test_verification_sees_damage(found: Partition, damage: str, number: str) -> None:
    whole = found._complex
    if damage == "uncut":  # the regions of the first fold, passed off as those of both
        with pytest.warns(RuntimeWarning, match="not complete"):
            whole = partition(found.program, None, WINDOW, max_regions=70)._complex
    elif damage == "vertex":
        xy = whole.xy.copy()
        xy[len(xy) // 2] += 1e-4
        whole = dataclasses.replace(whole, xy=xy)
    elif damage == "unit":
        column = whole.column.copy()
        column[whole.fold == 1] = (column[whole.fold == 1] + 1) % 12
        whole = dataclasses.replace(whole, column=column)
    else:
        whole = dataclasses.replace(whole, starts=whole.starts[:-1], cycles=whole.cycles[: whole.starts[-2]],
                                    born=whole.born[:-1], active=whole.active[:-1])  # fmt: skip
    damaged = dataclasses.replace(found, _complex=whole)
    report = damaged.verify()
    assert not report.ok
    assert "NOT AS IT SHOULD BE" in str(report)
    value, right = getattr(report, number), getattr(found.verify(), number)
    assert abs(value - right) > 1e-12


def test_a_slice_of_a_residual_network_through_three_samples_verifies() -> None:
    model = cifar_resnet(depth=8, width=2, norm="batch").eval()
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(3, 3, 8, 8, generator=generator)
    plane, places = plane_through(*samples)
    found = partition(model, plane, (-0.5, 0.5, -0.5, 0.5), batch=torch.randn(8, 3, 8, 8, generator=generator))
    assert found.complete
    assert len(found) > 100
    report = found.verify(regions=60)
    assert report.ok, str(report)
    assert found.affine(0)[0].shape == (10, 2)
    assert found.affine_in_input(0)[0].shape == (10, 192)
    np.testing.assert_allclose(found.plane.points(places).numpy(), samples.double().numpy(), atol=1e-12)
    np.testing.assert_allclose(found.plane.coordinates(samples), places, atol=1e-12)


def test_a_program_gives_the_same_partition_and_so_does_a_second_run(model: nn.Sequential, found: Partition) -> None:
    for again in (partition(read(model, (2,)), None, WINDOW), partition(model, None, WINDOW)):
        np.testing.assert_array_equal(again.vertices, found.vertices)
        assert again.edges.equals(found.edges)


def test_a_model_without_folds_is_one_region() -> None:
    whole = partition(nn.Linear(2, 3), None, WINDOW)
    assert len(whole) == 1
    assert whole.complete
    assert whole.neighbours(0).tolist() == []
    assert whole.regions["born"].tolist() == [-1]
    assert whole.verify().ok
    with pytest.raises(IndexError, match="there is no region 1: this partition has regions 0 to 0"):
        whole.neighbours(1)
    for bad in (0.5, "a", None, -1):
        with pytest.raises(IndexError, match=rf"^there is no region {bad!r}: this partition has regions 0 to 0$"):
            whole.affine(bad)  # type: ignore[arg-type]
