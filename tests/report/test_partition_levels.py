"""The page of partitions layer by layer and zoomed: against partitions of the first layers alone and of parts alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from normscope.report import Panel, Partitioned, partition_facts, render_partition
from normscope.report.partition import payload
from normscope.report.partition.words import sentences
from normscope.spline import Partition, decision_boundary, partition
from normscope.spline.cutting.plane import read_extent
from reference.browser import assert_quiet, needs_browser, opened, wait

EXTENT = (-2.0, 3.0, -2.0, 2.0)
CHOOSE = """const input = document.querySelector(arguments[0]); input.value = arguments[1];
            input.dispatchEvent(new Event(arguments[2]))"""
UNCHECK = "for (const id of arguments) if (document.getElementById(id).checked) document.getElementById(id).click()"


class Net(nn.Module):
    """Three folds, a max pooling among them; or the first of them alone."""

    def __init__(self, folds: int = 3) -> None:
        super().__init__()
        self.folds = folds
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.linear = nn.ModuleList([nn.Linear(2, 8), nn.Linear(4, 9), nn.Linear(9, 6)])
            self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool1d(self.linear[0](x)[:, None], 2)[:, 0]
        if self.folds > 1:
            x = functional.hardtanh(self.linear[1](2 * x))
        if self.folds > 2:
            return self.last(torch.relu(self.linear[2](x)))
        return x


class Pools(nn.Module):
    """Max pooling and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool1d(torch.cat([x, -x, 2 * x - 1], 1)[:, None], 3)[:, 0]


def cut(model: nn.Module, extent: tuple[float, ...] = EXTENT) -> Partition:
    return partition(model, None, extent)


def partitioned(found: Partition, labelled: bool = True) -> Partitioned:
    points = np.random.default_rng(0).uniform(-1, 1, (30, 2))
    labels = np.arange(30) % 2 if labelled else None
    complete = found.complete and found.outputs.shape[1] == 2
    boundary = decision_boundary(found).segments if complete else np.empty((0, 2, 2))
    panel = Panel("Net", found, points, labels, points.mean(axis=0), boundary, 0.0)
    plane = "The picture is the whole input space, which is 2-D, in a window"
    return Partitioned((panel,), "Net: a network", "30 points", plane, "", False, None)


