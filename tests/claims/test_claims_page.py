"""Verdicts on the page of ``normscope report``: what stands there, escaped, in a real browser too."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from normscope.claims import Estimate, Store
from normscope.claims.execution import could_not_run, execute
from normscope.claims.parts import at_least, at_most
from normscope.cli.app import run
from normscope.loading import LoadingError
from normscope.report import Settings, ShownClaims, Study, read_claims, render, run_study, verdict_lines, write_page
from reference import toy_claims as toys
from reference.browser import SIZES, assert_quiet, needs_browser, opened

SHOWN = (toys.HOLDS, toys.FAILS, toys.SURE, toys.NEEDS, toys.RAISES, toys.UNDRAWN, toys.HOSTILE)
HOSTILE_SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert("x")</script></svg>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("kept"))
    for claim in SHOWN:
        store.keep(execute(claim, "quick", 0, figures=True))
    return store.folder


@pytest.fixture(scope="module")
def study() -> Study:
    return run_study(Settings(batch=4, depth=1, width=2, models=("mlp",), norms=("none",)))


@pytest.fixture(scope="module")
def section(study: Study, folder: Path) -> str:
    return in_section(render(study, claims=read_claims(folder)))


def test_what_was_revised_after_a_first_run_is_told_everywhere(study: Study, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep(execute(replace(toys.HOLDS, revised="A margin of 0.3 in place of <0.1>."), "quick", 0))
    kept = read_claims(tmp_path)
    assert "A margin of 0.3 in place of &lt;0.1&gt;." in in_section(render(study, claims=kept))
    assert "revised after a first run]" in " ".join(verdict_lines(kept.verdicts, 200))
    unrevised = [execute(toys.HOLDS, "quick", 0).verdict]
    assert "revised" not in " ".join(verdict_lines(unrevised, 200))


def in_section(text: str) -> str:
    return text.split('<section id="claims"')[1].split("</section>")[0]


def test_without_verdicts_there_is_no_section(study: Study) -> None:
    assert "claims" not in render(study).split("<body>")[1].split("<script")[0]


@pytest.mark.parametrize("claim", SHOWN, ids=lambda claim: claim.id)
def test_every_verdict_tells_what_and_how(claim: object, section: str) -> None:
    verdict = execute(claim, "quick", 0).verdict
    article = html.unescape(section.split(f'<article class="claim" id="claim-{claim.id}">')[1].split("</article>")[0])
    told = [verdict.status, verdict.statement, verdict.criterion, verdict.method, verdict.command, verdict.title]
    told += [verdict.arxiv, verdict.result, verdict.reduced or "quick scale", "numpy "]
    if verdict.ran:
        told += [str(verdict.measured), str(verdict.expected)]
    assert [text for text in told if text not in article] == []
    assert ("99% confidence" in article) == (verdict.ran and claim is not toys.SURE)


def test_the_table_sums_up(section: str) -> None:
    assert "4 reproduced, 1 not reproduced, 1 needs more than this machine, 1 could not run." in section
    rows = re.findall(r'<tr><th><a href="#claim-([^"]*)">', section)
    assert rows == sorted(claim.id for claim in SHOWN)


def test_the_table_shows_the_headline(study: Study) -> None:
    verdict = execute(toys.HOLDS, "quick", 0).verdict
    tight = at_most("tight <b>", Estimate(0.5, 0.2, 0.9, 0.99), 1.0)
    both = replace(verdict, parts=(at_least("roomy", Estimate(5.0, 4.0, 6.0, 0.99), 1.0), tight))
    table = in_section(render(study, claims=ShownClaims([both, replace(both, id="toy2026.none", parts=())])))
    cells = re.findall(r'<td class="number" data-label="([a-z]*)">(.*?)</td>', table)
    assert cells == [
        ("measured", "0.50 (0.20 to 0.90)<small>2 parts hold, tightest: tight &lt;b&gt;</small>"),
        ("expected", "≤ 1"),
        ("measured", "–"),
        ("expected", "–"),
    ]


def test_what_went_wrong_is_said(section: str) -> None:
    text = html.unescape(section)
    assert "but expected −0.3 to 0.3" in text
    assert "needs a GPU: give one with --device cuda" in text
    assert "no figure: ZeroDivisionError: no line fits" in text


def test_what_comes_from_outside_is_escaped(section: str) -> None:
    assert "<img src=x" not in section
    assert "</script>" not in section
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &amp; toys" in section
    assert "&lt;b&gt;bold&lt;/b&gt;" in section


def test_figures_are_images_that_cannot_run_anything(study: Study, folder: Path) -> None:
    verdict = read_claims(folder).verdicts[0]
    text = in_section(render(study, claims=ShownClaims([verdict], {verdict.id: HOSTILE_SVG})))
    assert "<svg" not in text
    (source,) = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]*)"', text)
    assert base64.b64decode(source) == HOSTILE_SVG


def test_a_verdict_without_numbers_has_its_place(study: Study) -> None:
    verdict = could_not_run(toys.HOLDS, "quick", 0, "its process was ended by SIGSEGV")
    text = in_section(render(study, claims=ShownClaims([verdict])))
    assert "its process was ended by SIGSEGV" in text
    assert "<img" not in text


def test_the_report_shows_what_verify_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["report", "--batch", "4", "--depth", "1", "--width", "2", "--model", "mlp", "--norm", "none"]
    assert run([*small, "--claims", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [verdict["id"] for verdict in told["claims"]] == sorted(claim.id for claim in SHOWN)
    page = Path("report.html").read_text(encoding="utf-8")
    assert 'id="claim-toy2026.fails"' in page
    assert f"--claims {folder}" in page  # the command that makes it again
    assert run(small) == 0
    assert 'id="claims"' not in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "told"), [("nowhere", "is no folder"), ("", "holds no verdicts")])
def test_a_folder_that_cannot_be_shown_is_told_before_the_work(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["report", "--claims", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert (out, list(tmp_path.iterdir())) == ("", [])
    assert told in err
    assert err.count("\n") == 1
    with pytest.raises(LoadingError, match=told):
        read_claims(tmp_path / name)


@pytest.fixture(scope="module")
def page(study: Study, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    shown = read_claims(folder)
    long = replace(shown.verdicts[0], id="toy2026.with-a-name-that-is-rather-long-for-a-phone-of-any-size")
    write_page(study, path, claims=replace(shown, verdicts=[*shown.verdicts, long]))
    return path


@needs_browser
@pytest.mark.parametrize("size", SIZES)
def test_in_a_browser(size: str, page: Path) -> None:
    with opened(page, size) as browser:
        assert_quiet(browser, page)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
        images = browser.execute_script(
            """return [...document.querySelectorAll('#claims img')].map(image => {
                 const box = image.getBoundingClientRect();
                 return [image.complete, image.naturalWidth, box.width, box.height, image.alt.length];
               })"""
        )
        assert len(images) == 4  # of what ran, but for the one whose figure failed
        for done, natural, width, height, described in images:
            assert done
            assert natural > 100
            assert width > 250
            assert height > 150
            assert described
