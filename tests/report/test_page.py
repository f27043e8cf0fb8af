"""The page as text: whole, self-contained, escaped; and its file: whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from normscope.report import Settings, Study, ensure_writable, render, run_study, write_page
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


def test_shows_every_network_and_theory(study: Study, deep: Study) -> None:
    text = render(study, "normscope report --seed 1")
    for name in ("Batch norm", "Recenter only", "Rescale only", "No norm"):
        assert text.count(f"<i></i>{name}") == 5  # legend, and a heat map and a line of the table for each model
    assert "normscope report --seed 1" in text
    assert "theory" not in body(text)  # six layers are not deep enough
    assert "The papers give numbers for ResNet-110 alone." in text
    deep_text = body(render(deep))
    assert len(re.findall(r"<small[^>]*>theory ", deep_text)) == 7
    assert "Theory holds for infinite width and depth: " in deep_text
    assert "dashed: theory" in deep_text


def body(text: str) -> str:
    return text.split("<body>")[1].split('<script type="application/json"')[0]


@pytest.mark.parametrize(
    ("norms", "sentence"),
    [
        (
            ("batch", "recenter", "rescale", "none"),
            ": with both, with recentering alone, with rescaling alone and with neither.",
        ),
        (("batch", "none"), ": with both and with neither."),
        (("recenter",), ": with recentering alone."),
    ],
)
def test_the_first_sentence_names_what_is_there(norms: tuple[str, ...], sentence: str) -> None:
    small = run_study(Settings(batch=4, depth=1, width=1, models=("mlp",), norms=norms))
    text = render(small)
    assert sentence in text
    assert "1 layer of 1 unit:" in text
    assert f'class="maps" data-count="{len(norms)}"' in text


def test_the_channels_of_the_paper_stand_beside_ours(study: Study) -> None:
    ours = tuple(float(i) for i in range(10))
    runs = [dataclasses.replace(run, ln_channel_std=ours if run.model == "resnet" else ()) for run in study.runs]
    text = body(render(dataclasses.replace(study, runs=runs)))
    assert text.count("<h3>Spread of the channels</h3>") == 1
    told = re.findall(r"<td>([^<]*)<small[^>]*>paper ([^<]*)</small>", text)
    assert told[:10] == [
        ("0.00", "0.09"), ("1.00", "0.60"), ("2.00", "0.89"), ("3.00", "0.04"), ("4.00", "0.64"),
        ("5.00", "0.97"), ("6.00", "0.00"), ("7.00", "0.56"), ("8.00", "0.89"), ("9.00", "−0.89"),
    ]  # fmt: skip
    assert len(told) == 20  # with batch norm and with none
    assert "CIFAR-10, read off the plot" in text
    assert "ResNet-110 alone" not in text


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


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link, chain = tmp_path / "far" / "page.html", tmp_path / "link.html", tmp_path / "chain.html"
    target.write_text("old")
    link.symlink_to(target)
    chain.symlink_to("link.html")
    ensure_writable(chain)
    write_whole(chain, "new")
    assert link.is_symlink()
    assert chain.is_symlink()
    assert target.read_text() == "new"
    target.unlink()
    write_whole(chain, "made")
    assert target.read_text() == "made"
    assert {entry.name for entry in tmp_path.iterdir()} == {"far", "link.html", "chain.html"}


@pytest.mark.parametrize("write", [ensure_writable, lambda path: write_whole(path, "new")])
def test_a_file_has_a_name(write: Callable[[str], None]) -> None:
    with pytest.raises(OSError, match=r"^cannot write a file without a name$"):
        write("")


@pytest.mark.parametrize("write", [ensure_writable, lambda path: write_whole(path, "new")])
def test_what_is_no_file_is_left_alone(tmp_path: Path, write: Callable[[Path], None]) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.html"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path("/dev/null")):
        with pytest.raises(OSError, match=f"cannot write {path}: it is not a regular file"):
            write(path)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
def test_a_folder_that_takes_no_files_is_told() -> None:
    with pytest.raises(OSError, match=r"cannot write /proc/page\.html: no file can be made in /proc"):
        ensure_writable("/proc/page.html")


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    lost, loop = tmp_path / "lost.html", tmp_path / "loop.html"
    lost.symlink_to(tmp_path / "nowhere" / "page.html")
    loop.symlink_to("loop.html")
    with pytest.raises(OSError, match=f"cannot write {lost}: there is no folder {tmp_path / 'nowhere'}"):
        ensure_writable(lost)
    with pytest.raises(OSError, match=f"cannot write {loop}: "):
        ensure_writable(loop)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "it is a folder"),
        ("page.html/", "it names a folder; leave out the last /"),
        ("new/", "it names a folder"),
        ("nowhere/page.html", "there is no folder"),
        ("file/page.html", "there is no folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_told(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=message):
        ensure_writable(f"{tmp_path}/{path}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
