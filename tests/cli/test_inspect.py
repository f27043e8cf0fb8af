"""`normscope inspect`: what is printed where, exit codes, what is left on the disk."""

from __future__ import annotations

import functools
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

NORMSCOPE = [sys.executable, "-c", "from normscope.cli import main; main()"]
DIGITS = ["--data", "digits", "--batch", "8"]


def normscope(*arguments: str, cwd: Path, columns: int = 100) -> subprocess.CompletedProcess[str]:
    """A real process."""
    environment = {**os.environ, "COLUMNS": str(columns), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        [*NORMSCOPE, "inspect", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def inspect(folder: Path, command: Any) -> object:
    return functools.partial(command, "inspect")


def test_prints_the_table_and_writes_the_page(folder: Path) -> None:
    done = normscope("nets.py:small", *DIGITS, "--loss", "cross_entropy", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("small (Sequential): 5 layer calls, batch 8, train mode, loss ")
    assert re.search(r"^2 +BatchNorm1d +8 ", done.stdout, re.MULTILINE)
    for heading in ("std", "dead", "cos", "rank", "odd", "grad"):
        assert re.search(rf"^layer .* {heading}\b", done.stdout, re.MULTILINE), heading
    assert f"Wrote {folder.resolve() / 'inspect.html'} (" in done.stdout
    assert "\x1b" not in done.stdout
    page = (folder / "inspect.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "normscope inspect nets.py:small --data digits --batch 8 --loss cross_entropy" in page


def test_a_user_without_data_sees_random_input(inspect: object, folder: Path) -> None:
    done = inspect("nets.py:Residual", "--kw", "width=5", "--input-shape", "3x8x8", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3×8×8: independent normal numbers, mean 0, variance 1, seed 0" in done.stdout
    assert re.search(r"^norm +BatchNorm2d +5×8×8 ", done.stdout, re.MULTILINE)
    assert not (folder / "inspect.html").exists()


def test_no_more_samples_than_there_are_unless_so_many_are_asked_for(inspect: object, folder: Path) -> None:
    (folder / "few.py").write_text(
        "import torch\ndef few(): return torch.randn(5, 64)\ndef one(): return torch.zeros(1, 64)\n"
    )
    done = inspect("nets.py:small", "--data", "few.py:few", "--no-page")
    assert (done.returncode, done.stderr) == (0, "")
    assert "batch 5" in done.stdout
    assert "all 5 samples of few.py:few" in " ".join(done.stdout.split())
    asked = inspect("nets.py:small", "--data", "few.py:few", "--batch", "6")
    assert asked.stderr == "normscope: a batch of 6 was asked for, but few.py:few holds 5 samples\n"
    one = inspect("nets.py:small", "--data", "few.py:one")
    assert one.stderr == "normscope: --data few.py:one: it holds one sample, and a batch has at least 2\n"


def test_json_alone_is_on_stdout(folder: Path) -> None:
    done = normscope("nets.py:prints", *DIGITS, "--json", "--output", "p.html", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "made\n")
    found = json.loads(done.stdout)
    assert found["report"] == "p.html"
    (network,) = found["networks"]
    assert [layer["kind"] for layer in network["layers"]] == ["Flatten", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert network["layers"][1]["shape"] == [8, 8]
    assert (folder / "p.html").exists()


def test_the_same_command_gives_the_same_numbers(inspect: object) -> None:
    arguments = ["nets.py:small", *DIGITS, "--loss", "cross_entropy", "--json", "--no-page", "--seed", "5"]
    first, again = inspect(*arguments), inspect(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert inspect(*arguments[:-1], "6").stdout != first.stdout


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_of_the_table_is_wider_than_the_screen(inspect: object, width: int, monkeypatch: object) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    done = inspect("nets.py:small", *DIGITS, "--compare", "recenter", "--loss", "cross_entropy", "--no-page")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= width


def test_compares_with_parts_of_batch_norm(inspect: object) -> None:
    found = {}
    for which in ("none", "recenter", "rescale", "batch"):
        done = inspect("nets.py:small", *DIGITS, "--compare", which, "--json", "--no-page")
        assert done.returncode == 0, done.stderr
        found[which] = json.loads(done.stdout)["networks"]
    for which, (plain, variant) in found.items():
        assert variant["name"].startswith("small, ")
        before = [layer["mean"] for layer in plain["layers"][:2]]
        assert [layer["mean"] for layer in variant["layers"][:2]] == before, which
    norm = {which: networks[1]["layers"][2] for which, networks in found.items()}
    linear = found["none"][0]["layers"][1]
    assert norm["none"]["std"] == pytest.approx(linear["std"])
    assert norm["none"]["mean"] == pytest.approx(linear["mean"])
    assert norm["recenter"]["mean"] == pytest.approx(0, abs=1e-6)
    assert norm["recenter"]["std"] != pytest.approx(1, abs=0.05)
    assert norm["rescale"]["mean"] != pytest.approx(0, abs=1e-3)
    assert norm["batch"]["std"] == pytest.approx(1, abs=1e-3)


def test_compares_with_another_network(inspect: object) -> None:
    done = inspect("nets.py:small", *DIGITS, "--compare", "nets.py:small", "--compare-kw", "norm=False")
    assert done.returncode == 0, done.stderr
    assert "A: small()" in done.stdout
    assert "B: small(norm=False)" in done.stdout
    assert re.search(r"^layer .*std A +std B", done.stdout, re.MULTILINE)


def test_sorts_and_ranks(inspect: object) -> None:
    def first(*options: str) -> str:
        done = inspect("nets.py:small", *DIGITS, "--no-page", *options)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        head = next(i for i, line in enumerate(lines) if line.startswith("layer "))
        return lines[head + 1]

    table = json.loads(inspect("nets.py:small", *DIGITS, "--no-page", "--json").stdout)["networks"][0]["layers"]
    largest = max(table, key=lambda layer: layer["std"])["layer"]
    smallest = min(table, key=lambda layer: layer["std"])["layer"]
    assert first("--sort", "std").split()[0] == largest
    assert first("--sort=-std").split()[0] == smallest
    assert first("--rows", "2").split()[0] == "0"
    assert re.match(r"\S+ +(alike|dead|odd|size) \d\.\d\d ", first("--worst"))


def test_rows_are_elided_in_the_middle(inspect: object) -> None:
    done = inspect("nets.py:small", *DIGITS, "--no-page", "--rows", "2")
    assert "… 3 more …" in done.stdout
    assert "2 of 5 layer calls; --rows 0 prints all" in done.stdout
    assert "more …" not in inspect("nets.py:small", *DIGITS, "--no-page", "--rows", "0").stdout


def test_layers_ops_modes_and_instances(inspect: object) -> None:
    def layers(*arguments: str) -> list[str]:
        done = inspect(*arguments, "--json", "--no-page")
        assert done.returncode == 0, done.stderr
        return [layer["layer"] for layer in json.loads(done.stdout)["networks"][0]["layers"]]

    assert layers("nets.py:small", *DIGITS, "--layers", "1", "--layers", "[23]") == ["1", "2", "3"]
    images = ["--input-shape", "3x6x6", "--batch", "4"]
    assert "relu" not in " ".join(layers("nets.py:Residual", *images))
    assert any(name.endswith("relu") for name in layers("nets.py:Residual", *images, "--capture", "ops"))
    assert len(layers("nets.py:instance", *DIGITS)) == 5
    assert "eval mode" in inspect("nets.py:small", *DIGITS, "--eval", "--no-page").stdout
    assert "train mode" in inspect("nets.py:small", *DIGITS, "--train", "--no-page").stdout


def test_token_ids_and_a_batch_that_is_not_first(inspect: object) -> None:
    words = ["nets.py:Words", "--input-shape", "7", "--batch-dim", "1", "--batch", "5", "--no-page", "--json"]
    done = inspect(*words, "--vocab", "50")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)["networks"][0]["layers"]
    assert table[0]["shape"] == [7, 5, 8]
    assert table[0]["cos_mean"] is not None


@pytest.mark.parametrize("loss", ["mse", "nets.py:make_loss", "nets.py:absolute", "torch.nn:CrossEntropyLoss"])
def test_losses(inspect: object, loss: str) -> None:
    extra = ["--random-targets"] if loss == "mse" else []
    done = inspect("nets.py:small", *DIGITS, "--loss", loss, *extra, "--json", "--no-page")
    assert done.returncode == 0, done.stderr
    (network,) = json.loads(done.stdout)["networks"]
    assert network["loss"] > 0
    first, *rest = network["layers"]
    assert (first["kind"], first["grad_norm"]) == ("Flatten", None)  # before the first trained parameter
    assert all(layer["grad_norm"] > 0 for layer in rest)


def test_a_loss_shows_kernel_and_output_gradients(inspect: object, folder: Path) -> None:
    arguments = ["nets.py:Residual", "--batch", "20", "--loss", "cross_entropy", "--output", "p.html"]
    digits = ["--data", "digits", "--data-kw", "size=6", "--data-kw", "channels=3"]
    for source in (digits, ["--input-shape", "3x6x6", "--random-targets"]):
        done = inspect(*arguments, *source)
        assert done.returncode == 0, done.stderr
        assert re.search(r"^  Kernel gradient, a / b +[\d.]+ ", done.stdout, re.MULTILINE)
        assert re.search(r"^  Largest wrong class  \d+% \(class \d\)$", done.stdout, re.MULTILINE)
        assert re.search(r"^layer .* a/b +√T$", done.stdout, re.MULTILINE)
        page = (folder / "p.html").read_text(encoding="utf-8")
        assert "<dt>Rank-one energy</dt>" in page
        found = json.loads(inspect(*arguments, *source, "--json").stdout)
        (network,) = found["networks"]
        assert (network["output_gradients"]["images"], network["output_gradients"]["classes"]) == (20, 10)
        having = [layer["layer"] for layer in network["layers"] if (layer["kernel_gradient_ratio"] or 0) >= 1]
        assert having == ["first", "head"]
        assert "kernel_gradient_ratio" in found["meanings"]
    without = json.loads(inspect("nets.py:Residual", *digits, "--batch", "20", "--no-page", "--json").stdout)
    assert without["networks"][0]["output_gradients"] == {}
    assert "kernel_gradient_ratio" not in without["networks"][0]["layers"][0]


def test_fewer_samples_than_classes_are_told(inspect: object) -> None:
    done = inspect("nets.py:small", *DIGITS, "--loss", "cross_entropy", "--no-page")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if "output gradients" in line]
    assert line == "  note: output gradients were not measured: gradients of 10 classes need a batch of at least 10"
    assert "Largest wrong class" not in done.stdout


def test_a_loss_that_is_not_finite_is_one_line(inspect: object) -> None:
    done = inspect("nets.py:small", *DIGITS, "--loss", "nets.py:nan_loss", "--no-page")
    assert (done.returncode, done.stderr) == (2, "normscope: The loss is NaN, every layer's output is finite.\n")


def test_random_targets_are_the_seeds(inspect: object) -> None:
    images = ["nets.py:Residual", "--input-shape", "3x6x6", "--batch", "6", "--json", "--no-page"]
    losses = [
        json.loads(inspect(*images, "--loss", "cross_entropy", "--random-targets").stdout)["networks"][0]["loss"]
        for _ in range(2)
    ]
    assert losses[0] == losses[1] > 0


def test_weights_are_loaded(inspect: object, folder: Path) -> None:
    sys.path.insert(0, str(folder))
    state = {k: torch.zeros_like(v) for k, v in __import__("nets").small().state_dict().items()}
    sys.modules.pop("nets")
    torch.save(state, folder / "zeros.pt")
    done = inspect("nets.py:small", *DIGITS, "--weights", "zeros.pt", "--no-page", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["networks"][0]["layers"][1]["std"] == 0


def test_what_is_not_finite_is_told_first_and_exits_with_two(inspect: object, folder: Path) -> None:
    done = inspect("nets.py:Overflows", *DIGITS)
    assert done.returncode == 2
    assert done.stderr == "normscope: NaN or infinity appears first in the output of layer larger.\n"
    lines = done.stdout.splitlines()
    assert lines[1] == "  · NaN or infinity appears first in the output of layer larger."
    assert (folder / "inspect.html").read_text(encoding="utf-8").endswith("</html>\n")


BAD = [
    ([], "Missing argument 'model'"),
    (["nets.py:smal", *DIGITS], "did you mean 'small'"),
    (["nowhere.py:small", *DIGITS], "nowhere.py"),
    (["nowhere:small", *DIGITS], "nowhere"),
    (["small", *DIGITS], "names no object"),
    (["nets.py:raises", *DIGITS], "nets.py:raises raised RuntimeError: no such thing as this (nets.py:"),
    (["nets.py:number", *DIGITS], "returned an int, not a torch.nn.Module"),
    (["nets.py:small", "--kw", "widht=3", *DIGITS], "did you mean 'width'"),
    (["nets.py:small", "--kw", "width", *DIGITS], "key=value"),
    (["nets.py:small", "--weights", "other.pt", *DIGITS], "other.pt"),
    (["nets.py:small", "--weights", "hostile.pt", *DIGITS], "hostile.pt"),
    (["nets.py:small", "--weights", "empty.pt", *DIGITS], "empty.pt"),
    (["nets.py:small"], "say what the model is to see: --data digits"),
    (["nets.py:small", *DIGITS, "--input-shape", "64"], "one of the two"),
    (["nets.py:small", "--data", "digist"], "did you mean 'digits'"),
    (["nets.py:small", "--data", "hostile.npy"], "hostile.npy"),
    (["nets.py:small", "--data", "nets.py:nan_data", "--batch", "4"], "NaN"),
    (["nets.py:small", "--data", "digits", "--batch", "1"], "--batch 1: a batch has at least 2 samples"),
    (["nets.py:small", "--data", "digits", "--batch", "9999"], "9999"),
    (["nets.py:small", *DIGITS, "--data-kw", "size=12"],
     "layer 1 (Linear) raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x144 and 64x8); "
     "it was given float32 (8, 144); the model was given float32 (8, 1, 12, 12)"),
    (["nets.py:Residual", *DIGITS], "it was given float32 (8, 1, 8, 8); the model was given float32 (8, 1, 8, 8). "
     "Images of another shape: --data digits --data-kw size=32 --data-kw channels=3"),
    (["nets.py:Words", "--input-shape", "7"], "It looks up token ids: --vocab 50 makes random ones"),
    (["nets.py:Words", "--input-shape", "7", "--vocab", "90"], "It knows the ids 0 to 49"),
    (["nets.py:small", "--input-shape", "64", "--vocab", "9"],
     "It computes with floating-point numbers: integers are passed on as ids"),
    (["nets.py:small", "--input-shape", "3x-2"], "--input-shape 3x-2: write the shape of one sample"),
    (["nets.py:empty", *DIGITS], "Sequential has no layers"),
    (["nets.py:small", *DIGITS, "--layers", "9.*"], "9.*"),
    (["nets.py:small", *DIGITS, "--capture", "all"], "--capture all: not known; choose from modules, ops"),
    (["nets.py:small", *DIGITS, "--loss", "croos_entropy"], "did you mean 'cross_entropy'"),
    (["nets.py:small", *DIGITS, "--loss", "nets.py:number"], "name a loss(outputs, targets)"),
    (["nets.py:small", *DIGITS, "--loss", "nets.py:bad_loss"], "the loss nets.py:bad_loss raised KeyError: 'lost'"),
    (["nets.py:small", *DIGITS, "--loss", "nets.py:vector_loss"], "must return one number"),
    (["nets.py:small", *DIGITS, "--loss", "mse"], "--loss mse: targets are classes, int64 (8,)"),
    (["nets.py:small", "--data", "nets.py:labels_from_one", "--batch", "20", "--loss", "cross_entropy"],
     "--loss cross_entropy: label 10 is out of range: the model has 10 outputs, for labels 0 to 9"),
    (["nets.py:small", "--input-shape", "64", "--loss", "mse"], "--random-targets draws some from the seed"),
    (["nets.py:small", *DIGITS, "--loss", "nets.py:absolute", "--random-targets"], "cross_entropy and mse only"),
    (["nets.py:small", "--data", "nets.py:no_targets", "--batch", "4", "--loss", "mse"], "has no targets"),
    (["nets.py:small", *DIGITS, "--sort", "rank"], "--sort rank: no such column"),
    (["nets.py:small", *DIGITS, "--device", "tpu9"], "--device tpu9 cannot be used"),
    (["nets.py:small", *DIGITS, "--device", "meta"], "--device meta cannot be used: its tensors have shapes and no"),
    (["nets.py:small", *DIGITS, "--device", "cuda:99"], "--device cuda:99 cannot be used: "),
    (["nets.py:small", *DIGITS, "--seed", "-1"], "--seed -1: a seed is from 0"),
    (["nets.py:small", *DIGITS, "--batch-dim", "7"], "--batch-dim 7"),
    (["nets.py:small", *DIGITS, "--compare", "nothing"], "--compare nothing: not known"),
    (["nets.py:small", "--kw", "norm=False", *DIGITS, "--compare", "none"], "Sequential has none"),
    (["nets.py:small", *DIGITS, "--compare-kw", "width=3"], "--compare-kw"),
    (["nets.py:small", *DIGITS, "--output", "nowhere/page.html"], "there is no folder nowhere"),
    (["nets.py:small", *DIGITS, "--output", "."], "it is a folder"),
    (["nets.py:small", *DIGITS, "--rows", "-1"], "--rows"),
]  # fmt: skip


class Hostile:
    def __reduce__(self) -> object:
        return (os.system, ("touch executed",))


@pytest.fixture
def files(folder: Path) -> set[str]:
    """Checkpoints and data that cannot be used; the names of all files that are there."""
    torch.save({"other.weight": torch.zeros(3)}, folder / "other.pt")
    (folder / "hostile.pt").write_bytes(pickle.dumps(Hostile()))
    (folder / "hostile.npy").write_bytes(pickle.dumps(Hostile()))
    (folder / "empty.pt").write_bytes(b"")
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: str(value)[:60])
def test_bad_input_is_one_line_and_exit_code_two(
    inspect: object, folder: Path, files: set[str], arguments: list[str], message: str
) -> None:
    done = inspect(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("normscope: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == files


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA on this machine")
def test_cuda_where_there_is_none_is_one_line(inspect: object, folder: Path) -> None:
    done = inspect("nets.py:small", *DIGITS, "--device", "cuda")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("normscope: --device cuda cannot be used: ")
    assert not (folder / "inspect.html").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA on this machine")
def test_cuda_gives_the_numbers_of_the_cpu(inspect: object) -> None:
    arguments = ["nets.py:small", *DIGITS, "--loss", "cross_entropy", "--no-page", "--json"]
    found = [json.loads(inspect(*arguments, "--device", device).stdout)["networks"][0] for device in ("cpu", "cuda")]
    for here, there in zip(*(network["layers"] for network in found), strict=True):
        assert there["std"] == pytest.approx(here["std"], rel=1e-3)
        assert there["grad_norm"] == pytest.approx(here["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("row", [5, 19])
def test_bad_input_of_a_real_process(folder: Path, files: set[str], row: int) -> None:
    arguments, message = BAD[row]
    done = normscope(*arguments, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == files


def test_names_from_the_model_are_text_on_the_page(inspect: object, folder: Path) -> None:
    from plotly.offline import get_plotlyjs

    done = inspect("nets.py:hostile", *DIGITS)
    assert done.returncode == 0, done.stderr
    page = (folder / "inspect.html").read_text(encoding="utf-8").replace(get_plotlyjs(), "")
    assert "onerror" in page
    assert "<img" not in page
    assert "<b>bold" not in page
    assert page.count("</script>") == 3


def test_a_page_of_before_survives_a_failure(inspect: object, folder: Path) -> None:
    (folder / "inspect.html").write_text("the page of last week")
    assert inspect("nets.py:raises", *DIGITS).returncode == 2
    assert (folder / "inspect.html").read_text() == "the page of last week"


def test_a_reader_that_has_read_enough_is_no_error(folder: Path) -> None:
    command = " ".join(f"'{word}'" for word in [*NORMSCOPE, "inspect", "nets.py:small", *DIGITS, "--no-page"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")
