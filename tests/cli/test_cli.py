"""The command line, much of it as real processes: what is printed where, exit codes, what is left on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from normscope.cli.failure import Failure, failing

NORMSCOPE = [sys.executable, "-c", "from normscope.cli import main; main()"]
SMALL = ["--model", "mlp", "--depth", "4", "--width", "8", "--batch", "8"]


def normscope(*arguments: str, cwd: Path | None = None, columns: int = 100) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": str(columns), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*NORMSCOPE, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_report_writes_the_page_and_says_where(tmp_path: Path) -> None:
    done = normscope("report", *SMALL, "--output", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Wrote {tmp_path.resolve() / 'page.html'} (")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    assert "mlp, norm none" in done.stderr
    assert "100%" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith("left 0:00:00")


def test_json_alone_is_on_stdout(command: Any, tmp_path: Path) -> None:
    done = command("report", *SMALL, "--norm", "none", "--seed", "2", "--json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert numbers["report"] == "report.html"
    assert numbers["settings"]["seed"] == 2
    assert [layer["depth"] for layer in numbers["layers"]] == [1, 2, 3, 4]
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("options", [SMALL, ["--model", "resnet", "--resnet-depth", "8", "--batch", "4"]])
def test_the_command_on_the_page_makes_the_same_numbers(command: Any, options: list[str], tmp_path: Path) -> None:
    first = command("report", *options, "--norm", "recenter", "--json")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    told = page.split("<code>")[1].split("</code>")[0].split()
    assert told[0] == "normscope"
    again = command(*told[1:], "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)


BAD = [
    (["report", "--model", "mpl"], "--model mpl: not known; choose from mlp, resnet"),
    (["report", "--norm", "bach"], "--norm bach: not known; choose from batch, recenter, rescale, none"),
    (["report", "--batch", "1"], "--batch 1: a batch has at least 4 samples"),
    (["report", "--depth", "0"], "--depth 0: a network has at least 1 hidden layer"),
    (["report", "--depth", "many"], "'--depth': "),
    (["report", "--output", "nowhere/report.html"], "cannot write nowhere/report.html: there is no folder nowhere"),
    (["report", "--output", "."], "it is a folder"),
    (["report", "--output", "report.html/"], "cannot write report.html/: it names a folder"),
    (["report", "--output", "/dev/null"], "cannot write /dev/null: it is not a regular file"),
    (["report", "--resnet-depth", "55"], "--resnet-depth 55: must be 6 m + 2"),
    (["report", "--norm", "batch", "--norm", "none", "--norm", "batch"], "--norm batch: named twice"),
    (["report", "--width", "100000000"], "GB are free: lower batch, depth, width or resnet_depth"),
    (["report", "--colour"], "No such option: --colour"),
    (["reprot"], "No such command 'reprot'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_line_and_exit_code_two(
    command: Any, arguments: list[str], message: str, tmp_path: Path
) -> None:
    assert_refused(command(*arguments), message, tmp_path)


@pytest.mark.parametrize("row", [5, 11, 12, 13])
def test_bad_input_of_a_real_process(row: int, tmp_path: Path) -> None:
    arguments, message = BAD[row]
    assert_refused(normscope(*arguments, cwd=tmp_path), message, tmp_path)


def assert_refused(done: Any, message: str, tmp_path: Path) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("normscope: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(command: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = command("report", *SMALL, "--output", str(tmp_path / "page.html"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Permission denied" in done.stderr


def test_a_path_that_the_system_refuses_is_told(command: Any, tmp_path: Path) -> None:
    done = command("report", *SMALL, "--output", str(tmp_path / ("x" * 300 + ".html")))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "File name too long" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_memory_that_ends_on_the_way_is_told(tmp_path: Path) -> None:
    """Less than the system says is free: the allocator's own error, in one line."""
    script = (
        "import resource, normscope.report, normscope.report.study.memory as memory\n"
        "memory.free_bytes = lambda: None\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))\n"
        "from normscope.cli import main; main()"
    )
    arguments = ["report", "--model", "mlp", "--depth", "3", "--width", "60000", "--output", str(tmp_path / "p.html")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "normscope: out of memory: lower --batch, --depth, --width or --resnet-depth"
    )
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("delay", [0.15, 0.3, 0.5, 0.8, 1.2, 2.0, 3.0])
def test_an_interruption_is_one_line_at_any_time(delay: float, tmp_path: Path) -> None:
    """While Python's part of the program loads, while torch does, at work."""
    process = subprocess.Popen(
        [*NORMSCOPE, "report", "--model", "mlp", "--depth", "3000", "--output", str(tmp_path / "page.html")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert err.splitlines()[-1].startswith("normscope: interrupted")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_an_interruption_became_is_an_interruption() -> None:
    def interrupted_import() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RecursionError("maximum recursion depth exceeded") from None

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Failure, match="told"), failing(interrupted="told"):
        interrupted_import()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("lower batch"), "lower batch"),
        (MemoryError(), "too large"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "too large"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), "too large"),
        (RuntimeError("Storage size calculation overflowed with sizes=[9, 9]"), "too large"),
        (ValueError("bad"), "bad"),
    ],
)
def test_what_is_expected_becomes_a_failure(error: Exception, message: str) -> None:
    with pytest.raises(Failure, match=f"^{message}$"), failing(ValueError, too_large="too large"):
        raise error


