"""The page of a trace in a real browser: it draws, sorts, filters, zooms, and shows one layer closely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from normscope.report import render_trace
from normscope.tracing import Trace
from reference.browser import SIZES, assert_quiet, needs_browser, opened, wait

pytestmark = needs_browser

EVIL = "<img src=x onerror=document.title='evil'>"
FIRST = "return [...document.querySelectorAll('.grid tbody tr[data-row]')].map(line => +line.dataset.row)"
SORT = "document.querySelector('.grid thead th[data-key=\"' + arguments[0] + '\"] button').click()"
FILTER = """const box = document.querySelector('#find');
            box.value = arguments[0]; box.dispatchEvent(new Event('input'));"""


@pytest.fixture(scope="module")
def traces(made: Callable[..., Trace]) -> list[Trace]:
    first, second = made(seed=0), made(seed=1, std=3.0)
    for trace in (first, second):
        trace.table.loc[4, "kind"] = EVIL
    return [first, second]


@pytest.fixture(scope="module")
def page(traces: list[Trace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "inspect.html"
    path.write_text(render_trace(traces, names=["one", EVIL]), encoding="utf-8")
    return path


@pytest.fixture(params=SIZES)
def browser(request: pytest.FixtureRequest, page: Path) -> Iterator[object]:
    with opened(page, request.param) as driver:
        yield driver


def test_draws_everything_quietly_and_fits(browser: object, page: Path) -> None:
    charts = browser.execute_script("return document.querySelectorAll('.chart').length")
    for chart in range(charts):
        browser.execute_script("document.querySelectorAll('.chart')[arguments[0]].scrollIntoView()", chart)
        drawn = "return document.querySelectorAll('.chart')[arguments[0]].querySelectorAll('path.js-line').length"
        wait(lambda chart=chart, drawn=drawn: browser.execute_script(drawn, chart) == 2)
    wait(lambda: browser.execute_script("return document.querySelectorAll('.map .heatmaplayer image').length") == 2)
    assert (
        browser.execute_script("return document.querySelectorAll('.channels .scatterlayer path.js-line').length") == 4
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
    assert browser.execute_script("return document.title") != "evil"
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert_quiet(browser, page)


def test_sorts_and_filters(browser: object) -> None:
    assert browser.execute_script(FIRST) == list(range(12))
    browser.execute_script(SORT, "std")
    assert browser.execute_script(FIRST) == list(range(11, -1, -1))  # numbers: the largest first
    browser.execute_script(SORT, "std")
    assert browser.execute_script(FIRST) == list(range(12))
    browser.execute_script(SORT, "layer")
    browser.execute_script(SORT, "layer")
    assert browser.execute_script(FIRST)[0] == 10  # blocks.3.norm
    browser.execute_script(FILTER, "blocks.*.ACT")
    assert sorted(browser.execute_script(FIRST)) == [2, 5, 8, 11]
    points = "return document.querySelector('.chart .plot').data[0].customdata"
    wait(lambda: browser.execute_script(points) == [2, 5, 8, 11])
    browser.execute_script(FILTER, "nothing")
    assert browser.execute_script(FIRST) == []
    assert "No layer" in browser.execute_script("return document.querySelector('.grid tbody').textContent")
    browser.execute_script(FILTER, "")
    browser.execute_script(
        """const kind = document.querySelector('#kind');
           kind.value = arguments[0]; kind.dispatchEvent(new Event('change'));""",
        EVIL,
    )
    assert browser.execute_script(FIRST) == [4]


def test_a_click_shows_the_layers_own_cosines_and_numbers(browser: object, traces: list[Trace]) -> None:
    browser.execute_script("document.querySelector('.grid tbody tr[data-row=\"7\"]').click()")
    wait(lambda: browser.execute_script("return document.querySelector('#layer').dataset.drawn") == "7")
    assert browser.execute_script("return document.querySelector('.chosen b').textContent") == "blocks.2.norm"
    shown = browser.execute_script("return [...document.querySelectorAll('.map .plot')].map(plot => plot.data[0].z)")
    for trace, z in zip(traces, shown, strict=True):
        gram = trace.gram("blocks.2.norm")
        assert z[2][9] == pytest.approx(gram[2, 9] / (gram[2, 2] * gram[9, 9]) ** 0.5, abs=0.005)
    numbers = browser.execute_script("return document.querySelector('.numbers').innerText").split("\n")
    at = numbers.index("Standard deviation")
    assert numbers[at + 1 : at + 3] == ["1.58", "3.00"]
    assert numbers[numbers.index("Isometry gap") + 1] == "∞"


def test_keys_slider_and_zoom(browser: object) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def selected() -> str:
        return browser.execute_script("return document.querySelector('.grid tr.selected').dataset.row")

    grid = browser.find_element(By.CSS_SELECTOR, ".grid")
    grid.send_keys(Keys.HOME)
    assert selected() == "0"
    grid.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert selected() == "2"
    browser.execute_script(
        """const slider = document.querySelector('#layer input[type=range]');
           slider.value = 5; slider.dispatchEvent(new Event('input'));"""
    )
    assert selected() == "5"
    browser.execute_script("document.querySelectorAll('.chart')[1].scrollIntoView()")
    wait(lambda: browser.execute_script("return document.querySelectorAll('.chart')[1].dataset.drawn") == "true")
    browser.execute_script(
        "Plotly.relayout(document.querySelector('.chart .plot'), {'xaxis.range[0]': 2, 'xaxis.range[1]': 6})"
    )
    other = "return document.querySelectorAll('.chart .plot')[1].layout.xaxis.range"
    wait(lambda: browser.execute_script(other) == [2, 6])


def test_of_a_thousand_layers_only_those_in_sight_are_in_the_table(made: Callable[..., Trace], tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(render_trace(made(layers=1000, batch=8, channels=4)), encoding="utf-8")
    with opened(path, "desktop") as browser:
        assert len(browser.execute_script(FIRST)) < 60
        browser.execute_script("document.querySelector('.grid').scrollTop = 1e6")
        wait(lambda: 999 in browser.execute_script(FIRST))
        assert len(browser.execute_script(FIRST)) < 60
        browser.execute_script(SORT, "std")
        assert browser.execute_script(FIRST)[0] == 999


@pytest.fixture(scope="module")
def tall(made: Callable[..., Trace], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sixty layers whose long names differ by numbers, with kernel gradients in every third: a page of one, of two."""
    kernel = np.arange(60) % 3 == 0
    columns = {
        "layer": [f"backbone.encoder.layer.{i}.attention.output.LayerNorm" for i in range(60)],
        "kernel_gradient_ratio": np.where(kernel, 5.0, np.nan),
        "kernel_sqrt_terms": np.where(kernel, 28.0, np.nan),
    }
    folder = tmp_path_factory.mktemp("tall")
    traces = [made(layers=60, seed=seed, **columns) for seed in (0, 1)]
    for several in (1, 2):
        (folder / f"{several}.html").write_text(render_trace(traces[:several]), encoding="utf-8")
    return folder / "1.html", folder / "2.html"


