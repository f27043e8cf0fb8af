"""Figures of a partition: what is drawn where, in which colour; the animation; what cannot be drawn."""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from PIL import Image
from torch import nn

from normscope.models import mlp
from normscope.spline import Partition, decision_boundary, labelled, partition
from normscope.spline.pictures import animation
from normscope.spline.pictures.animation import animate
from normscope.spline.pictures.colours import class_colours, layer_colours, pale, viridis
from normscope.spline.pictures.figures import plot, plot_layers
from normscope.spline.pictures.merging import apart, born_through, merged_regions, regions_through
from normscope.spline.pictures.picture import line_width
from spline.partition_cases import Pool

WINDOW = (-2.0, 2.0, -1.5, 2.5)


def network(depth: int = 3, outputs: int = 4) -> nn.Module:
    model = mlp(2, 7, depth, outputs, norm="none", bias=True, seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.5, generator=generator)
    return model


@pytest.fixture(scope="module")
def pieces() -> Partition:
    return partition(network(), None, WINDOW)


@pytest.fixture
def axis() -> Any:
    return Figure(figsize=(4, 4)).add_subplot()


def lines(axis: Any) -> dict[str, int]:
    """How many segments there are of each colour."""
    found: dict[str, int] = {}
    for collection in axis.collections:
        if isinstance(collection, LineCollection):
            colour = to_hex(collection.get_color()[0])
            found[colour] = found.get(colour, 0) + len(collection.get_segments())
    return found


def filled(axis: Any) -> dict[str, float]:
    """The area that is filled with each colour, by the shoelace formula."""
    found: dict[str, float] = {}
    for patch in axis.patches:
        if not isinstance(patch, PathPatch):
            continue
        area, path = 0.0, patch.get_path()
        for polygon in path.to_polygons(closed_only=False):
            x, y = np.asarray(polygon).T
            area += abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
        colour = to_hex(patch.get_facecolor())
        found[colour] = found.get(colour, 0.0) + area
    return found


def test_folds_are_drawn_in_the_colours_of_their_layers(pieces: Partition, axis: Any) -> None:
    assert plot(pieces, axis) is axis
    fold = pieces.edges["fold"]
    colours = [colour.lower() for colour in layer_colours(3)]
    assert lines(axis) == {colour: (fold == k).sum() for k, colour in enumerate(colours)}
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [f.layer for f in pieces.folds]
    assert (axis.get_xlim(), axis.get_ylim()) == (WINDOW[:2], WINDOW[2:])


def test_one_layer_in_colour_and_earlier_ones_grey(pieces: Partition, axis: Any) -> None:
    plot(pieces, axis, layer="blocks.1.activation")
    fold = pieces.edges["fold"]
    assert lines(axis) == {"#b4bbc2": (fold == 0).sum(), layer_colours(3)[1].lower(): (fold == 1).sum()}


@pytest.mark.parametrize("by", ["active", "depth"])
def test_regions_are_filled_by_their_numbers(pieces: Partition, axis: Any, by: Any) -> None:
    plot(pieces, axis, by=by)
    values = pieces.regions["active" if by == "active" else "born"]
    expected = pieces.regions.groupby(values)["area"].sum()
    np.testing.assert_allclose(sorted(filled(axis).values()), sorted(expected), rtol=1e-9)


def test_the_picture_shows_each_region_in_its_colour(pieces: Partition) -> None:
    figure = Figure(figsize=(8, 8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    plot(pieces, axis, by="active", legend=False, linewidth=0.01)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    active = pieces.regions["active"]
    fewest = int(active.min())
    colours = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, int(active.max()) - fewest + 1))]
    large = pieces.regions[pieces.area > 0.01]
    assert len(large) > 20
    for row in large.itertuples():
        x, y = axis.transData.transform((row.x, row.y))
        red, green, blue, _ = pixels[round(800 - y), round(x)]
        assert f"#{red:02x}{green:02x}{blue:02x}" == colours[row.active - fewest]


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_classes_fill_just_their_areas_also_inside_regions(axis: Any, outputs: int) -> None:
    cut = partition(network(outputs=outputs), None, WINDOW)
    labels = labelled(cut)
    assert labels is not None
    assert labels.mixed.any()
    plot(cut, axis, by="class", decision=True)
    expected = decision_boundary(cut).area
    colours = [pale(colour) for colour in class_colours(labels.count)]
    found = {colours.index(colour): area for colour, area in filled(axis).items()}
    assert set(found) == set(expected)
    for label, area in expected.items():
        assert found[label] == pytest.approx(area, rel=1e-9)


