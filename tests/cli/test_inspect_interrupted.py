"""Ctrl-C during `normscope inspect`: one line, exit code 2, and the page of before is still there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normscope.cli.app import run

NORMSCOPE = [sys.executable, "-c", "from normscope.cli import main; main()"]

# Ctrl-C comes when the module whose name the environment tells is imported, made, run, and so on
INTERRUPTED = """
import os, signal
import torch
from torch import nn

def reach(moment):
    if os.environ.get("CTRL_C") == moment:
        signal.raise_signal(signal.SIGINT)

reach("import")

class Reached(nn.Module):
    def __init__(self, moment):
        super().__init__()
        self.moment = moment
    def forward(self, x):
        reach(self.moment)
        return x + 0

class Swallowed(nn.Module):
    def forward(self, x):
        try:
            reach("swallowed")
        except BaseException:
            raise RuntimeError("an error of a library's")
        return x + 0

def network():
    reach("factory")
    return nn.Sequential(nn.Flatten(), Reached("forward"), Swallowed(), nn.Linear(64, 10))

def data():
    reach("data")
    return torch.randn(8, 64), torch.randint(10, (8,))

class Watched(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()
    @staticmethod
    def backward(context, gradient):
        reach("backward")
        return gradient

def loss(outputs, targets):
    reach("loss")
    return nn.functional.cross_entropy(Watched.apply(outputs), targets)
"""
PAGE = "the page of last week"


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nets.py").write_text(INTERRUPTED, encoding="utf-8")
    (tmp_path / "inspect.html").write_text(PAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


ARGUMENTS = ["inspect", "nets.py:network", "--data", "nets.py:data", "--batch", "8", "--loss", "nets.py:loss"]


@pytest.mark.parametrize("moment", ["import", "factory", "data", "forward", "swallowed", "loss", "backward"])
def test_at_work_it_is_one_line_and_nothing_is_written(
    moment: str, interrupted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CTRL_C", moment)
    before = signal.getsignal(signal.SIGINT)
    assert run(ARGUMENTS) == 2
    assert tuple(capsys.readouterr()) == ("", "normscope: interrupted: inspect.html was not written\n")
    assert signal.getsignal(signal.SIGINT) is before
    assert (interrupted / "inspect.html").read_text() == PAGE
    assert {entry.name for entry in interrupted.iterdir()} - {"__pycache__"} == {"nets.py", "inspect.html"}


def test_while_the_page_is_written_it_stays_the_one_of_before(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace = os.replace

    def interrupting(*paths: object) -> None:
        signal.raise_signal(signal.SIGINT)
        replace(*paths)

    monkeypatch.setattr(os, "replace", interrupting)
    assert run(ARGUMENTS) == 2
    assert capsys.readouterr().err == "normscope: interrupted: inspect.html was not written\n"
    assert (interrupted / "inspect.html").read_text() == PAGE
    assert {entry.name for entry in interrupted.iterdir()} - {"__pycache__"} == {"nets.py", "inspect.html"}


@pytest.mark.parametrize("delay", [0.2, 0.6, 1.2, 2.4])
def test_a_real_process_ends_at_any_time(delay: float, tmp_path: Path) -> None:
    """While Python's part of the program loads, while torch does, at work."""
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def deep(): return nn.Sequential(nn.Flatten(), *[nn.Linear(64, 64) for _ in range(20_000)])\n"
    )
    (tmp_path / "inspect.html").write_text(PAGE)
    process = subprocess.Popen(
        [*NORMSCOPE, "inspect", "nets.py:deep", "--data", "digits"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert err.splitlines()[-1].startswith("normscope: interrupted")
    assert "Traceback" not in err
    assert (tmp_path / "inspect.html").read_text() == PAGE
    assert {entry.name for entry in tmp_path.iterdir()} - {"__pycache__"} == {"nets.py", "inspect.html"}


def test_nothing_is_imported_where_ctrl_c_is_an_exception() -> None:
    """An exception in the middle of an import becomes whatever the imported library makes of it."""
    script = (
        "import sys\n"
        "import normscope.cli.inspect as command\n"
        "def failing(*_, **__):\n"
        "    print('normscope.report.inspection.run' in sys.modules, 'torch' in sys.modules)\n"
        "    raise SystemExit\n"
        "command.failing = failing\n"
        "command.inspect(None, 'nets.py:deep')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
