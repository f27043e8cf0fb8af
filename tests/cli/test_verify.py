"""``normscope verify``: one table, exit codes that scripts can use, and one line where it cannot run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from normscope.claims import Estimate, Part, Verdict
from normscope.claims.execution import execute
from normscope.claims.parts import at_least, within
from normscope.claims.statistics import exact
from normscope.cli.app import run
from normscope.report import claim_lines, verdict_lines
from reference import toy_claims as toys

HERE = Path(__file__).parent
MADE = execute(toys.HOLDS, "quick", 0).verdict


@pytest.fixture(autouse=True)
def only_toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("normscope.claims.registry.all_claims", lambda: list(toys.EVERY))
    monkeypatch.chdir(tmp_path)


def made(name: str, statement: str, part: Part | None, status: str, reason: str = "") -> Verdict:
    return replace(
        MADE, id=name, statement=statement, parts=() if part is None else (part,), status=status, reason=reason
    )


MISSED = within("slope", Estimate(-0.461, -0.483, -0.439, 0.9975), -0.55, -0.45)
VERDICTS = [
    made(
        "nachum2024.odd-point",
        "Under recentering and ReLU a batch becomes one tight cluster and one odd point that is orthogonal to it.",
        at_least("fraction of networks", Estimate(0.973, 0.951, 0.988, 0.99), 0.9),
        "reproduced",
    ),
    made(
        "daneshmand2021.plateau-slope",
        "The plateau of the orthogonality gap falls like one over the root of the width.",
        MISSED,
        "not reproduced",
        str(MISSED),
    ),
    made("yang2019.gradient-growth", "Gradients explode.", within("factor", exact(1.4669), 1.4, 1.5), "reproduced"),
    made(
        "nachum2024.real-images",
        "It happens with photographs too.",
        None,
        "needs more than this machine",
        "CIFAR-10 is not on this machine: download it, and name its folder with --data",
    ),
    made("bjorck2018.table-1", "Summands agree.", None, "could not run", "its process was ended by SIGSEGV"),
]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_reads_well(width: int) -> None:
    lines = verdict_lines(VERDICTS, width)
    assert max(map(len, lines)) <= width
    assert "\n".join(lines) + "\n" == (HERE / "golden" / f"verify_{width}.txt").read_text(encoding="utf-8")


def test_ids_stay_whole_in_a_narrow_terminal() -> None:
    lines = verdict_lines(VERDICTS, 60)
    assert max(map(len, lines)) <= 60
    place = lines.index("daneshmand2021.plateau-slope")
    assert lines[place + 1] == "  −0.461 (−0.483 to −0.439)  −0.55 to −0.45  not reproduced"


def test_the_list_tells_how_long_each_takes() -> None:
    claims = [toys.HOLDS, replace(toys.SURE, seconds={"quick": 0.4, "full": 600, "paper": 9000})]
    assert claim_lines(claims, 80) == [
        "CLAIM          QUICK  FULL    PAPER",
        "toy2026.holds  1 s    2 s     3 s",
        "  Toys of the kind holds have mean 0. [Theorem 1]",
        "toy2026.sure   0 s    10 min  2 h",
        "  Toys of the kind sure have mean 0. [Theorem 1]",
    ]


@pytest.mark.parametrize(
    ("names", "code", "told"),
    [
        (["toy2026.holds", "toy2026.sure"], 0, ""),
        (["toy2026.sure", "toy2026.needs-more"], 0, ""),
        (["toy2026.sure", "toy2026.fails"], 1, ""),
        (["*.fails", "*.raises", "*.sure"], 2, "normscope: could not run: toy2026.raises\n"),
        (["*.needs-more", "*.memory"], 2, "normscope: no claim could run on this machine\n"),
    ],
)
def test_the_exit_code(names: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", *names, "--jobs", "1"]) == code
    out, err = capsys.readouterr()
    assert err == told
    assert out.startswith("CLAIM")
    assert f"Kept in {Path('claims').resolve()}." in out
    assert list(Path("claims/quick").glob("*/verdict.json"))


def test_json_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "toy2026.sure", "toy2026.fails", "--json", "--output", "kept", "--seed", "3"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "kept"
    verdicts = [Verdict.from_json(verdict) for verdict in told["verdicts"]]
    assert [(v.id, v.status, v.seed) for v in verdicts] == [
        ("toy2026.fails", "not reproduced", 3), ("toy2026.sure", "reproduced", 3),
    ]  # fmt: skip


def test_a_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--list", "*.s*", "*.h*"]) == 0
    out, err = capsys.readouterr()
    assert (err, list(Path().iterdir())) == ("", [])
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "CLAIM", "toy2026.holds", "toy2026.sure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["toy2026.hodls"], "no claim is named 'toy2026.hodls': did you mean toy2026.holds"),
        (["toy2026.sure", "zzz"], "no claim is named 'zzz': normscope verify --list tells which there are"),
        (["--list", "zzz"], "no claim is named 'zzz'"),
        (["--scale", "ful"], "scale 'ful': not known; did you mean 'full'?"),
        (["--jobs", "0"], "jobs 0: at least one process must run"),
        (["--seed", "-1"], "seed -1: a seed is a whole number"),
        (["--output", "/proc/none"], "cannot make the folder /proc/none"),
        (["--output", "file"], "cannot write file: it is a file; name a folder"),
        (["--fast"], "No such option"),
    ],
)
def test_what_cannot_run_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert run(["verify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("normscope: ")
    assert told in err
    assert err.count("\n") == 1
    assert [entry.name for entry in Path().iterdir() if entry.name not in ("file", "claims")] == []


SCRIPT = """
from normscope.claims import registry
from reference import toy_claims as toys
sizes = {"started": "started", "samples": 0}
registry.all_claims = lambda: [toys.toy("waits", toys.waits_for, sizes=sizes)]
from normscope.cli import main
main()
"""


def test_ctrl_c_is_one_line_and_ends_the_workers(tmp_path: Path) -> None:
    path = os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "verify"],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not (Path("started").exists() and Path("started").read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    told = "normscope: interrupted: what was finished is in claims; the same command goes on from there\n"
    assert (process.returncode, out, err) == (2, "", told)
    with pytest.raises(ProcessLookupError):  # its own child: it has waited for it
        os.kill(int(Path("started").read_text()), 0)