def test_logits_on_regions_are_the_models(pieces: Partition) -> None:
    labels = labelled(pieces)
    assert labels is not None
    chosen = np.flatnonzero(pieces.area > 1e-6)[::7]
    affine = labels.affine(chosen)
    wide, tall = WINDOW[1] - WINDOW[0], WINDOW[3] - WINDOW[2]
    for region, (a, b, c) in zip(chosen.tolist(), np.moveaxis(affine, 2, 1), strict=True):
        matrix, offset = pieces.affine(region)
        np.testing.assert_allclose(a, matrix[:, 0] * wide, atol=1e-8)
        np.testing.assert_allclose(b, matrix[:, 1] * tall, atol=1e-8)
        np.testing.assert_allclose(c, matrix @ [WINDOW[0], WINDOW[2]] + offset, atol=1e-8)


def test_a_region_of_one_class_at_its_vertices_has_it_inside(pieces: Partition) -> None:
    labels = labelled(pieces)
    assert labels is not None
    with torch.no_grad():
        inside = pieces.program.outputs(pieces.plane.points(pieces.centroids)).argmax(1).numpy()
    np.testing.assert_array_equal(labels.classes[~labels.mixed], inside[~labels.mixed])


def test_regions_of_the_first_layers_are_those_of_the_network_cut_off_behind_them(pieces: Partition) -> None:
    model = network()
    counts = regions_through(pieces)
    for k in range(3):
        head = nn.Sequential(nn.Flatten(), *list(model.blocks)[: k + 1])
        assert counts[k] == len(partition(head, None, WINDOW).area)
        assert merged_regions(pieces, k).max() + 1 == counts[k]
    assert counts[2] == len(pieces.area)


def test_neighbours_have_different_numbers(pieces: Partition, axis: Any) -> None:
    merged = merged_regions(pieces, 1)
    numbers = apart(pieces, merged, 10)
    sides = pieces.edges[["left", "right"]].to_numpy()
    left, right = sides[(sides >= 0).all(axis=1)].T
    assert ((numbers[left] == numbers[right]) == (merged[left] == merged[right])).all()
    plot(pieces, axis, by="layer-regions", layer=1)
    assert sum(filled(axis).values()) == pytest.approx(16)


def test_a_panel_for_every_layer(pieces: Partition) -> None:
    axes = plot_layers(pieces, points=[[0.0, 0.0]], labels=[0], mean=(1, 1), decision=True)
    counts = regions_through(pieces)
    assert [axis.get_title() for axis in axes] == [
        f"blocks.{k}.activation\n{counts[k]:,} regions" for k in range(3)
    ]  # fmt: skip
    (legend,) = axes[0].figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["decision boundary", "data of class 0", "mean of the data"]
    plt.close("all")


def test_data_are_dots_of_a_shape_a_class(pieces: Partition, axis: Any) -> None:
    plot(pieces, axis, points=[[0, 0], [1, 1], [0.5, 1]], labels=[0, 1, 1])
    offsets = [c.get_offsets().tolist() for c in axis.collections if not isinstance(c, LineCollection)]
    assert offsets == [[[0, 0]], [[1, 1], [0.5, 1]]]


def test_many_edges_are_drawn_as_pixels_and_few_as_lines(pieces: Partition, axis: Any) -> None:
    plot(pieces, axis)
    assert not any(collection.get_rasterized() for collection in axis.collections)
    many = partition(network_of_many(), None, WINDOW)
    assert len(many.edges) > 5000
    plot(many, axis)
    assert any(collection.get_rasterized() for collection in axis.collections)


def network_of_many() -> nn.Module:
    model = mlp(2, 60, 2, 2, norm="none", seed=0, bias=True)
    with torch.no_grad():
        for k in range(2):
            model.blocks[k].linear.bias.normal_(0, 0.5, generator=torch.Generator().manual_seed(k))
    return model


def test_the_animation_has_a_frame_a_layer_and_one_of_all(pieces: Partition, tmp_path: Path) -> None:
    from PIL import Image

    shallow = partition(network(depth=1), None, WINDOW)
    animate([pieces, shallow], tmp_path / "a.gif", names=["one", "other"], points=[[0.0, 0.0]], seconds=0.5)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 4
        frames, durations = [], []
        for k in range(4):
            image.seek(k)
            durations.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")).copy())
    assert durations == [500, 500, 500, 1250]
    assert all((a != b).any() for a, b in itertools.pairwise(frames))


