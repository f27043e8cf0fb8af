"""The page in a real browser: it draws, it asks the network for nothing, its sliders move."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from normscope.report import Settings, Study, run_study, write_page
from reference.browser import SIZES, assert_quiet, needs_browser, opened, wait

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(study, path)
    return path


@pytest.fixture(params=SIZES)
def browser(request: pytest.FixtureRequest, page: Path) -> Iterator[object]:
    with opened(page, request.param) as driver:
        yield driver


def test_draws_without_error_and_without_network(browser: object, page: Path) -> None:
    assert_quiet(browser, page)


def test_every_figure_is_drawn(browser: object) -> None:
    drawn = browser.execute_script(
        """return [...document.querySelectorAll('.plot')].map(plot => {
             const box = plot.getBoundingClientRect();
             const marks = plot.querySelectorAll('.heatmaplayer image, .scatterlayer path.js-line').length;
             return [box.width, box.height, marks];
           })"""
    )
    assert len(drawn) == 2 * (4 + 8)
    assert all(width > 120 and height > 120 and marks >= 1 for width, height, marks in drawn)


def test_nothing_is_wider_than_the_screen(browser: object) -> None:
    assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width


def test_the_slider_moves_the_heat_maps(browser: object) -> None:
    image = "return document.querySelector('#mlp .map[data-norm=none] .heatmaplayer image').getAttribute('href')"
    output = "return document.querySelector('#mlp output').textContent"
    assert browser.execute_script(output).startswith("layer 6")
    before = browser.execute_script(image)
    browser.execute_script(
        """const slider = document.querySelector('#mlp input[type=range]');
           slider.value = 0; slider.dispatchEvent(new Event('input'));"""
    )
    wait(lambda: browser.execute_script("return document.querySelector('#mlp').dataset.drawn") == "0")
    assert browser.execute_script(output).startswith("layer 1")
    assert browser.execute_script(image) != before


def test_the_heat_map_shows_the_measured_cosines(browser: object, study: Study) -> None:
    shown = browser.execute_script("return document.querySelector('#mlp .map[data-norm=batch] .plot').data[0].z")
    gram = study.runs[0].trace.gram("blocks.5.activation")
    assert shown[2][9] == pytest.approx(gram[2, 9] / (gram[2, 2] * gram[9, 9]) ** 0.5, abs=0.005)
    assert shown[9][2] == shown[2][9]


def test_the_keyboard_moves_the_slider_and_play_plays(browser: object) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    slider = browser.find_element(By.CSS_SELECTOR, "#resnet input[type=range]")
    slider.send_keys(Keys.HOME)
    wait(lambda: browser.execute_script("return document.querySelector('#resnet').dataset.drawn") == "0")
    browser.execute_script("document.querySelector('#resnet .play').click()")
    wait(lambda: browser.execute_script("return document.querySelector('#resnet').dataset.drawn") == "3")


def test_a_label_names_the_odd_samples(study: Study, tmp_path: Path) -> None:
    """One, several, many of them, or none."""
    run = study.runs[0]
    found = [run.groupings[0]._replace(odd=odd) for odd in ((), (5,), (5, 2), (5, 2, 1, 3), (), ())]
    runs = [dataclasses.replace(run, groupings=found), *study.runs[1:]]
    write_page(dataclasses.replace(study, runs=runs), tmp_path / "page.html")
    with opened(tmp_path / "page.html", "desktop") as driver:
        script = """const slider = document.querySelector('#mlp input[type=range]');
                    slider.value = arguments[0]; slider.dispatchEvent(new Event('input'));
                    const figure = document.querySelector('#mlp .map[data-norm=batch]');
                    return [figure.querySelector('.now span').textContent, figure.querySelector('canvas').hidden];"""
        labels = [driver.execute_script(script, stop) for stop in range(4)]
    assert [text[len("mean cosine 0.00") :] for text, _ in labels] == [
        "", ", odd: sample 5", ", odd: samples 5, 2", ", 4 odd samples",
    ]  # fmt: skip
    assert [hidden for _, hidden in labels] == [True, False, True, True]


def test_one_layer_is_drawn_as_points_and_every_axis_has_labels(tmp_path: Path) -> None:
    shallow = run_study(Settings(batch=8, depth=1, width=16, models=("mlp",), norms=("batch", "none")))
    write_page(shallow, tmp_path / "page.html")
    with opened(tmp_path / "page.html", "phone") as driver:
        charts = driver.execute_script(
            """return [...document.querySelectorAll('.chart .plot')].map(plot =>
                 [plot.querySelectorAll('.scatterlayer .point').length, plot.querySelectorAll('.ytick').length])"""
        )
        assert driver.execute_script("return document.documentElement.scrollWidth") <= driver.width
    assert len(charts) == 8
    assert all(points == 2 and ticks >= 2 for points, ticks in charts)


def test_a_logarithmic_axis_has_two_labels_at_least(browser: object) -> None:
    linear = [[0.3, 0.4], [3, 7], [0.21, 0.3], [0, 0], [], [5, 5]]
    logarithmic = [[1, 2], [0.15, 0.2, 0.51], [0.4, 1.1], [0.3, 25], [1e-30, 1e30]]
    script = "return arguments[0].map(values => normscope.logarithmic(values).type)"
    assert browser.execute_script(script, linear) == ["linear"] * len(linear)
    assert browser.execute_script(script, logarithmic) == ["log"] * len(logarithmic)


def test_a_sample_that_is_zero_has_no_cosine_to_itself(browser: object) -> None:
    drawn = browser.execute_script("return normscope.cosines(new Int8Array([-128, 127, -128]), 0, 3)")
    assert drawn == [[1, None, 1], [None, None, None], [1, None, 1]]