def test_what_is_not_expected_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="a bug"), failing(ValueError):
        raise RuntimeError("a bug")


def test_without_a_command_the_help_is_shown() -> None:
    done = normscope()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: normscope" in done.stdout
    assert "report" in done.stdout


DEEP = ["--model", "mlp", "--norm", "none", "--depth", "400"]
AT_WORK = """
import pathlib, sys
import normscope.report.study.run as study
trace, started = study.trace, pathlib.Path(sys.argv.pop())
def telling(*arguments, **keywords):
    started.touch()
    return trace(*arguments, **keywords)
study.trace = telling
from normscope.cli import main
main()
"""


def test_an_interrupted_run_leaves_nothing_half_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, started = tmp_path / "page.html", tmp_path_factory.mktemp("at_work") / "started"
    target.write_text("the page of last week")
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, "report", *DEEP, "--output", target, started],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )
    end = time.monotonic() + 100
    while not started.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.1)  # inside: its forward and backward pass take seconds
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert err.splitlines()[-1] == f"normscope: interrupted: {target} was not written"
    assert "Traceback" not in err
    assert target.read_text() == "the page of last week"
    assert list(tmp_path.iterdir()) == [target]


def test_help_does_not_load_torch() -> None:
    """What makes `normscope --help` fast is that nothing heavy is imported."""
    script = (
        "import sys, normscope\n"
        "from normscope.cli.app import run\n"
        "code = run(sys.argv[1:])\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'plotly', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy), code)"
    )
    for arguments in (["--help"], ["report", "--help"], ["--version"], ["report", "--norm"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert "HEAVY []" in done.stdout, arguments


def test_help_names_every_option() -> None:
    done = normscope("report", "--help")
    assert done.returncode == 0
    for option in ("--seed", "--batch", "--depth", "--width", "--output", "--json", "--model", "--norm"):
        assert option in done.stdout


def test_the_package_can_be_run_where_the_script_is_not_on_the_path(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "normscope"]
    done = subprocess.run([*module, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == normscope("--version").stdout
    refused = subprocess.run([*module, "theory", "--n", "1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("normscope: a batch has 2 to 1,000,000 points")


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        (["partition", "--colour"], "normscope partition --help"),
        (["partition", "--plot"], "normscope partition --help"),
        (["theory", "--n", "many"], "normscope theory --help"),
        (["inspect"], "normscope inspect --help"),
        (["--colour"], "normscope --help"),
        (["reprot"], "normscope --help"),
    ],
)
def test_who_mistypes_is_told_where_to_look(command: Any, arguments: list[str], help_: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f" (see {help_})\n")


def test_version_is_the_package_version() -> None:
    import normscope as package

    assert normscope("--version").stdout.strip() == package.__version__