def write(found: Partition, path: Path, **options: Any) -> Path:
    shown = partitioned(found, **options)
    path.write_text(render_partition(shown, [partition_facts(panel) for panel in shown.panels]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole() -> Partition:
    return cut(Net())


@pytest.fixture(scope="module")
def page(whole: Partition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(whole, tmp_path_factory.mktemp("levels") / "partition.html")


@pytest.fixture
def browser(page: Path) -> Iterator[Any]:
    with opened(page, "desktop") as driver:
        settle(driver)
        yield driver


def settle(browser: Any) -> None:
    wait(lambda: browser.execute_script("return document.documentElement.dataset.sharp === 'true'"))


def choose(browser: Any, selector: str, value: object, event: str) -> None:
    browser.execute_script(CHOOSE, selector, value, event)
    settle(browser)


def text(browser: Any, selector: str) -> str:
    found: str = browser.execute_script("return document.querySelector(arguments[0]).innerText", selector)
    return " ".join(found.split())


# ---- layer by layer

LEVEL = """const here = partitionLevels.at(partitionMeasure.panels[0], arguments[0]);
           return [here.regions, [...here.born], [...here.active], here.units]"""
BORDER = """const panel = partitionMeasure.panels[0], level = panel.done;
            return [...partitionLevels.bornBy(panel, level, partitionLevels.merged(panel, level))]"""


@needs_browser
def test_the_first_layers_are_those_of_the_network_that_ends_there(browser: Any, whole: Partition) -> None:
    for level in (1, 2, 3):
        regions, born, active, units = browser.execute_script(LEVEL, level)
        alone = cut(Net(level))
        held = alone.regions.iloc[alone.locate(whole.centroids)]
        assert regions == len(alone)
        np.testing.assert_array_equal(born, held["born"] + 1)
        np.testing.assert_array_equal(active, held["active"])
        assert units == {1: 0, 2: 9, 3: 15}[level]
    np.testing.assert_array_equal(browser.execute_script(BORDER), whole.regions["born"] + 1)


PIXELS = """const { w, h, picture } = partitionMeasure.panels[0];
            const { data } = picture.getContext('2d').getImageData(0, 0, w, h);
            return arguments[0].map(([x, y]) => {
              const at = 4 * (Math.floor(y * h) * w + Math.floor(x * w));
              return '#' + [...data.slice(at, at + 3)].map(v => v.toString(16).padStart(2, '0')).join('');
            })"""


@needs_browser
@pytest.mark.parametrize("level", [1, 2, 3])
def test_colours_are_those_of_the_layers_that_are_shown(browser: Any, level: int) -> None:
    browser.execute_script(UNCHECK, "lines")
    alone = cut(Net(level))
    places = np.random.default_rng(1).uniform(0.02, 0.98, (60, 2))
    held = alone.regions.iloc[alone.locate([-2, 2] + places * [5, -4])]
    choose(browser, "#level", level, "input")
    choose(browser, "#by", "active", "change")
    counts = held["active"].to_numpy()
    low, high = alone.regions["active"].min(), alone.regions["active"].max()
    ramp = np.array(payload.RAMP)[np.rint((counts - low) / max(1, high - low) * 63).astype(int)]
    shown = np.array(browser.execute_script(PIXELS, places.tolist()))
    assert (shown == ramp).mean() > 0.9  # the others are on an edge to the pixel
    layers = {1: "of layer 1; max pooling has none", 2: "of layers ≤ 2", 3: "of all layers"}[level]
    assert text(browser, ".ramp") == (f"{low} {high}" if high > low else f"{low}") + f" active units, {layers}"
    choose(browser, "#by", "born", "change")
    shown = np.array(browser.execute_script(PIXELS, places.tolist()))
    assert len(set(shown[held["born"] == level - 1])) <= 3  # a colour, where no edge is
    assert len(set(shown)) >= len(held["born"].unique())


@needs_browser
def test_a_region_of_the_first_layers_tells_what_they_make_of_it(browser: Any, whole: Partition) -> None:
    choose(browser, "#level", 2, "input")
    told = browser.execute_script(POINT, 0.4, 0.6)
    alone = cut(Net(2))
    at = [[-2 + 0.4 * 5, 2 - 0.6 * 4]]
    row = alone.regions.iloc[alone.locate(at)[0]]
    where = re.match(r"x (\S+), y (\S+) · Region of the first 2 layers: last cut in layer ", told)
    assert where is not None
    assert [float(value.replace("−", "-")) for value in where.groups()] == pytest.approx(at[0], abs=0.01)
    assert f"; {row['active']} of 9 units active (layers ≤ 2); " in told
    assert f" in layer {row['born'] + 1} ({row['layer']}); " in told
    inside = (alone.locate(whole.centroids) == alone.locate(at)[0]).sum()
    assert told.endswith(f"; later layers divide it into {inside}." if inside > 1 else "; later layers leave it whole.")
    assert "class" not in told


POINT = """const over = document.querySelector('.over'), box = over.getBoundingClientRect();
           over.dispatchEvent(new PointerEvent('pointermove', { pointerType: 'mouse', bubbles: true,
             clientX: box.left + arguments[0] * box.width, clientY: box.top + arguments[1] * box.height }));
           return document.querySelector('.told').textContent"""
INK = """const { w, h, over } = partitionMeasure.panels[0];
         return over.getContext('2d').getImageData(0, 0, w, h).data.some(value => value)"""


@needs_browser
def test_the_decision_boundary_is_of_all_layers(browser: Any) -> None:
    browser.execute_script(UNCHECK, "dots")
    choose(browser, "#level", 3, "input")
    assert browser.execute_script(INK)
    choose(browser, "#level", 2, "input")
    assert not browser.execute_script(INK)
    assert browser.execute_script("return document.querySelector('#boundary').disabled")
    assert text(browser, ".boxes label:last-child") == "decision boundary (all layers)"


@needs_browser
def test_where_counts_are_too_many_they_are_of_all_layers(
    whole: Partition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "_COUNTS", 3 * len(whole) - 1)
    page = write(whole, tmp_path / "partition.html")
    with opened(page, "desktop") as browser:
        choose(browser, "#level", 2, "input")
        choose(browser, "#by", "active", "change")
        active = whole.regions["active"]
        assert text(browser, ".ramp") == f"{active.min()} {active.max()} active units, of all layers"
        assert text(browser, "#by option:checked") == "active units (all layers)"
        assert "units active" not in browser.execute_script(POINT, 0.4, 0.6)
        choose(browser, "#level", 3, "input")
        assert "of 15 units active" in browser.execute_script(POINT, 0.4, 0.6)
        assert_quiet(browser, page)


# ---- what is in view

ZOOM = """const over = document.querySelector('.over'), box = over.getBoundingClientRect();
          for (let k = 0; k < arguments[0]; k++) over.dispatchEvent(new WheelEvent('wheel', { deltaY: -200,
            clientX: box.left + arguments[1] * box.width, clientY: box.top + arguments[2] * box.height,
            bubbles: true, cancelable: true }));
          const { view } = partitionMeasure; return [view.x, view.y, view.zoom]"""


@needs_browser
@pytest.mark.parametrize("level", [2, 3])
def test_regions_in_view_are_those_of_a_window_that_small(browser: Any, level: int) -> None:
    choose(browser, "#level", level, "input")
    top = browser.execute_script("return document.querySelector('.view').getBoundingClientRect().top")
    far = 1
    for steps in (2, 3, 30):
        x, y, zoom = browser.execute_script(ZOOM, steps, 0.3, 0.55)
        settle(browser)
        x0, y1, far = -2 + 5 * x, -2 + 5 * y, zoom
        part = cut(Net(level), (x0, x0 + 5 / zoom, y1 - 4 / zoom, y1))
        so_far = " so far" if level < 3 else ""
        assert text(browser, ".count") == f"{len(part)} of {len(cut(Net(level)))} regions{so_far} in view"
        told = re.search(r"--extent=(\S+)\.$", text(browser, "#view"))
        assert told is not None
        np.testing.assert_allclose([float(v) for v in told[1].split(",")], part.extent, rtol=0, atol=0.01 / zoom)
        assert top == browser.execute_script("return document.querySelector('.view').getBoundingClientRect().top")
    assert far == 1e6
    browser.execute_script("document.querySelector('#all').click()")
    settle(browser)
    assert "in view" not in text(browser, ".count")
    assert "--extent" not in text(browser, "#view")


MARKS = """const box = document.querySelector('.view').getBoundingClientRect();
           const marks = side => [...document.querySelectorAll(`.axis.${side} span:not([hidden])`)];
           return ['x', 'y'].map(side => marks(side).map(mark => {
             const line = mark.firstChild.getBoundingClientRect(), text = mark.lastChild.getBoundingClientRect();
             const at = side === 'x' ? (line.left - box.left) / box.width : (box.bottom - line.top) / box.height;
             const [from, to] = side === 'x' ? [text.left, text.right] : [text.top, text.bottom];
             return [mark.textContent, at, from, to, text.left, text.right, box.left];
           }))"""


@needs_browser
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_numbers_beside_the_picture_stand_where_they_belong(page: Path, size: str) -> None:
    with opened(page, size) as browser:
        settle(browser)
        for steps in (0, 4, 9, 30):
            x, y, zoom = browser.execute_script(ZOOM, steps, 0.37, 0.51)
            settle(browser)
            across, up = browser.execute_script(MARKS)
            assert 1 <= len(across) <= 8
            assert 1 <= len(up) <= 8
            for marks, low, length in ((across, -2 + 5 * x, 5 / zoom), (up, -2 + 5 * y - 4 / zoom, 4 / zoom)):
                for written, at, *_ in marks:
                    assert low + at * length == pytest.approx(float(written.replace("−", "-")), abs=0.01 * length)
                spans = sorted(mark[2:4] for mark in marks)
                assert all(one[1] < other[0] for one, other in pairwise(spans))
            assert all(left >= 0 and right < box for *_, left, right, box in up)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
        assert zoom == 1e6


@needs_browser
@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-3e7, 5e7), (1e-9, 3e-9), (12345.678901, 12345.678902), (-0.04, -0.03), (9.99e5, 1.001e6)],
)
def test_ticks_are_few_round_and_can_be_read_back(browser: Any, low: float, high: float) -> None:
    for pixels in (150, 320, 1500):
        ticks = browser.execute_script("return partitionAxes.ticks(...arguments)", low, high, pixels, 84)
        assert 1 <= len(ticks) <= 8
        assert len({tick["text"] for tick in ticks}) == len(ticks)
        powers = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
        for tick in ticks:
            number, _, power = tick["text"].partition("·10")
            read = float(f"{number.translate(powers)}e{power.translate(powers) or 0}")
            assert read == pytest.approx(tick["value"], rel=1e-15, abs=1e-6 * (high - low))
            assert low - 1e-9 * (high - low) <= tick["value"] <= high + 1e-9 * (high - low)


