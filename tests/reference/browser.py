"""A browser for the tests of pages."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
REQUIRED = bool(os.environ.get("NORMSCOPE_REQUIRE_BROWSER"))

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and not REQUIRED, reason="no Chromium with chromedriver on this machine"
)

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


def wait(done: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.02)


_running: list[Any] = []  # the one browser of this process: starting it takes longer than most tests


@contextmanager
def opened(page: Path, size: str) -> Iterator[Any]:
    """A page in a browser of that size, once it has drawn. Loading it anew leaves nothing of the page of before."""
    if not _running:
        _running.append(_started())
    driver = _running[0]
    try:
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get("about:blank")
        for log in ("browser", "performance"):
            driver.get_log(log)  # of the page of before
        driver.get(page.as_uri())
        wait(lambda: driver.execute_script("return document.documentElement.dataset.ready === 'true'"))
        driver.width = width  # innerWidth is no measure: a page that is too wide widens it on a phone
        yield driver
    except BaseException:
        close()  # whatever state it is in
        raise


def close() -> None:
    """End the browser, if there is one."""
    while _running:
        _running.pop().quit()


def _started() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def assert_quiet(browser: Any, page: Path) -> None:
    """No error and no warning in the console, and no request to anywhere."""
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    assert errors == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in requested
    assert [url for url in requested if not url.startswith((page.as_uri(), "data:", "blob:"))] == []
