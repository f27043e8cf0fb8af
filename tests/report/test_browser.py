"""The page in a real browser: it draws, it asks the network for nothing, its sliders move."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from normscope.report import Study, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
REQUIRED = bool(os.environ.get("NORMSCOPE_REQUIRE_BROWSER"))

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and not REQUIRED, reason="no Chromium with chromedriver on this machine"
)

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(study, path)
    return path


@pytest.fixture(params=SIZES)
def browser(request: pytest.FixtureRequest, page: Path) -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    width, height = SIZES[request.param]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        driver.get(page.as_uri())
        wait(lambda: driver.execute_script("return document.documentElement.dataset.ready === 'true'"))
        yield driver
    finally:
        driver.quit()


def wait(done: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.02)


def test_draws_without_error_and_without_network(browser: object, page: Path) -> None:
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    assert errors == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in requested
    assert [url for url in requested if not url.startswith((page.as_uri(), "data:", "blob:"))] == []


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
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


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
