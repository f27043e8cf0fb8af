"""The page of partitions: its bytes, its numbers and sentences, and the page in a real browser against `locate`."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normscope.report import (
    Partitioned,
    PartitionError,
    PartitionSettings,
    partition_facts,
    partition_lines,
    partition_numbers,
    render_partition,
    run_partition,
)
from normscope.report.partition.payload import pack, partition_payload
from normscope.report.partition.words import sentences
from reference.browser import SIZES, assert_quiet, needs_browser, opened, wait

EVIL = "</script><img src=x onerror=document.title='evil'>"
OFF = 0.5 + 0.01370412  # where the script samples a row of pixels


@pytest.fixture(scope="module")
def made() -> Partitioned:
    settings = PartitionSettings(norms=("batch", "none"), batch=40, depth=3, width=5, seed=1, extent=(-2, 3, -2, 2))
    return run_partition(settings)


@pytest.fixture(scope="module")
def page(made: Partitioned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("partition") / "partition.html"
    facts = [partition_facts(panel) for panel in made.panels]
    renamed = [dataclasses.replace(made.panels[0], name=EVIL), made.panels[1]]
    changed = dataclasses.replace(made, panels=tuple(renamed), data=EVIL)
    path.write_text(render_partition(changed, facts, f"normscope partition {EVIL}"), encoding="utf-8")
    return path


@pytest.fixture(params=SIZES)
def browser(request: pytest.FixtureRequest, page: Path) -> Iterator[Any]:
    with opened(page, request.param) as driver:
        settle(driver)
        yield driver


def settle(browser: Any) -> None:
    wait(lambda: browser.execute_script("return document.documentElement.dataset.sharp === 'true'"))


# ---- bytes, numbers, sentences


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
def test_packed_numbers_are_the_numbers(kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 255, 1000).astype(kind) * np.array(1, dtype=kind)
    packed = pack(values)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    size = int(kind[1])
    restored = np.ascontiguousarray(planes.reshape(size, -1).T).view(f"<{kind}").ravel()
    assert (packed["type"], packed["count"]) == (kind, 1000)
    np.testing.assert_array_equal(restored, values)


def test_the_payload_holds_every_edge_and_region(made: Partitioned) -> None:
    facts = [partition_facts(panel) for panel in made.panels]
    payload = partition_payload(made.panels, facts)
    json.dumps(payload, allow_nan=False)
    for panel, shown in zip(made.panels, payload["panels"], strict=True):
        partition = panel.partition
        assert shown["vertices"]["count"] == 2 * len(partition.vertices)
        assert shown["start"]["count"] == shown["fold"]["count"] == len(partition.edges)
        assert shown["share"]["count"] == shown["born"]["count"] == len(partition.area)
        assert shown["through"][-1] == len(partition.area)
        assert len(shown["dots"]["at"]) == 40


def test_facts_are_those_of_the_partition(made: Partitioned) -> None:
    batch, none = (partition_facts(panel) for panel in made.panels)
    for told, panel in ((batch, made.panels[0]), (none, made.panels[1])):
        area = panel.partition.area
        assert told.area == pytest.approx(area.sum())
        assert area[area > told.half_area].sum() <= told.area / 2 <= area[area >= told.half_area].sum()
        own = area[panel.partition.locate(panel.points)]
        assert (own > told.data_area).sum() <= 20 <= (own >= told.data_area).sum()
        assert [layer.regions for layer in told.layers] == sorted(layer.regions for layer in told.layers)
        edges = panel.partition.edges
        inner = edges[(edges["left"] >= 0) & (edges["right"] >= 0) & (edges["fold"] == 1)]
        ends = panel.partition.vertices
        length = np.linalg.norm(ends[inner["start"]] - ends[inner["end"]], axis=1).sum()
        assert told.layers[1].length == pytest.approx(length)
    assert batch.central == batch.lines == 5
    assert none.central == 0
    assert none.farthest > 0.1


def test_sentences_say_what_was_computed(made: Partitioned) -> None:
    batch, none = ((panel, partition_facts(panel)) for panel in made.panels)
    assert sentences(*batch)[0].startswith("5 lines of the first layer cross the window; all go through the mean")
    assert "none goes through the mean of the data" in sentences(*none)[0]
    some = dataclasses.replace(batch[1], central=1, lines=3)
    assert "; 1 of them goes through the mean of the data, ×." in sentences(batch[0], some)[0]
    one = dataclasses.replace(batch[1], central=1, lines=1)
    assert sentences(batch[0], one)[0] == (
        "1 line of the first layer crosses the window; it goes through the mean of the data, ×."
    )
    few = dataclasses.replace(batch[1], regions=4)
    assert not any("Half of the window" in sentence for sentence in sentences(batch[0], few))
    none_crosses = dataclasses.replace(batch[1], regions=1, lines=0, central=0)
    assert sentences(batch[0], none_crosses) == ["No fold crosses the window: the network is affine on it."]
    stopped = dataclasses.replace(none_crosses, complete=False)
    assert sentences(batch[0], stopped) == []
    off_plane = dataclasses.replace(batch[1], central=None, points=3)
    assert len(sentences(batch[0], off_plane)) == 1
    assert "data point" not in sentences(batch[0], off_plane)[0]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_screen(made: Partitioned, width: int) -> None:
    facts = [partition_facts(panel) for panel in made.panels]
    lines = partition_lines(made, facts, width)
    assert max(map(len, lines)) <= width
    assert any(line.startswith("3  ") and line.endswith(f"{facts[1].regions}") for line in lines)


def test_of_very_many_layers_the_middle_is_left_out(made: Partitioned) -> None:
    facts = [partition_facts(panel) for panel in made.panels]
    deep = dataclasses.replace(facts[0], layers=facts[0].layers * 30)
    lines = partition_lines(made, [deep, facts[1]], 80)
    assert "… 50 more …" in lines


def test_numbers_are_json_and_say_their_command(made: Partitioned) -> None:
    facts = [partition_facts(panel) for panel in made.panels]
    found = json.loads(json.dumps(partition_numbers(made, facts, "the command"), allow_nan=False))
    assert found["command"] == "the command"
    assert found["extent"] == [-2, 3, -2, 2]
    assert [picture["name"] for picture in found["pictures"]] == ["Batch norm", "No norm"]
    assert found["pictures"][0]["farthest"] < 1e-9
    assert found["pictures"][1]["layers"][0]["units"] == 5
    nothing = dataclasses.replace(facts[0], data_area=float("nan"))
    assert partition_numbers(made, [nothing, facts[1]], "")["pictures"][0]["data_area"] is None


def test_the_page_is_self_contained_and_everything_in_it_escaped(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text) < 300_000  # no library is in it
    assert "default-src 'none'" in text
    assert "<img" not in text
    payload = re.search(r'<script type="application/json" id="payload">(.*?)</script>', text, re.DOTALL)
    assert payload is not None
    assert json.loads(payload[1])["panels"][0]["name"] == EVIL


def test_what_is_not_complete_is_told() -> None:
    stopped = run_partition(PartitionSettings(norms=("none", "batch", "rescale"), batch=40, max_regions=30))
    assert stopped.stopped == (
        "No norm has more than 30 regions and is drawn with the first of 4 layers; "
        "Batch norm has more than 30 regions and is drawn with the first of 4 layers; "
        "Rescale only has more than 30 regions and is drawn with the first of 4 layers: "
        "raise --max-regions, or take a smaller window with --extent"
    )
    facts = [partition_facts(panel) for panel in stopped.panels]
    assert facts[0].regions <= 30
    assert not facts[0].complete
    text = render_partition(stopped, facts)
    assert "<b>Not complete.</b> No norm has more than 30 regions" in text
    assert 'value="class"' not in text
    assert "–" in "".join(partition_lines(stopped, [facts[0], facts[0], dataclasses.replace(facts[0], layers=())], 80))


@needs_browser
def test_a_page_of_pictures_that_are_not_complete_draws(tmp_path: Path) -> None:
    stopped = run_partition(PartitionSettings(norms=("none", "batch"), batch=40, width=4, max_regions=60))
    facts = [partition_facts(panel) for panel in stopped.panels]
    assert [told.complete for told in facts] == [True, False]
    page = tmp_path / "partition.html"
    page.write_text(render_partition(stopped, facts), encoding="utf-8")
    with opened(page, "phone") as browser:
        settle(browser)
        for layer in range(1, 6):
            browser.execute_script(CHOOSE, "#level", layer, "input")
        settle(browser)
        counts = browser.execute_script("return [...document.querySelectorAll('.count')].map(c => c.textContent)")
        done = len(facts[1].layers)
        assert counts == [f"{facts[0].regions} regions", f"{facts[1].regions} regions, {done} of 4 layers"]
        assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
        assert_quiet(browser, page)


def test_ctrl_c_keeps_what_is_done() -> None:
    def run(at: str) -> Partitioned:
        def progress(done: float, total: float, what: str) -> None:
            if what.startswith(at):
                raise KeyboardInterrupt

        return run_partition(PartitionSettings(batch=40), progress)

    kept = run("No norm: blocks.2")
    assert kept.stopped == "interrupted: No norm is drawn with the first 2 of 4 layers; 2 of 2 pictures"
    assert [panel.partition.folds_done for panel in kept.panels] == [4, 2]
    early = run("Batch norm: blocks.1")
    assert early.stopped == "interrupted: Batch norm is drawn with the first of 4 layers; 1 of 2 pictures"


MUST_FAIL: list[tuple[dict[str, Any], str]] = [
    ({"norms": ("layer",)}, "--norm layer: not known; choose from none, recenter, rescale, batch"),
    ({"norms": ("none", "none")}, "--norm none: named twice"),
    ({"batch": 1}, "--batch 1: at least 2"),
    ({"width": 0}, "--width 0: at least 1"),
    ({"max_regions": 0}, "--max-regions 0: at least 1"),
    ({"offsets": float("nan")}, "--offsets nan: a finite standard deviation, at least 0"),
    (
        {"activation": "gelu"},
        "--activation gelu: not known, or not piecewise affine; choose from leaky_relu, relu, abs",
    ),
    ({"statistics": "moving"}, "--statistics moving: choose batch or running"),
    ({"keywords": {"a": 1}}, "--kw and --weights are for a model of yours: name it, as pkg.module:factory"),
    ({"samples": (0, 1)}, "--samples 0,1: a plane goes through three samples, as --samples 0,1,2"),
    ({"samples": (0, 1, 1)}, "--samples 0,1,1: three different samples, or there is no plane through them"),
    ({"samples": (0, 1, 200), "batch": 200}, "--samples 0,1,200: the 200 samples have numbers 0 to 199"),
    ({"extent": (0, 1, 2)}, "--extent 0,1,2: four numbers, xmin,xmax,ymin,ymax"),
    ({"extent": (0, 1, 2, 2)}, "--extent 0,1,2,2: the window is empty; xmin < xmax and ymin < ymax"),
    ({"seed": -1}, "--seed -1: a seed is from 0 to 2³² − 1"),
]


@pytest.mark.parametrize(("keywords", "message"), MUST_FAIL)
def test_settings_that_cannot_run_are_told(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(PartitionError) as caught:
        PartitionSettings(**keywords)
    assert str(caught.value) == message


# ---- in a browser

IDS = """const panel = partitionMeasure.panels[arguments[0]], of = panel.shown;
         return [panel.w, panel.h, of.x, of.y, of.k, [...panel.buffers.ids]]"""


def assert_pixels_are_located(browser: Any, made: Partitioned) -> None:
    """Each pixel's region is the one that `Partition.locate` finds at its sampling point."""
    for index, panel in enumerate(made.panels):
        w, h, x, y, k, ids = browser.execute_script(IDS, index)
        rows, columns = np.mgrid[0:h:7, 0:w:5]
        x0, x1, y0, _ = panel.partition.extent
        wide = x1 - x0
        points = np.stack([x0 + wide * (x + (columns + 0.5) / k), y0 + wide * (y - (rows + OFF) / k)], axis=-1)
        found = panel.partition.locate(points.reshape(-1, 2))
        shown = np.array(ids).reshape(h, w)[rows, columns].ravel() - 1
        assert (found >= 0).all()
        np.testing.assert_array_equal(shown, found)