def widths(axis: Any) -> set[float]:
    """Of all folds that are not grey."""
    return {
        float(collection.get_linewidth()[0])
        for collection in axis.collections
        if isinstance(collection, LineCollection) and to_hex(collection.get_color()[0]) != "#b4bbc2"
    }


def test_all_panels_of_a_figure_and_frames_of_an_animation_have_one_width(
    pieces: Partition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = plot_layers(pieces)
    plt.close("all")
    assert set().union(*map(widths, axes)) == {line_width([pieces])}
    drawn: list[float] = []
    monkeypatch.setattr(animation, "_frame", lambda pictures, *_: drawn.extend(p.width for p in pictures) or frame())
    shallow = partition(network(depth=1), None, WINDOW)
    full = partition(network_of_many(), None, WINDOW)
    animate([shallow, full], tmp_path / "a.gif")
    assert len(drawn) == 6
    assert set(drawn) == {line_width([full])}
    assert line_width([full]) < line_width([shallow])


def frame() -> Image.Image:
    return Image.new("RGB", (4, 4))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_active_units_and_depth_follow_the_layer(pieces: Partition, axis: Any, layer: int) -> None:
    """They are those of the network that is cut off behind the layer."""
    head = nn.Sequential(nn.Flatten(), *list(network().blocks)[: layer + 1])
    cut = partition(head, None, WINDOW)
    plot(pieces, axis, by="active", layer=layer)
    expected = cut.regions.groupby("active")["area"].sum()
    np.testing.assert_allclose(sorted(filled(axis).values()), sorted(expected), rtol=1e-9)
    where = cut.locate(pieces.centroids)
    np.testing.assert_array_equal(born_through(pieces, layer), cut.regions["born"].to_numpy()[where])
    assert sum(lines(axis).values()) == (pieces.edges["fold"].between(0, layer)).sum()


def test_depth_is_the_fold_of_birth_also_of_max_pooling() -> None:
    model = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), Pool(3), nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 1, generator=generator)
    cut = partition(model, None, WINDOW)
    assert set(cut.regions["born"]) >= {0, 1, 2}
    np.testing.assert_array_equal(born_through(cut, 2), cut.regions["born"])
    assert (born_through(cut, -1) == -1).all()


def test_panels_with_one_range_share_their_colours(pieces: Partition, axis: Any) -> None:
    plot(pieces, axis, by="active", active_range=(0, 21))
    colours = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, 22))]
    found = filled(axis)
    for count, area in pieces.regions.groupby("active")["area"].sum().items():
        assert found[colours[count]] == pytest.approx(area)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [f"{k} active" for k in (0, 4, 8, 13, 17, 21)]


def test_the_ends_of_a_range_hold_the_counts_beyond_and_the_legend_says_so(pieces: Partition, axis: Any) -> None:
    counts = pieces.regions["active"]
    fewest, most = int(counts.min()) + 1, int(counts.max()) - 1
    assert fewest < most
    plot(pieces, axis, by="active", active_range=(fewest, most))
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    assert (told[0], told[-1]) == (f"≤ {fewest} active", f"≥ {most} active")
    assert not any("≤" in text or "≥" in text for text in told[1:-1])
    held = pieces.regions.groupby(counts.clip(fewest, most))["area"].sum()
    np.testing.assert_allclose(sorted(filled(axis).values()), sorted(held), rtol=1e-9)


def test_a_range_of_one_count_and_one_from_zero(pieces: Partition) -> None:
    for span, expected in (
        ((12, 12), ["any number active"]),
        ((0, 0), ["≥ 0 active"]),
        (np.array([21, 21]), ["≤ 21 active"]),
    ):
        axis = plot(pieces, Figure().add_subplot(), by="active", active_range=span)
        assert [text.get_text() for text in axis.get_legend().get_texts()] == expected


