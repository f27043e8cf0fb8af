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
from torch import nn

from normscope.nn import DecomposedBatchNorm
from normscope.report.partition.run import _initial

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

def unnormalized():
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU())

def images():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

def after_norm():
    return nn.Sequential(nn.Unflatten(1, (2, 1)), nn.BatchNorm1d(5), nn.ReLU())

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.Linear(5, 1))

class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 3, 3), nn.Linear(5, 2)
    def forward(self, x):
        return self.head(self.layer(x).mean((2, 3)))

class Catches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)
    def forward(self, x):
        try:
            self.layer(x)
        except RuntimeError:
            pass
        raise ValueError("mine")

def statistics(mean, counted):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    model[1].running_mean.fill_(mean)
    model[1].num_batches_tracked.fill_(counted)
    return model

class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 3, 1)
    def forward(self, points):
        return torch.relu(self.layer(points.reshape(-1, 2, 1, 1)))

class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("no such\\nthing")

class FailsLater(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(2, 3, 1)
    def forward(self, points):
        torch.stack([self.layer(point.reshape(2, 1)) for point in points])  # without a batch, which it takes too
        raise RuntimeError("later")

def normalized_plane():
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU())

class Exits(nn.Module):
    def forward(self, x):
        raise SystemExit(3)

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