@needs_browser
def test_draws_quietly_fits_and_shows_the_right_regions(browser: Any, page: Path, made: Partitioned) -> None:
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
    assert browser.execute_script("return document.title") != "evil"
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert_pixels_are_located(browser, made)
    for _ in range(3):
        browser.execute_script(WHEEL, -150, 0.3, 0.6)
    settle(browser)
    assert browser.execute_script("return partitionMeasure.view.zoom") > 2
    assert_pixels_are_located(browser, made)
    assert_quiet(browser, page)


WHEEL = """const over = document.querySelector('.over'), box = over.getBoundingClientRect();
           over.dispatchEvent(new WheelEvent('wheel', { deltaY: arguments[0],
             clientX: box.left + arguments[1] * box.width,
             clientY: box.top + arguments[2] * box.height, bubbles: true, cancelable: true }));"""
POINT = """const over = document.querySelector('.over'), box = over.getBoundingClientRect();
           over.dispatchEvent(new PointerEvent('pointermove', { pointerType: 'mouse', bubbles: true,
             clientX: box.left + arguments[0] * box.width, clientY: box.top + arguments[1] * box.height }));
           return [...document.querySelectorAll('.told')].map(told => told.textContent)"""
CHOOSE = """const input = document.querySelector(arguments[0]); input.value = arguments[1];
            input.dispatchEvent(new Event(arguments[2]))"""