@needs_browser
def test_ticks_end_where_doubles_are_as_far_apart_as_they(browser: Any) -> None:
    ticks = "return arguments[0].map(window => partitionAxes.ticks(...window, 600, 84).map(tick => tick.value))"
    rng = np.random.default_rng(4)
    lows = 10 ** rng.uniform(-20, 20, 500) * rng.choice([-1, 1], 500)
    for parts, least in ((2, 0), (8, 0), (64, 1), (1e3, 1), (1e9, 1)):
        windows = [(low, low + parts * np.spacing(abs(low))) for low in lows]
        for (low, high), found in zip(windows, browser.execute_script(ticks, windows), strict=True):
            assert least <= len(found) <= (8 if least else 0)
            assert all(low <= value <= high for value in found)
            assert (np.diff(found) > 0).all()
    nothing = [(0, 0), (1, 1), (2, 1)]
    assert browser.execute_script(ticks, nothing) == [[], [], []]


@needs_browser
def test_the_part_in_view_is_written_as_the_command_takes_it(browser: Any) -> None:
    rng = np.random.default_rng(5)
    windows = []
    for exponent in range(-90, 90, 3):
        for far in (0, 1e-3, 1, 1e3, 1e8, 1e11, 1e14):
            low, length = rng.uniform(-1, 1, 2) * far, rng.uniform(0.2, 1, 2)
            corners = 10.0**exponent * np.stack([low, low + length], axis=1)
            windows.append(corners.ravel().tolist())
    written = browser.execute_script("return arguments[0].map(partitionTelling.extent)", windows)
    for window, told in zip(windows, written, strict=True):
        x0, x1, y0, y1 = window
        narrow = min(x1 - x0, y1 - y0) / (max(map(abs, window)) + max(x1 - x0, y1 - y0))
        if told is None:
            assert narrow < 1.01 * 2**-40
            continue
        assert narrow > 0.99 * 2**-40
        found = np.array(read_extent([float(value) for value in told.split(",")]))
        np.testing.assert_allclose((found - window) / np.repeat([x1 - x0, y1 - y0], 2), 0, atol=1e-3)
    assert 0.1 < np.mean([told is None for told in written]) < 0.5
    assert browser.execute_script("return partitionTelling.extent([0, 1e-101, 0, 1e-101])") is None