def few():
    return torch.randn(12, 2, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2

def one():
    return torch.zeros(1, 2)

def scalars():
    return torch.zeros(5)

def words():
    return torch.arange(12).reshape(4, 3)

def pair():
    return {"a": torch.zeros(4, 2), "b": torch.zeros(4, 2)}
"""


SHARED = """
import torch
from torch import nn
class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.act = nn.Linear(2, 2), nn.ReLU()
    def forward(self, x):
        return torch.relu(self.layer(self.act(self.layer(self.act(self.layer(x))))))
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


@pytest.mark.parametrize(("mean", "counted", "initial"), [(0, 0, True), (0.5, 0, False), (0, 3, True), (0.5, 3, False)])
def test_initial_statistics_are_told_by_their_values(partition: Any, mean: float, counted: int, initial: bool) -> None:
    """A state without counts, as old files hold it, is not initial."""
    done = partition("nets.py:statistics", "--kw", f"mean={mean}", "--kw", f"counted={counted}", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert "Batch norms use the statistics that they hold (running statistics)" in told
    assert ("these are the initial ones" in told) == initial


def test_without_any_statistics_there_are_no_initial_ones() -> None:
    assert not _initial([nn.Linear(2, 2), nn.BatchNorm1d(3, track_running_stats=False)])
    assert _initial([nn.Linear(2, 2), nn.BatchNorm1d(3)])
    variant = DecomposedBatchNorm(3, recenter=False)
    assert _initial([nn.BatchNorm1d(3), variant])
    assert variant.running_mean_square is not None
    variant.running_mean_square.fill_(2)
    assert not _initial([nn.BatchNorm1d(3), variant])


def test_a_limit_of_one_region(partition: Any) -> None:
    done = partition("nets.py:plain", "--max-regions", "1", "--no-page")
    assert done.stderr.startswith(
        "normscope: not complete: plain has more than 1 region and is drawn with none of 1 layer: raise"
    )


def test_a_model_without_running_statistics_takes_those_of_the_data(partition: Any) -> None:
    assert partition("nets.py:unnormalized", "--statistics", "batch", "--no-page").returncode == 0


def test_no_more_samples_than_there_are_unless_so_many_are_asked_for(partition: Any) -> None:
    done = partition("nets.py:plain", "--data", "nets.py:few", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    assert "in a window. All 12 samples of nets.py:few; " in " ".join(done.stdout.split())


def test_a_network_that_is_affine_has_no_table(partition: Any, tmp_path: Path) -> None:
    (tmp_path / "affine.py").write_text("from torch import nn\ndef flat(): return nn.Linear(2, 3)\n")
    done = partition("affine.py:flat", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    assert "flat: 1 region in " in done.stdout
    assert "Regions by layer" not in done.stdout


def test_layers_of_one_module_are_told_apart(partition: Any, tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text(SHARED)
    done = partition("shared.py:Shared", "--no-page")
    table = done.stdout.splitlines()
    names = [line.split()[1] for line in table[table.index("Regions by layer and those before:") + 2 :] if line]
    assert len(names) == 3
    assert len(set(names)) == 3


@pytest.mark.parametrize("window", [["--extent=-1,1,-2,2"], ["--extent", "-1,1,-2,2"]])
def test_negative_numbers_in_a_word_of_their_own(partition: Any, window: list[str]) -> None:
    assert json.loads(partition(*window, "--norm", "none", "--json", "--no-page").stdout)["extent"] == [-1, 1, -2, 2]


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
    (["--extent", "a,b"], "--extent a,b: give 4 numbers, --extent XMIN,XMAX,YMIN,YMAX"),
    (["--extent", "0101"], "--extent 0101: give 4 numbers, --extent XMIN,XMAX,YMIN,YMAX"),
    (["--extent", "nan,1,0,1"], "--extent nan,1,0,1: all four are finite numbers"),
    (["--samples", "0,1,x"], "--samples 0,1,x: give 3 whole numbers, --samples I,J,K"),
    (["--samples", "0,1"], "--samples 0,1: give 3 whole numbers, --samples I,J,K"),
    (["--samples", "0,1,-2"], "--samples 0,1,-2: samples have numbers from 0 on"),
    (["--samples", "0,1,4", "--batch", "4"], "--samples 0,1,4: the 4 samples have numbers 0 to 3"),
    (["--samples", "1,2,250"], "--samples 1,2,250: 200 samples are opened by default, numbers 0 to 199: --batch 251 "
     "opens more\n"),
    (["--samples", "0,1,12", "--data", "nets.py:few"], "--samples 0,1,12: the 12 samples have numbers 0 to 11"),
    (["--max-regions", "0"], "--max-regions 0: at least 1"),
    (["--norm", "batch,"], "--norm '': not known; choose from none, recenter"),
    (["--data", "nets.py:few", "--batch", "13"], "a batch of 13 was asked for, but nets.py:few holds 12 samples"),
    (["--data", "nets.py:one"], "--data nets.py:one: it holds one sample, and a partition needs at least 2"),
    (["--data", "nets.py:scalars"], "samples of one number are not 2-D"),
    (["nets.py:images"], "images cannot be run on two_moons (samples of 2 features): layer '0' (Conv2d) takes images "
     "of 3 channels and is given 2 features (RuntimeError: Expected 3D (unbatched) or 4D (batched) input to "),
    (["nets.py:images"], "); give --data of what it takes, and --samples 0,1,2 for the plane through three of them\n"),
    (["nets.py:images", "--data", "digits", "--samples", "0,1,2"], "(Conv2d) takes images of 3 channels and is given "
     "shape 1×8×8 (RuntimeError: Given groups=1, "),
    (["nets.py:images", "--data", "digits", "--samples", "0,1,2"], "); give --data of what it takes (images: "
     "of another shape by --data-kw size=… and --data-kw channels=…)\n"),
    (["nets.py:images", "--data", "digits", "--samples", "0,1,2", "--data-kw", "size=16", "--data-kw", "channels=3"],
     "layer '3' (Linear) takes 144 features and is given 784 features (RuntimeError: "),
    (["nets.py:images", "--data", "digits", "--samples", "0,1,2", "--data-kw", "size=16", "--data-kw", "channels=3"],
     "); give --data of what it takes (images: of another shape by --data-kw size=… and --data-kw channels=…)\n"),
    (["nets.py:Pooled", "--data", "digits", "--samples", "0,1,2"], "layer 'head' (Linear) takes 5 features and is "
     "given 3 features (RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 5x2))\n"),
    (["nets.py:Catches"], "Catches cannot be run on two_moons (samples of 2 features): ValueError: mine (nets.py:"),
    (["nets.py:images", "--data", "nets.py:few", "--samples", "0,1,2"], "given 2 features (RuntimeError: "),
    (["nets.py:images", "--data", "nets.py:few", "--samples", "0,1,2"], "); give --data of what it takes\n"),
    (["nets.py:after_norm"], "layer '1' (BatchNorm1d) takes 5 channels and is given shape 2×1 (RuntimeError: "
     "running_mean should contain 2 elements not 5); give"),
    (["nets.py:narrow"], "layer '2' (Linear) takes 5 features and is given 4 features (RuntimeError: mat1 and "
     "mat2 shapes cannot be multiplied (2x4 and 5x1))\n"),
    (["nets.py:Fails"], "Fails cannot be run on two_moons (samples of 2 features): RuntimeError: no such thing ("),
    (["nets.py:FailsLater"], "(samples of 2 features): RuntimeError: later ("),
    (["nets.py:Exits"], "Exits raised SystemExit: 3 (nets.py:"),
    (["nets.py:unnormalized"], "layer '1' (BatchNorm1d) holds no running statistics (track_running_stats=False): "
     "--statistics batch normalizes by those of the data"),
    (["nets.py:plain", "--statistics", "running"], "--statistics running is about batch normalization, and none is"),
    (["--norm", "none", "--statistics", "batch"], "--statistics batch is about batch normalization, and none is left"),
    (["nets.py:normalized_plane", "--norm", "none", "--statistics", "batch"], "and none is left in what is to be"),
    (["nets.py:Maps", "--plot", "a.png", "--by", "class"], "--by class: Maps puts out numbers of shape 3×1×1 for an "
     "input, not one a class; choose layers, layer, active or depth"),
    (["--plot", "a.png", "--output", "./a.png"], "--output and --plot name the same file, a.png"),
    (["--batch", str(10**15)], "out of memory: lower --width, --depth, --batch or --max-regions, or take a smaller"),
    (["--norm", "batch,layer"], "--norm layer: not known; choose from none, recenter, rescale, batch"),
    (["nets.py:Two"], "inputs"),
    (["nets.py:curved"], "gelu, which is not piecewise affine"),
    (["nets.py:plain", "--norm", "none"], "--norm none changes the batch normalization of the model, and Sequential "
     "has none; leave --norm out"),
    (["nets.py:plain", "--data", "digits", "--samples", "0,1,2"], "layer '0' (Linear) takes 2 features and is given "
     "shape 1×8×8"),
    (["nets.py:missing"], "missing"),
    (["--kw", "width=3"], "--kw and --weights are for a model of yours"),
    (["--plot", "a.jpg"], "--plot a.jpg: the file name ends in .png or .svg or .pdf"),
    (["--animate", "a.mp4"], "--animate a.mp4: the file name ends in .gif"),
    (["--by", "colour", "--plot", "a.png"], "--by colour: not known; choose from layers, layer, active, class, depth"),
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