@pytest.mark.parametrize(
    ("span", "error", "message"),
    [
        ((5, 3), ValueError, "^active_range: the fewest, 5, is above the most, 3$"),
        ((0,), ValueError, "^active_range is .*, two whole numbers, not 1$"),
        ((-1, 3), ValueError, "^active_range: the fewest is at least 0, got -1$"),
        ((0, 10**9), ValueError, "^active_range: of more than 1,000,000 counts"),
        ((0, 1.5), TypeError, "^active_range: the most is a whole number, not 1.5$"),
        ("ab", TypeError, r"^active_range is \(fewest, most\), two whole numbers, not 'ab'$"),
        (3, TypeError, "not 3$"),
        (np.array(3), TypeError, r"not an array of shape \(\)$"),
    ],
)
def test_ranges_that_are_none_are_refused_before_anything_is_drawn(
    pieces: Partition, axis: Any, span: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot(pieces, axis, by="active", active_range=span)
    assert not axis.collections


def test_max_pooling_alone_has_no_active_units_and_the_legend_says_so(axis: Any) -> None:
    pools = partition(nn.Sequential(nn.Linear(2, 6), Pool(2), nn.Linear(3, 2)), None, WINDOW)
    plot(pools, axis, by="active")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["max pooling has no active units"]
    assert set(filled(axis)) == {"#ffffff"}


def test_the_mean_is_a_cross_and_the_legend_tells_it_and_the_classes(pieces: Partition, axis: Any) -> None:
    plot(pieces, axis, layer=1, points=[[0, 0], [1, 1]], labels=[0, 2], mean=[0.5, -0.25])
    crosses = [c for c in axis.collections if not isinstance(c, LineCollection)][-2:]
    assert [c.get_offsets().tolist() for c in crosses] == [[[0.5, -0.25]]] * 2
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "blocks.1.activation", "earlier layers", "data of class 0", "data of class 2", "mean of the data",
    ]  # fmt: skip


def test_of_many_layers_a_legend_tells_some() -> None:
    deep = partition(nn.Sequential(*[p for _ in range(20) for p in (nn.Linear(2, 2), nn.ReLU())]), None, WINDOW)
    axis = plot(deep, Figure().add_subplot())
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    assert len(told) == 8
    assert (told[0], told[-1]) == (deep.folds[0].layer, deep.folds[-1].layer)


def test_dots_have_the_colours_of_the_regions_of_their_class(axis: Any) -> None:
    cut = partition(network(outputs=5), None, WINDOW)
    plot(cut, axis, by="class", points=[[0, 0], [1, 1], [0, 1]], labels=[0, 2, 7])
    dots = [c for c in axis.collections if not isinstance(c, LineCollection)]
    assert [to_hex(c.get_facecolor()[0]) for c in dots] == [
        *(class_colours(5)[k].lower() for k in (0, 2)), "#ffffff",
    ]  # fmt: skip


def test_methods_draw_the_same(pieces: Partition, tmp_path: Path) -> None:
    assert [axis.get_title() for axis in pieces.plot_layers()] == [axis.get_title() for axis in plot_layers(pieces)]
    plt.close("all")
    pieces.animate(tmp_path / "a.gif", points=[[0.0, 0.0]], mean=(0, 0))
    animate(pieces, tmp_path / "b.gif", points=[[0.0, 0.0]], mean=(0, 0))
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


MUST_FAIL: list[tuple[dict[str, Any], str]] = [
    ({"by": "colour"}, r"by='colour': not known; choose from layer, active, class, depth, layer-regions"),
    ({"layer": "relu9"}, r"layer 'relu9': not one of the 3 that fold: blocks\.0\.activation, "),
    ({"layer": 3}, r"layer 3: not one of the 3 that fold"),
    ({"points": [1.0, 2.0]}, r"points have shape \(2,\): coordinates in the plane of the slice are \(m, 2\)$"),
    ({"points": [[1.0, 2.0]], "labels": [1, 2]}, r"1 points need as many labels, not an array of shape \(2,\)"),
    ({"points": [[1.0, 2.0]], "labels": [0.5]}, r"labels are classes: whole numbers from 0 on"),
    ({"points": [[1.0, 2.0]], "labels": [-1]}, r"labels are classes: whole numbers from 0 on"),
    ({"points": [[1.0, 2.0]], "labels": [float("nan")]}, r"labels are classes: whole numbers from 0 on"),
    ({"points": [[1.0, 2.0]], "labels": ["a"]}, r"labels are classes: whole numbers from 0 on, not str_; number names"),
    ({"points": [[1.0, float("nan")]]}, r"points hold nan or infinity: first in row 0, in 1 of 1$"),
    ({"points": [[1.0], [1.0, 2.0]]}, r"points have rows of several lengths: they are no array$"),
    ({"mean": [1.0, 2.0, 3.0]}, r"mean is one point \(x, y\) in the coordinates of the plane, not of shape \(3,\)"),
    ({"mean": [float("inf"), 0]}, r"values of mean hold nan or infinity$"),
    ({"linewidth": 0}, r"linewidth=0: of folds, in points, positive"),
    ({"linewidth": "thin"}, r"linewidth='thin': of folds, in points, positive"),
    ({"layer": 1.5}, r"layer 1\.5: not one of the 3 that fold"),
    ({"layer": -1}, r"layer -1: not one of the 3 that fold"),
    ({"layer": True}, r"layer True: not one of the 3 that fold"),
    ({"layer": "x" * 500}, r"layer 'x{58}…: not one of the 3 that fold"),
    ({"labels": [1]}, r"labels are of points: give points too"),
]