@needs_browser
@pytest.mark.parametrize(
    ("value", "pixel", "told"),
    [
        (0, 1e-33, "0"), (-1e-30, 1e-20, "0"), (3e14, 1e27, "0"), (3, 1e27, "0"), (2.5e30, 1e27, "2.5000·10³⁰"),
        (-2.5e-30, 1e-32, "−2.500·10⁻³⁰"), (0, 1e-3, "0.000"), (-1e-9, 1e-3, "0.000"), (1e6, 1, "1000000"),
    ],
)  # fmt: skip
def test_coordinates_have_the_digits_of_a_pixel(browser: Any, value: float, pixel: float, told: str) -> None:
    assert browser.execute_script("return partitionTelling.coordinate(...arguments)", value, pixel) == told


STATES = """const texts = () => [document.querySelector('main').innerText,
             ...[...document.querySelectorAll('main [style]')].map(e => e.getAttribute('style'))].join('\\n');
            return texts()"""


@needs_browser
@pytest.mark.parametrize(
    "extent",
    [
        (0, 1e30, -1e30, 1e30),
        (1e30, 1.5e30, -2e30, -1e30),
        (-1e-30, 2e-30, 0, 1e-30),
        (1e-30, 1.001e-30, 0, 1e-33),
        (1e6, 1e6 + 1e-5, 0, 1e-5),
        (1e8, 1e8 + 1e-3, -1e8, -1e8 + 1e-3),
    ],
)
def test_windows_far_large_and_tiny_have_numbers_everywhere(extent: tuple[float, ...], tmp_path: Path) -> None:
    page = write(cut(Net(), extent), tmp_path / "partition.html")
    x0, x1, y0, y1 = extent
    farthest, longest = max(map(abs, extent)), max(x1 - x0, y1 - y0)
    with opened(page, "desktop") as browser:
        settle(browser)
        for steps in (0, 5, 15, 30):
            x, y, zoom = browser.execute_script(ZOOM, steps, 0.37, 0.51)
            assert "Region " in browser.execute_script(POINT, 0.4, 0.6)
            settle(browser)
            seen = browser.execute_script(STATES)
            assert not re.search("NaN|Infinity|undefined|null", seen)
            part = (x1 - x0) / zoom
            assert part / 1200 >= np.spacing(farthest)  # a pixel
            across, up = browser.execute_script(MARKS)
            assert 1 <= len(across) <= 8
            assert 1 <= len(up) <= 8
            told = re.search(r"--extent=(\S+)\.$", text(browser, "#view"))
            assert (told is None) == (zoom == 1)
            if told is not None:
                found = read_extent([float(value) for value in told[1].split(",")])
                corner = [x0 + (x1 - x0) * x, y0 + (x1 - x0) * y]
                np.testing.assert_allclose([found[0], found[3]], corner, rtol=1e-15, atol=2e-3 * part)
        closest = min(1e6, min(x1 - x0, y1 - y0) / (2**-40 * (farthest + longest)))
        assert zoom == pytest.approx(closest, rel=1e-12)
        assert_quiet(browser, page)