@pytest.mark.parametrize("size", SIZES)
def test_the_table_is_full_from_the_start_and_names_are_told_apart(size: str, tall: tuple[Path, Path]) -> None:
    with opened(tall[0], size) as browser:
        shown = browser.execute_script(
            """const grid = document.querySelector('.grid'), box = grid.getBoundingClientRect();
               const rows = [...grid.querySelectorAll('tr[data-row]')];
               const names = rows.map(row => row.cells[0].textContent);
               return [box.bottom, rows.at(-1).getBoundingClientRect().bottom, names];"""
        )
        bottom, last, names = shown
        assert last >= bottom
        assert len(set(names)) == len(names) > 12
        assert names[3].endswith("LayerNorm")


def test_what_is_expected_of_a_ratio_is_drawn_once_for_both(tall: tuple[Path, Path]) -> None:
    with opened(tall[1], "desktop") as browser:
        chart = "document.querySelector('[data-chart=kernel_gradient_ratio]')"
        browser.execute_script(f"{chart}.scrollIntoView()")
        wait(lambda: browser.execute_script(f"return {chart}.dataset.drawn === 'true'"))
        drawn = browser.execute_script(
            f"return {chart}.querySelector('.plot').data.map(line => [line.line.dash || 'solid', line.y[3], line.y[4]])"
        )
        assert drawn == [["solid", 5, None], ["solid", 5, None], ["dash", 28, None]]
        browser.execute_script(FILTER, "layer.1*")
        wait(lambda: browser.execute_script(f"return {chart}.querySelector('.plot').data[2].y.length") == 11)
