"""`normscope partition`: what is printed where, exit codes, what is left on the disk."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NORMSCOPE = [sys.executable, "-c", "from normscope.cli import main; main()"]
NETWORKS = """
import os, signal
import torch
from torch import nn

def plain(width=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1))

def normalized():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))

def curved():
    return nn.Sequential(nn.Linear(2, 4), nn.GELU(), nn.Linear(4, 2))

class Two(nn.Module):
    def forward(self, first, second):
        return first + second

class Interrupts(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    def forward(self, x):
        signal.raise_signal(signal.SIGINT)
        return self.layers(x)

def line():
    return torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])

def words():
    return torch.arange(12).reshape(4, 3)

def pair():
    return {"a": torch.zeros(4, 2), "b": torch.zeros(4, 2)}
"""


@pytest.fixture
def partition(command: Any, tmp_path: Path) -> Any:
    (tmp_path / "nets.py").write_text(NETWORKS, encoding="utf-8")
    return functools.partial(command, "partition")


def test_a_real_process_draws_the_reference_network_with_and_without_norm(tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [*NORMSCOPE, "partition", "--plot", "p.png"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Reference network: 4 hidden layers of 6 leaky_relu units, weights and")
    assert "6 lines of the first layer cross the window; all go through the mean" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    assert f"Wrote {tmp_path.resolve() / 'partition.html'} (" in done.stdout
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "partition.html").read_text(encoding="utf-8")
    assert "<code>normscope partition --plot p.png</code>" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png", "partition.html"]


def test_the_four_norms_share_weights_and_only_recentering_moves_folds_to_the_mean(partition: Any) -> None:
    done = partition("--norm", "batch,none,recenter,rescale", "--json", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["command"] == "normscope partition --norm batch,none,recenter,rescale --json --no-page"
    assert found["page"] is None
    batch, none, recenter, rescale = found["pictures"]
    assert [p["name"] for p in found["pictures"]] == ["Batch norm", "No norm", "Recenter only", "Rescale only"]
    for picture in (batch, recenter):
        assert picture["central"] == picture["lines"] == 6
        assert picture["farthest"] < 1e-9
    for picture in (none, rescale):
        assert picture["central"] == 0
        assert picture["farthest"] > 0.1
    # rescaling moves no fold of its own layer, and those of later ones
    assert none["layers"][0]["length"] == pytest.approx(rescale["layers"][0]["length"])
    assert none["layers"][0]["regions"] == rescale["layers"][0]["regions"]
    assert batch["layers"][0]["length"] == pytest.approx(recenter["layers"][0]["length"])
    assert none["layers"][1]["length"] != pytest.approx(rescale["layers"][1]["length"])


def test_the_same_command_gives_the_same_numbers(partition: Any) -> None:
    arguments = ["--json", "--no-page", "--width", "9", "--depth", "2", "--seed", "4", "--activation", "abs"]
    first, again = partition(*arguments), partition(*arguments)
    assert first.returncode == 0
    assert first.stdout == again.stdout
    arguments[arguments.index("4")] = "5"
    assert partition(*arguments).stdout != first.stdout


def test_a_model_of_the_users_in_a_window(partition: Any, tmp_path: Path) -> None:
    window = ["--extent", "-1,1,-1,1", "--kw", "width=3", "--output", "mine.html"]
    done = partition("nets.py:plain", *window, "--plot", "p.svg", "--by", "class", "--animate", "p.gif")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("plain: nets.py:plain. ")
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert "<h1>How plain folds its input space</h1>" in page
    assert 'value="class"' in page
    assert (tmp_path / "p.gif").read_bytes().startswith(b"GIF89a")
    assert (tmp_path / "p.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert json.loads(partition("nets.py:plain", *window, "--json").stdout)["extent"] == [-1, 1, -1, 1]


def test_the_plane_through_three_samples_with_either_statistics(partition: Any) -> None:
    digits = ["nets.py:normalized", "--data", "digits", "--batch", "20", "--samples", "0,3,5", "--json", "--no-page"]
    running, batch = partition(*digits), partition(*digits, "--statistics", "batch")
    assert (running.returncode, batch.returncode) == (0, 0), running.stderr + batch.stderr
    (one,), (other,) = json.loads(running.stdout)["pictures"], json.loads(batch.stdout)["pictures"]
    assert one["name"] == "normalized"
    assert one["points"] == 3
    assert one["central"] is None
    assert one["regions"] != other["regions"] or one["layers"] != other["layers"]
    several = partition(*digits, "--norm", "batch,recenter", "--statistics", "batch")
    first, second = json.loads(several.stdout)["pictures"]
    assert first["layers"] == other["layers"]
    assert second["layers"][0]["length"] == pytest.approx(first["layers"][0]["length"])
    # before the only non-linearity rescaling moves no fold
    assert second["layers"][0]["regions"] == first["layers"][0]["regions"]


def test_a_limit_leaves_what_is_done_with_exit_code_1(partition: Any, tmp_path: Path) -> None:
    done = partition("--max-regions", "100")
    assert done.returncode == 1
    assert done.stderr == (
        "normscope: not complete: Batch norm has more than 100 regions and is drawn with the first 2 of 4 layers; "
        "No norm has more than 100 regions and is drawn with the first 2 of 4 layers: "
        "raise --max-regions, or take a smaller window with --extent\n"
    )
    assert "Batch norm: 83 regions, the first 2 layers only in " in done.stdout
    assert "Not complete." in (tmp_path / "partition.html").read_text(encoding="utf-8")


def test_ctrl_c_keeps_what_is_done(partition: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normscope.report.partition import run as partition_run

    calls = 0
    real = partition_run.partition

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **keywords)

    monkeypatch.setattr(partition_run, "partition", interrupted)
    done = partition("--norm", "none,batch")
    assert done.returncode == 1
    assert done.stderr == "normscope: not complete: interrupted: 1 of 2 pictures are drawn\n"
    assert "No norm: 198 regions" in done.stdout
    assert "1 of 2 pictures" in (tmp_path / "partition.html").read_text(encoding="utf-8")


def test_ctrl_c_before_anything_is_done_writes_nothing(partition: Any, tmp_path: Path) -> None:
    done = partition("nets.py:Interrupts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "normscope: interrupted: nothing was written\n"
    assert not (tmp_path / "partition.html").exists()


MUST_FAIL = [
    (["--data", "nets.py:line", "--batch", "4", "--samples", "0,1,2"], "--samples 0,1,2: the three samples lie on"),
    (["--data", "digits"], "--data digits: samples of shape 1×8×8 are not 2-D; a picture is of the plane through three "
     "of them: --samples 0,1,2"),
    (["--data", "nets.py:pair", "--batch", "4"], "a partition is of one input of real numbers, and these are several"),
    (["--data", "nets.py:words", "--batch", "4"], "a partition is of one input of real numbers, and these are whole"),
    (["--extent", "1,1,0,1"], "--extent 1,1,0,1: the window is empty"),
    (["--extent", "a,b"], "--extent a,b: numbers with commas between them"),
    (["--samples", "0,1,x"], "--samples 0,1,x: whole numbers with commas between them"),
    (["--norm", "batch,layer"], "--norm layer: not known; choose from none, recenter, rescale, batch"),
    (["nets.py:Two"], "inputs"),
    (["nets.py:curved"], "gelu, which is not piecewise affine"),
    (["nets.py:plain", "--norm", "none"], "--norm none changes the batch normalization of the model, and Sequential "
     "has none; leave --norm out"),
    (["nets.py:plain", "--data", "digits", "--samples", "0,1,2"], "(2, 1, 8, 8)"),
    (["nets.py:missing"], "missing"),
    (["--kw", "width=3"], "--kw and --weights are for a model of yours"),
    (["--plot", "a.jpg"], "--plot a.jpg: the file name ends in .png or .svg or .pdf"),
    (["--animate", "a.mp4"], "--animate a.mp4: the file name ends in .gif"),
    (["--by", "colour"], "--by colour: not known; choose from layers, layer, active, class, depth"),
    (["--output", "no/page.html"], "cannot write no/page.html: there is no folder no"),
    (["--plot", "no/a.png"], "cannot write no/a.png: there is no folder no"),
    (["--batch", "many"], "--batch"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), MUST_FAIL)
def test_bad_input_is_one_line_and_exit_code_2(
    partition: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = partition(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["nets.py"]
