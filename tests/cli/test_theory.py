"""``normscope theory``: tables, JSON, LaTeX, figures, and what it says to questions without sense."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_cli import normscope

PLAIN = ["theory", "--n", "7", "--no-rescale"]


def test_the_table_holds_what_the_library_finds() -> None:
    done = normscope(*PLAIN, columns=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Fixed points of recentering + relu, n = 7: 10 found, 2 attracting, 1 dividing")
    row = next(line for line in done.stdout.splitlines() if line.startswith("2 odd (1, 6)"))
    assert row.split()[-1] == "1.269"
    for number in ("0.4791", "0.0656", "3.8493 : 1", "attracts", "0.94483", "17.62"):
        assert number in row
    assert "1: 0.94753 × 6, 0.68519 × 14, 0 × 7" in done.stdout
    assert "(between odd (1, 6) and symmetric (7,)): 1.0304 × 1" in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_longer_than_the_screen(command: Any, columns: int) -> None:
    done = command("theory", "--n", "8", "--no-rescale", "--basins", "2", columns=columns)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= columns
    assert "\N{NO-BREAK SPACE}" not in done.stdout
    assert "95 % interval" in done.stdout


def test_json_has_every_fixed_point_and_its_spectrum(command: Any) -> None:
    done = command(*PLAIN, "--sizes", "1,6", "--json")
    answer = json.loads(done.stdout)
    assert (answer["n"], answer["recenter"], answer["rescale"], answer["activation"]) == (7, True, False, "relu")
    points = answer["fixed_points"]
    assert [p["kind"] for p in points] == ["odd", "odd", "cluster"]
    assert [p["stable"] for p in points] == [True, False, False]
    assert sum(points[0]["multiplicities"]) == 7 * 8 // 2 - 1
    assert points[0]["gradient_growth"] == pytest.approx(1.269, abs=1e-3)
    assert points[0]["rate"] == pytest.approx(max(abs(value) for value in points[0]["spectrum"]))


def test_latex_is_a_balanced_tabular(command: Any) -> None:
    lines = command(*PLAIN, "--latex").stdout.splitlines()
    body = [line for line in lines if not line.startswith("%")]
    assert body[0].startswith(r"\begin{tabular}{")
    assert body[-1] == r"\end{tabular}"
    assert [line for line in body if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    columns = body[0].split("{")[2].rstrip("}")
    rows = [line for line in body if line.endswith(r"\\")]
    assert len(rows) == 11
    assert {row.count("&") for row in rows} == {len(columns) - 1}
    assert all(ord(sign) < 128 for row in rows for sign in row)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_figures_are_written_whole(command: Any, suffix: str, magic: bytes, tmp_path: Path) -> None:
    done = command("theory", "--n", "5", "--sizes", "1,4", "--plot", f"points{suffix}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"Wrote {tmp_path.resolve() / f'points{suffix}'}.")
    assert (tmp_path / f"points{suffix}").read_bytes().startswith(magic)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_million_points_take_seconds_and_no_torch() -> None:
    script = (
        "import sys; from normscope.cli.app import run\n"
        "run(['theory', '--n', '1000000', '--no-rescale']); print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 60  # 3 s of one core, which others may share
    assert done.stdout.splitlines()[-1] == "False False"
    assert "2 odd (1, 999999)" in done.stdout
    assert "–, 1 − 4.4e−11" in done.stdout


def test_digits_and_gaussian_batches_have_basins(command: Any) -> None:
    gaussian = json.loads(command("theory", "--n", "8", "--no-rescale", "--basins", "9", "--json").stdout)["basins"]
    assert gaussian["batches"] == "9 batches of 8 standard normal points in 10 dimensions, seed 0"
    assert sum(row["count"] for row in gaussian["shares"]) == 9
    real = command("theory", "--n", "8", "--no-rescale", "--basins", "4", "--digits")
    assert real.returncode == 0, real.stderr
    assert "4 batches of 8 images of digits, seed 0" in real.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", "1"], "a batch has 2 to 1,000,000 points, got n = 1"),
        (["--n", "0"], "got n = 0"),
        (["--n", "2000000"], "got n = 2000000"),
        (["--activation", "rleu"], "unknown activation 'rleu'; did you mean relu"),
        (["--activation", "zzz"], "choose one of linear, relu"),
        (["--n", "32", "--sizes", "4,20"], "add up to n = 32: 4 + 20 = 24"),
        (["--sizes", "a,b"], "whole numbers with commas, such as 4,28, got 'a,b'"),
        (["--sizes", "0,32"], "sizes are at least 1"),
        (["--activation", "tanh"], "rescaling needs an activation with φ(s x) = s φ(x)"),
        (["--activation", "erf", "--slope", "0.2"], "a slope is that of leaky_relu"),
        (["--slope", "nan"], "a slope is a finite number"),
        (["--json", "--latex"], "--json and --latex: choose one"),
        (["--plot", "a.gif"], "a figure is a .png, .svg or .pdf file"),
        (["--plot", "nowhere/a.png"], "there is no folder nowhere"),
        (["--phase", "--sizes", "1,3"], "leave out --sizes"),
        (["--phase", "--basins", "3"], "leave out --basins"),
        (["--phase", "--n", "32"], "leave out --n"),
        (["--phase", "--no-recenter"], "leave out --no-recenter"),
        (["--phase", "--rescale"], "leave out --rescale"),
        (["--seed", "0"], "--seed is about the batches of --basins: give --basins BATCHES too"),
        (["--dimension", "10"], "--dimension is about the batches of --basins"),
        (["--n", "8", "--basins", "3", "--digits", "--dimension", "5"], "--dimension is that of Gaussian points"),
        (["--n", "8", "--basins", "3", "--seed", "-1"], "a seed is a whole number from 0 on, got -1"),
        (["--n", "8", "--basins", "3", "--digits", "--seed", "-1"], "a seed is a whole number from 0 on, got -1"),
        (["--n", "8", "--basins", "1000000000000"], "1000000000000 batches of 8 points need about"),
        (["--n", "8", "--basins", "1000000000000", "--digits"], "GB are free: take fewer batches or points"),
        (["--digits"], "give --basins BATCHES too"),
        (["--basins", "0"], "batches is at least 1, got 0"),
        (["--basins", "3", "--n", "1000"], "--n is at most 256 with it, got 1000"),
        (["--basins", "3", "--activation", "erf", "--no-rescale"], "batches are compared up to scale"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    command: Any, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = command("theory", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("normscope: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_phase_diagram_of_nothing_that_changes(command: Any) -> None:
    done = command("theory", "--phase", "--activation", "linear", columns=80)
    assert done.returncode == 0, done.stderr
    assert "Recentering + no activation" in done.stdout
    assert "neutral: symmetric" in done.stdout
    assert "No fixed point of these groups is born" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_activation_that_takes_all_batches_to_zero_is_answered_at_once(command: Any) -> None:
    start = time.process_time()
    done = command("theory", "--activation", "gelu", "--no-rescale", columns=120)
    assert done.stdout.splitlines() == [
        "Fixed points of recentering + gelu, n = 32: none found.",
        "Every batch shrinks to 0: |φ(x) − φ(0)| ≤ |x|, so that a layer leaves less of its variance.",
    ]
    assert time.process_time() - start < 5
