"""Command lines in this process, which spares the import of torch; and networks of a user's, as files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from normscope.cli.app import run


class Done(NamedTuple):
    """What a command left: of the same names as of a real process."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``normscope *arguments`` in a folder of the test's own. Each command has a test of a real process too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str, columns: int | None = None) -> Done:
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["normscope", *arguments])
        capsys.readouterr()
        code = run(list(arguments))
        return Done(code, *capsys.readouterr())

    return call


NETWORKS = """
import torch
from torch import nn

def small(width=8, norm=True):
    layers = [nn.Flatten(), nn.Linear(64, width)]
    layers += [nn.BatchNorm1d(width)] if norm else []
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, 10))

instance = small()

class Residual(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.first(images)))
        return self.head(hidden.mean((2, 3)))

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.cells = nn.LSTM(8, 6)
        self.head = nn.Linear(6, 50)

    def forward(self, tokens):
        return {"logits": self.head(self.cells(self.table(tokens))[0]).movedim(-1, 1), "extra": tokens}

class Overflows(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.large = nn.Linear(64, 10)
        self.larger = nn.Linear(10, 10)
        with torch.no_grad():
            self.large.weight.fill_(1e30)
            self.larger.weight.fill_(1e30)

    def forward(self, x):
        return self.larger(self.large(self.flatten(x)).abs())

def raises(): raise RuntimeError("no such thing\\nas this")
def number(): return 3
def empty(): return nn.Sequential()
def prints():
    print("made")
    return small()

Evil = type("<img src=x onerror=alert(1)>", (nn.ReLU,), {})
def hostile():
    made = small()
    made.add_module("</script><b>bold</b>", Evil())
    return made

def absolute(outputs, targets): return (outputs.sum(1) - targets).abs().mean()
def make_loss(): return nn.CrossEntropyLoss()
def bad_loss(outputs, targets): raise KeyError("lost")
def vector_loss(outputs, targets): return outputs
def nan_data(): return torch.full((8, 64), float("nan"))
def labels_from_one():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 64, generator=generator), torch.arange(20) % 10 + 1
def nan_loss(outputs, targets): return (outputs * float("nan")).sum()
def no_targets(): return torch.randn(8, 64)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETWORKS, encoding="utf-8")
    return tmp_path
