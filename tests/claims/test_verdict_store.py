"""Verdicts on the disk: whole, found again by what they are, read by others."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import image

from normscope.claims import Claim, Store, read_figure, read_verdicts, verify
from normscope.claims.execution import Done, execute
from normscope.loading import LoadingError
from reference import toy_claims as toys

HOLDS = execute(toys.HOLDS, "quick", 0, figures=True)
PLACE = Path("quick/toy2026.holds")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "out" / "deep")
    made.keep(HOLDS)
    return made


def test_numbers_and_figures_are_kept(store: Store) -> None:
    place = store.place("toy2026.holds", "quick")
    assert place == store.folder / PLACE
    names = {"verdict.json", "numbers.json", "figure.png", "figure.svg"}
    assert {file.name for file in place.iterdir()} - {"numbers.parquet"} == names
    found = store.find(toys.HOLDS, "quick", 0)
    assert found == HOLDS.verdict
    pd.testing.assert_frame_equal(found.measurement.table, HOLDS.measurement.table, check_exact=True)
    assert json.loads((place / "verdict.json").read_text(encoding="utf-8"))["status"] == "reproduced"


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an optional extra")
def test_and_parquet(store: Store) -> None:
    table = pd.read_parquet(store.folder / PLACE / "numbers.parquet")
    pd.testing.assert_frame_equal(table, HOLDS.measurement.table, check_exact=True)


def test_without_pyarrow_there_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normscope.claims.store.can_write_parquet", lambda: False)
    Store(tmp_path).keep(HOLDS)
    assert not (tmp_path / PLACE / "numbers.parquet").exists()
    assert (tmp_path / PLACE / "numbers.json").exists()


def test_what_an_optional_extra_was_missing_for_is_made_from_the_kept_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "measured"
    claim = replace(
        toys.HOLDS, sizes={scale: {"samples": 100, "log": str(log)} for scale in ("quick", "full", "paper")}
    )
    with monkeypatch.context() as without:
        without.setattr("normscope.claims.store.can_write_parquet", lambda: False)
        without.setattr("normscope.claims.runner.can_draw", lambda: False)
        (first,) = verify([claim], output=tmp_path / "out", jobs=1)
    place = tmp_path / "out" / PLACE
    assert {file.name for file in place.iterdir()} == {"verdict.json", "numbers.json"}
    (again,) = verify([claim], output=tmp_path / "out", jobs=1)
    assert again == first
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    expected = execute(claim, "quick", 0, figures=True).figures
    for kind, content in expected.items():
        assert (place / f"figure.{kind}").read_bytes() == content
    if importlib.util.find_spec("pyarrow") is not None:
        table = pd.read_parquet(place / "numbers.parquet")
        pd.testing.assert_frame_equal(table, again.measurement.table, check_exact=True)


def test_what_is_there_is_not_made_again_and_a_figure_that_fails_stays_away(store: Store) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("cannot draw")

    place = store.folder / PLACE
    before = {file.name: file.stat().st_mtime_ns for file in place.iterdir()}
    verdict = store.find(toys.HOLDS, "quick", 0)
    store.complete(toys.HOLDS, verdict)
    assert {file.name: file.stat().st_mtime_ns for file in place.iterdir()} == before
    (place / "figure.png").unlink()
    store.complete(replace(toys.HOLDS, figure=fails), verdict)
    assert not (place / "figure.png").exists()
    store.complete(toys.HOLDS, verdict)
    assert (place / "figure.png").read_bytes() == HOLDS.figures["png"]


def test_figures_are_a_picture_and_a_drawing_the_same_each_time(store: Store) -> None:
    again = execute(toys.HOLDS, "quick", 0, figures=True)
    assert again.figures == HOLDS.figures
    pixels = image.imread(io.BytesIO(HOLDS.figures["png"]))
    assert pixels.shape[:2] == (640, 1024)  # 6.4 by 4 inches
    assert len({tuple(pixel) for pixel in pixels[::20, ::20].reshape(-1, 4)}) > 2
    svg = read_figure(store.folder, HOLDS.verdict).decode()
    assert svg.startswith("<?xml")
    assert "<b>" not in svg
    assert read_figure(store.folder, replace(HOLDS.verdict, scale="full")) is None


def test_claims_share_no_ids_in_their_drawings() -> None:
    other = execute(replace(toys.HOLDS, id="toy2026.other"), "quick", 0, figures=True).figures["svg"]
    clips = [set(re.findall(rb'clipPath id="([^"]*)"', svg)) for svg in (HOLDS.figures["svg"], other)]
    assert clips[0]
    assert not clips[0] & clips[1]


@pytest.mark.parametrize(
    ("claim", "seed"),
    [
        (toys.HOLDS, 1),
        (replace(toys.HOLDS, criterion=replace(toys.MEAN, limits={"margin": 0.2})), 0),
        (replace(toys.HOLDS, sizes={**toys.HOLDS.sizes, "quick": {"samples": 401}}), 0),
        (replace(toys.HOLDS, id="toy2026.unknown"), 0),
    ],
)
def test_what_is_not_the_same_is_not_found(store: Store, claim: Claim, seed: int) -> None:
    assert store.find(claim, "quick", seed) is None
    assert store.find(toys.HOLDS, "full", 0) is None


@pytest.mark.parametrize("claim", [toys.RAISES, toys.NEEDS, toys.MEMORY], ids=lambda claim: claim.id)
def test_what_did_not_run_is_kept_but_tried_again(store: Store, claim: Claim) -> None:
    store.keep(execute(claim, "quick", 0))
    assert store.find(claim, "quick", 0) is None
    assert claim.id in {verdict.id for verdict in read_verdicts(store.folder)}


@pytest.mark.parametrize("name", ["verdict.json", "numbers.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": "normscope verdict"}'])
def test_a_damaged_file_is_told_and_run_again(store: Store, name: str, content: str) -> None:
    (store.folder / PLACE / name).write_text(content)
    assert store.find(toys.HOLDS, "quick", 0) is None
    with pytest.raises(LoadingError, match=f"{name} cannot be read"):
        read_verdicts(store.folder)


def test_a_new_verdict_leaves_nothing_of_the_old(store: Store) -> None:
    store.keep(Done(replace(HOLDS.verdict, measurement=None), {}))
    assert [file.name for file in (store.folder / PLACE).iterdir()] == ["verdict.json"]


def test_the_verdict_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends: where there is a verdict, all that belongs to it is there."""
    store, moves = Store(tmp_path), os.replace
    store.keep(HOLDS)
    for successes in range(10):
        left = iter(range(successes))

        def failing(source: str, target: str, left: object = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            moves(source, target)

        monkeypatch.setattr(os, "replace", failing)
        try:
            store.keep(HOLDS)
        except OSError:
            assert store.find(toys.HOLDS, "quick", 0) is None
        else:
            assert store.find(toys.HOLDS, "quick", 0) == HOLDS.verdict
            assert successes >= 4
            break
    assert [file.name for file in (tmp_path / PLACE).iterdir() if file.suffix == ".part"] == []


def test_of_each_claim_the_largest_scale_is_read(store: Store) -> None:
    store.keep(execute(toys.HOLDS, "full", 0))
    store.keep(execute(toys.FAILS, "quick", 0))
    (store.folder / "quick/unfinished").mkdir()
    read = read_verdicts(store.folder)
    assert [(v.id, v.scale) for v in read] == [("toy2026.fails", "quick"), ("toy2026.holds", "full")]


def test_a_folder_without_verdicts_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadingError, match="holds no verdicts: name a folder that normscope verify --output wrote"):
        read_verdicts(tmp_path)
    with pytest.raises(LoadingError, match="is no folder"):
        read_verdicts(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("id", "../../elsewhere", "it is of"),
        ("scale", "huge", "scale 'huge'"),
        ("sizes", [1], "sizes of the verdict"),
        ("seconds", "abc", "seconds of the verdict"),
    ],
)
def test_a_verdict_that_somebody_changed_is_told_with_its_file(
    field: str, value: object, told: str, tmp_path: Path
) -> None:
    Store(tmp_path).keep(execute(toys.HOLDS, "quick", 0))
    (file,) = tmp_path.glob("quick/*/verdict.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(LoadingError, match=r"verdict\.json") as caught:
        read_verdicts(tmp_path)
    assert told in str(caught.value)