@needs_browser
def test_tells_the_region_that_is_pointed_at(browser: Any, made: Partitioned) -> None:
    told = browser.execute_script(POINT, 0.25, 0.3)
    for text, panel in zip(told, made.panels, strict=True):
        partition = panel.partition
        (region,) = partition.locate([[-2 + 0.25 * 5, 2 - 0.3 * 4]])
        row = partition.regions.iloc[region]
        assert f" · Region {region}: last cut in layer {row['born'] + 1} ({row['layer']}); " in text
        assert f"; {row['active']} of 15 units active; " in text
        share = re.search(r"\(([\d.·⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+) % of the window\)", text)
        assert share is not None
        assert "·" in share[1] or float(share[1]) == pytest.approx(100 * row["area"] / 20, rel=0.01)
        logits = partition.affine(int(region))
        label = int((logits[0] @ [-0.75, 0.8] + logits[1]).argmax())
        assert re.search(rf"; (here )?class {label};", text)


@needs_browser
def test_layers_are_shown_one_after_the_other(browser: Any, made: Partitioned) -> None:
    counts = [[layer.regions for layer in partition_facts(panel).layers] for panel in made.panels]
    for layer in (1, 2, 3):
        browser.execute_script(CHOOSE, "#level", layer, "input")
        shown = browser.execute_script("return [...document.querySelectorAll('.count')].map(c => c.textContent)")
        so_far = " so far" if layer < 3 else ""
        assert shown == [f"{column[layer - 1]:,} regions{so_far}" for column in counts]
        assert browser.execute_script("return document.querySelector('#level-name').textContent").startswith(
            f"layer {layer} of 3 (blocks.{layer - 1}"
        )
    browser.execute_script(CHOOSE, "#level", 1, "input")
    settle(browser)
    told = browser.execute_script(POINT, 0.25, 0.3)[0]
    parts = re.search(r" · Region of the first layer: .*; area (\S+) \(.*; later layers divide it into (\d+)\.$", told)
    assert parts is not None
    from normscope.spline.pictures.merging import merged_regions

    partition = made.panels[0].partition
    merged = merged_regions(partition, 0)
    (region,) = partition.locate([[-2 + 0.25 * 5, 2 - 0.3 * 4]])
    inside = merged == merged[region]
    assert int(parts[2]) == inside.sum()
    assert float(parts[1]) == pytest.approx(partition.area[inside].sum(), rel=0.01)