# ---- legends, and networks with little to see


@needs_browser
def test_marks_of_the_data_have_a_legend(browser: Any) -> None:
    assert text(browser, ".markers") == "data: class 0 class 1 mean"
    drawn = """return [...document.querySelectorAll('.markers canvas')].map(c =>
               c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join())"""
    marks = browser.execute_script(drawn)
    assert len(set(marks)) == 3
    choose(browser, "#by", "class", "change")
    coloured = browser.execute_script(drawn)
    assert [one != other for one, other in zip(marks, coloured, strict=True)] == [True, True, False]
    browser.execute_script(UNCHECK, "dots")
    assert browser.execute_script("return document.querySelector('.markers').offsetParent") is None


def test_data_without_labels_has_a_legend_too(whole: Partition, tmp_path: Path) -> None:
    written = write(whole, tmp_path / "partition.html", labelled=False).read_text(encoding="utf-8")
    assert '<canvas data-label="-1" aria-hidden="true"></canvas>data</span>' in written
    assert "class 0</span>" not in written


@needs_browser
def test_max_pooling_alone_has_no_active_units(tmp_path: Path) -> None:
    page = write(cut(Pools()), tmp_path / "partition.html")
    with opened(page, "desktop") as browser:
        settle(browser)
        assert text(browser, "#by [value=active]") == "active units (max pooling has none)"
        assert browser.execute_script("return document.querySelector('#by [value=active]').disabled")
        assert "active" not in browser.execute_script(POINT, 0.4, 0.6)
        assert_quiet(browser, page)