@pytest.mark.parametrize(("keywords", "message"), MUST_FAIL)
def test_what_cannot_be_drawn_is_told(pieces: Partition, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        plot(pieces, **keywords)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"points": [["a", "b"]]}, r"points are a list of 1 \(list\), no array of numbers$"),
        ({"mean": "ab"}, r"values of mean are a str, no array of numbers$"),
    ],
)
def test_what_is_no_number_is_not_drawn(pieces: Partition, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        plot(pieces, **keywords)
    assert plt.get_fignums() == []


def test_there_are_no_classes_without_logits_and_before_the_end(axis: Any) -> None:
    images = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.ReLU(), nn.Unflatten(1, (2, 2)))
    with pytest.raises(ValueError, match=r"^by='class': the model gives no logits; its output has shape 2×2"):
        plot(partition(images, None, WINDOW), axis, by="class")
    with pytest.warns(RuntimeWarning, match="not complete"):
        part = partition(network(), None, WINDOW, max_regions=40)
    with pytest.raises(ValueError, match=r"^by='class': the partition was stopped before its last layer"):
        plot(part, axis, by="class")
    with pytest.raises(ValueError, match=r"^layer 2: the partition was stopped after 1 of 3 folds$"):
        plot(part, axis, layer=2)
    plot(part, axis)
    assert len(plot_layers(part, np.array([axis]))) == part.folds_done == 1


def test_an_animation_that_cannot_be_made_leaves_nothing(pieces: Partition, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with pytest.raises(ValueError, match=r"^nothing to animate: no partition$"):
        animate([], path)
    with pytest.raises(ValueError, match=r"^1 names for 2 partitions$"):
        animate([pieces, pieces], path, names=["a"])
    with pytest.raises(ValueError, match=r"^seconds=0: how long each layer is shown, positive$"):
        animate(pieces, path, seconds=0)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        animate(pieces, tmp_path / "no" / "a.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "module", "told"),
    [
        ("matplotlib", "figures", "figures need matplotlib: pip install 'normscope[plot]'"),
        ("PIL", "animation", "animations need Pillow: pip install 'normscope[images]'"),
    ],
)
def test_without_the_extra_the_message_says_what_to_install(
    missing: str, module: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == missing:
            monkeypatch.setitem(sys.modules, name, None)
    for name in ("figures", "picture", "drawing", "animation"):
        if missing == "matplotlib" or name == module:
            monkeypatch.delitem(sys.modules, f"normscope.spline.pictures.{name}")
    with pytest.raises(ImportError, match=re.escape(told)):
        importlib.import_module(f"normscope.spline.pictures.{module}")


def test_the_animation_of_what_is_not_complete_stops_at_the_layers_that_are_done(tmp_path: Path) -> None:
    first = len(partition(_deep()[:2], None, (-2, 2, -2, 2)))
    with pytest.warns(RuntimeWarning, match="not complete"):
        stopped = partition(_deep(), None, (-2, 2, -2, 2), max_regions=first + 1)
    assert 0 < stopped.folds_done < len(stopped.folds)
    animate(stopped, tmp_path / "stopped.gif")
    with Image.open(tmp_path / "stopped.gif") as image:
        assert image.n_frames == stopped.folds_done + 1


def test_without_a_fold_there_is_no_panel_but_one_frame(tmp_path: Path) -> None:
    flat = partition(nn.Linear(2, 2), None, (-1, 1, -1, 1))
    with pytest.raises(ValueError, match="no layer of this partition folds the window"):
        plot_layers(flat)
    animate(flat, tmp_path / "flat.gif")
    with Image.open(tmp_path / "flat.gif") as image:
        assert image.n_frames == 1


def test_the_animation_says_how_many_layers_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(animation, "_frame", lambda _pictures, _names, title: told.append(title) or frame())
    flat = partition(nn.Linear(2, 2), None, (-1, 1, -1, 1))
    with pytest.warns(RuntimeWarning, match="not complete"):
        stopped = partition(_deep(), None, (-2, 2, -2, 2), max_regions=1)
    assert stopped.folds_done == 0
    animate(flat, tmp_path / "a.gif")
    animate(stopped, tmp_path / "a.gif")
    animate([stopped, flat], tmp_path / "a.gif")
    assert told == ["no layer folds", "no layer done yet", "no layer done yet"]


def _deep() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[part for _ in range(4) for part in (nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))])