INK = """const panel = partitionMeasure.panels[0];
         const pixels = panel.picture.getContext('2d').getImageData(0, 0, panel.w, panel.h).data;
         const counts = {};
         for (let at = 0; at < pixels.length; at += 4) {
           const key = [pixels[at], pixels[at + 1], pixels[at + 2]].join();
           counts[key] = (counts[key] || 0) + 1;
         }
         return counts"""
BLUE = "0,114,178"  # of the first layer


@needs_browser
def test_layers_folds_and_colours_can_be_switched(browser: Any, made: Partitioned) -> None:
    def ink() -> dict[str, int]:
        settle(browser)
        counts: dict[str, int] = browser.execute_script(INK)
        return counts

    assert ink()[BLUE] > 50
    browser.execute_script("document.querySelector('.chips button').click()")
    assert BLUE not in ink()
    browser.execute_script("document.querySelector('.chips button').click(); document.querySelector('#lines').click()")
    assert set(ink()) == {"255,255,255"}
    browser.execute_script(CHOOSE, "#by", "active", "change")
    values = made.panels[0].partition.regions["active"].nunique()
    assert values / 2 < len(ink()) <= values
    browser.execute_script(CHOOSE, "#by", "class", "change")
    assert len(ink()) == 2
    browser.execute_script(CHOOSE, "#by", "born", "change")
    assert 2 <= len(ink()) <= 4