def test_lines_are_told_where_the_first_layer_has_some() -> None:
    (panel,) = partitioned(cut(Pools())).panels
    facts = partition_facts(panel)
    assert (facts.lines, facts.central) == (None, None)
    assert facts.regions > 1
    assert not any("first layer" in sentence for sentence in sentences(panel, facts))
    first = nn.Linear(2, 3)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        first.bias.zero_()
    behind = nn.Sequential(first, nn.ReLU(), Pools())
    (panel,) = partitioned(cut(behind)).panels
    assert partition_facts(panel).lines == 3
    with pytest.warns(RuntimeWarning, match="not complete"):
        stopped = partition(behind, None, EXTENT, max_regions=1)
    assert partition_facts(partitioned(stopped).panels[0]).lines is None


@needs_browser
def test_a_network_that_does_not_fold_has_no_layers_to_choose(tmp_path: Path) -> None:
    page = write(cut(nn.Linear(2, 2)), tmp_path / "partition.html")
    with opened(page, "phone") as browser:
        settle(browser)
        assert "The network has nothing that folds: it is affine." in text(browser, ".panel")
        assert (
            browser.execute_script(
                "return ['.level', '.chips', 'table', '[value=active]', '[value=born]'].map(s => "
                "document.querySelector(s)?.offsetParent ?? null)"
            )
            == [None] * 5
        )
        assert text(browser, ".count") == "1 region"
        assert "cut by no layer" in browser.execute_script(POINT, 0.4, 0.6)
        assert_quiet(browser, page)


# ---- phones and large screens


@contextmanager
def touched(page: Path) -> Iterator[Any]:
    """The page on a phone that has no mouse."""
    with opened(page, "phone") as browser:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
        browser.get(page.as_uri())
        wait(lambda: browser.execute_script("return document.documentElement.dataset.ready === 'true'"))
        settle(browser)
        yield browser
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@needs_browser
def test_fingers_are_told_of_and_zoom(page: Path) -> None:
    with touched(page) as browser:
        assert text(browser, ".told") == "Two fingers zoom, one moves what is zoomed; tap a region."
        browser.execute_script("document.querySelector('.view').scrollIntoView()")
        scrolled = browser.execute_script("return scrollY")

        def touch(kind: str, *places: tuple[float, float]) -> None:
            box = browser.execute_script("return document.querySelector('.view').getBoundingClientRect().toJSON()")
            points = [{"x": box["x"] + a * box["width"], "y": box["y"] + b * box["height"]} for a, b in places]
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", (0.5, 0.55))
        touch("touchStart", (0.5, 0.55), (0.5, 0.45))
        for step in range(1, 11):  # one finger stays, as for scrolling
            touch("touchMove", (0.5, 0.55), (0.5, 0.45 - 0.035 * step))
        touch("touchEnd")
        settle(browser)
        assert browser.execute_script("return partitionMeasure.view.zoom") > 3
        assert browser.execute_script("return scrollY") == scrolled
        touch("touchStart", (0.3, 0.4))
        touch("touchEnd")
        assert " · Region " in text(browser, ".told")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width


BREAKS = """const facts = document.querySelector('.facts'), words = facts.firstChild;
            const range = document.createRange(), from = words.data.search(/2.D/), found = [];
            range.setStart(words, from);
            range.setEnd(words, from + 3);
            for (let width = 80; width < 380; width += 2) {
              facts.style.width = `${width}px`;
              if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) found.push(width);
            }
            return found"""


@needs_browser
def test_no_line_ends_within_2_d(page: Path) -> None:
    with opened(page, "phone") as browser:
        assert browser.execute_script(BREAKS) == []


@needs_browser
@pytest.mark.parametrize("size", [(390, 844), (1280, 900), (1920, 1080)])
def test_nothing_is_covered_or_cut_off(page: Path, size: tuple[int, int]) -> None:
    with opened(page, "phone" if size[0] < 400 else "desktop") as browser:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 400}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.execute_script("document.querySelector('#closer').click()")
        settle(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        table = "const box = document.querySelector('.scroll'); return box.scrollWidth <= box.clientWidth"
        assert browser.execute_script(table)
        sticky = """return [...document.querySelectorAll('main *')].filter(e =>
                    ['sticky', 'fixed'].includes(getComputedStyle(e).position)).map(e => e.className)"""
        assert browser.execute_script(sticky) == ([] if size[0] < 400 else ["bar"])
