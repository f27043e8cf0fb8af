"""Figures and animations of `normscope partition`: one width, one scale, the mean where the page has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from normscope.report.partition.figure import write_animation, write_figure
from normscope.report.partition.run import run_partition
from normscope.report.partition.settings import PartitionSettings
from normscope.report.partition.study import Partitioned
from normscope.spline.pictures.colours import pale, viridis


@pytest.fixture(scope="module")
def several() -> Partitioned:
    return run_partition(PartitionSettings(norms=("batch", "recenter", "rescale", "none"), width=8, depth=2, batch=40))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *args: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return figures


def coloured_widths(figure: Figure) -> set[float]:
    return {
        float(collection.get_linewidth()[0])
        for axis in figure.axes
        for collection in axis.collections
        if isinstance(collection, LineCollection) and to_hex(collection.get_color()[0]) != "#b4bbc2"
    }


def crosses(figure: Figure) -> list[list[float]]:
    """Where there is a × (its rim and itself), which lies over all else."""
    return [
        collection.get_offsets()[0].tolist()
        for axis in figure.axes
        for collection in axis.collections
        if isinstance(collection, PathCollection) and collection.get_zorder() == 6
    ]


@pytest.mark.parametrize("by", ["layers", "layer", "active", "class", "depth"])
def test_all_panels_have_one_width_and_the_mean(
    several: Partitioned, drawn: list[Figure], by: str, tmp_path: Path
) -> None:
    write_figure(several, tmp_path / "a.svg", by)
    (figure,) = drawn
    assert len(figure.axes) == (8 if by == "layers" else 4)
    assert len(coloured_widths(figure)) == 1
    np.testing.assert_array_equal(crosses(figure), [several.panels[0].mean] * (2 * len(figure.axes)))
    (legend,) = figure.legends
    assert "mean of the data" in [text.get_text() for text in legend.get_texts()]
    figure.draw_without_rendering()
    sizes = [text.get_fontsize() for axis in figure.axes for text in (axis.title, *axis.get_xticklabels())]
    assert min(*sizes, *(text.get_fontsize() for text in legend.get_texts())) >= 7


def test_panels_share_the_colours_of_active_units(several: Partitioned, drawn: list[Figure], tmp_path: Path) -> None:
    write_figure(several, tmp_path / "a.png", "active")
    counts = [panel.partition.regions["active"] for panel in several.panels]
    fewest, most = min(map(min, counts)), max(map(max, counts))
    colours = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, most - fewest + 1))]
    for count, axis in zip(counts, drawn[0].axes, strict=True):
        found = {to_hex(patch.get_facecolor()) for patch in axis.patches if isinstance(patch, PathPatch)}
        assert found == {colours[k - fewest] for k in count}


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("class", "(not complete: active units, no classes yet)"),
        ("active", "(not complete)"),
        ("layer", "(not complete)"),
    ],
)
def test_a_panel_that_is_not_complete_says_so(drawn: list[Figure], by: str, told: str, tmp_path: Path) -> None:
    settings = PartitionSettings(norms=("batch", "none"), width=8, depth=2, batch=40)
    sizes = [len(panel.partition) for panel in run_partition(settings).panels]
    stopped = run_partition(replace(settings, max_regions=min(sizes)))
    assert sorted(panel.partition.complete for panel in stopped.panels) == [False, True]
    write_figure(stopped, tmp_path / "a.png", by)
    for panel, axis in zip(stopped.panels, drawn[0].axes, strict=True):
        assert axis.get_title().splitlines()[2:] == ([] if panel.partition.complete else [told])


def test_before_the_first_layer_nothing_is_cut_yet(drawn: list[Figure], tmp_path: Path) -> None:
    stopped = run_partition(PartitionSettings(norms=("none",), width=8, depth=2, batch=40, max_regions=1))
    write_figure(stopped, tmp_path / "a.png")
    assert [axis.get_title() for axis in drawn[0].axes] == ["not cut yet"]


def test_the_mean_of_three_samples_is_not_drawn(drawn: list[Figure], tmp_path: Path) -> None:
    slice_ = run_partition(PartitionSettings(data="two_moons", samples=(0, 1, 2), width=4, depth=1, norms=("none",)))
    write_figure(slice_, tmp_path / "a.png")
    assert crosses(drawn[0]) == []
    write_animation(slice_, tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size > 0