@needs_browser
def test_moves_by_keys_drags_and_buttons_in_all_pictures_at_once(browser: Any) -> None:
    over = browser.find_elements("css selector", ".over")[0]
    over.send_keys("++")
    settle(browser)
    zoom, x = browser.execute_script("return [partitionMeasure.view.zoom, partitionMeasure.view.x]")
    assert zoom == pytest.approx(2.25)
    over.send_keys("\ue012")  # left
    assert browser.execute_script("return partitionMeasure.view.x") < x
    browser.execute_script("document.querySelector('#closer').click()")
    settle(browser)
    views = browser.execute_script("return partitionMeasure.panels.map(panel => [panel.shown.x, panel.shown.y])")
    assert views[0] == views[1]
    told = browser.execute_script("return document.querySelector('.told').textContent")
    assert " · Region " in told
    browser.execute_script("document.querySelector('#all').click()")
    assert browser.execute_script("return [partitionMeasure.view.zoom, partitionMeasure.view.x]") == [1, 0]
    browser.execute_script(PINCH)
    assert browser.execute_script("return partitionMeasure.view.zoom") == pytest.approx(3, rel=0.1)


PINCH = """const over = document.querySelector('.over'), box = over.getBoundingClientRect();
           over.setPointerCapture = () => {};  // of fingers that are not there
           const finger = (type, id, x) => over.dispatchEvent(new PointerEvent(type, {
             pointerType: 'touch', pointerId: id, bubbles: true, clientX: box.left + x * box.width,
             clientY: box.top + box.height / 2 }));
           finger('pointerdown', 1, 0.4); finger('pointerdown', 2, 0.6);
           for (let x = 0.4; x > 0.199; x -= 0.02) finger('pointermove', 1, x);
           for (let x = 0.6; x < 0.801; x += 0.02) finger('pointermove', 2, x);
           finger('pointerup', 1, 0.2); finger('pointerup', 2, 0.8);"""
ZOOMING = """const done = arguments[arguments.length - 1], measure = partitionMeasure;
             measure.panels.forEach(panel => { panel.cost = 1000; });
             measure.frames.length = measure.sharp.length = 0;
             let steps = 0;
             const over = document.querySelector('.over'), box = over.getBoundingClientRect();
             (function step() {
               if (steps++ === 20) return done([measure.frames.length, measure.sharp.length]);
               over.dispatchEvent(new WheelEvent('wheel', { deltaY: -40, clientX: box.left + 90, clientY: box.top + 90,
                 bubbles: true, cancelable: true }));
               requestAnimationFrame(step);
             })();"""


@needs_browser
def test_where_drawing_is_slow_zooming_stretches_the_picture_and_draws_it_sharp_in_the_end(page: Path) -> None:
    with opened(page, "desktop") as browser:
        settle(browser)
        frames, sharp = browser.execute_async_script(ZOOMING)
        assert frames >= 19
        assert sharp < frames / 4  # none, unless frames were farther apart than the wait
        settle(browser)
        shown = "return partitionMeasure.panels.every(p => p.shown.k === partitionMeasure.view.zoom * p.w)"
        assert browser.execute_script(shown)
