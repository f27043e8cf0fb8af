"""The page as text: whole, self-contained, escaped; and its file: whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from normscope.report import Study, ensure_writable, render, write_page
from normscope.report.output import write_whole


class Links(HTMLParser):
    """Every attribute that would make a browser fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]


def test_nothing_is_fetched(study: Study) -> None:
    links = Links()
    links.feed(render(study))
    assert [link for link in links.found if not link.startswith("data:")] == []


def test_weighs_less_than_eight_megabytes(deep: Study) -> None:
    assert len(render(deep).encode()) < 8e6


def test_shows_every_network_and_theory(study: Study) -> None:
    text = render(study, "normscope report --seed 1")
    for name in ("Batch norm", "Recenter only", "Rescale only", "No norm"):
        assert text.count(f"<i></i>{name}") == 5  # legend, and a heat map and a line of the table for each model
    assert "normscope report --seed 1" in text
    assert len(re.findall(r"<small[^>]*>theory ", text)) == 7


def test_payload_is_json_without_a_closing_tag(study: Study) -> None:
    text = render(study)
    payload = re.search(r'<script type="application/json" id="payload">(.*?)</script>', text, re.DOTALL)
    assert payload is not None
    assert len(json.loads(payload[1])["sections"]) == 2


def test_what_comes_from_outside_is_escaped(study: Study) -> None:
    from plotly.offline import get_plotlyjs

    hostile = "</script><img src=x onerror=alert(1)>"
    run = study.runs[0]
    names = {"blocks.0.activation": hostile}
    table = run.trace.table.assign(layer=run.trace.table["layer"].replace(names))
    grams = {(names.get(layer, layer), call): gram for (layer, call), gram in run.trace._grams.items()}
    changed = dataclasses.replace(run, trace=dataclasses.replace(run.trace, table=table, _grams=grams))
    made = dataclasses.replace(study, runs=[changed, *study.runs[1:]])
    text = render(made, f"normscope report --output '{hostile}'").replace(get_plotlyjs(), "")
    assert "onerror" in text
    assert "<img" not in text
    assert text.count("</script>") == 3


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_write_replaces_and_obeys_the_umask(study: Study, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")
    old = os.umask(0o027)
    try:
        write_page(study, target)
    finally:
        os.umask(old)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("path", "message"),
    [("", "it is a folder"), ("nowhere/page.html", "there is no folder"), ("file/page.html", "there is no folder")],
)
def test_a_path_that_cannot_be_written_is_told(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=message):
        ensure_writable(tmp_path / path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
