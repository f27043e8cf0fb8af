"""Options that would change nothing are refused by name, whatever their value; so are empty ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NETWORK = """
from torch import nn
def net(width=3): return nn.Sequential(nn.Linear(2, width), nn.ReLU())
"""
INSPECT = ["inspect", "net.py:net", "--input-shape", "2"]
PARTITION = ["partition", "net.py:net"]

IN_VAIN = [
    (["partition", "--by", "layers"], "--by is about the figure that --plot writes: give --plot FILE too"),
    ([*PARTITION, "--width", "6"], "--width is that of the reference network, and there is a model of yours"),
    ([*PARTITION, "--depth", "4"], "--depth is that of the reference network"),
    ([*PARTITION, "--activation", "relu"], "--activation is that of the reference network"),
    ([*PARTITION, "--offsets", "1"], "--offsets is that of the reference network"),
    (["partition", "--no-page", "--output", "p.html"], "--output says where the page goes, and --no-page writes none"),
    ([*INSPECT, "--no-page", "--output", "inspect.html"], "--output says where the page goes, and --no-page writes"),
    ([*INSPECT, "--json", "--sort", "std"], "--sort is about the table, and --json prints none"),
    ([*INSPECT, "--json", "--worst"], "--worst is about the table, and --json prints none"),
    ([*INSPECT, "--json", "--rows", "3"], "--rows is about the table, and --json prints none"),
    ([*INSPECT, "--sort", "std", "--worst"], "--sort and --worst are two orders of one table"),
    (["report", "--model", "mlp", "--resnet-depth", "110"], "--resnet-depth is that of the residual network"),
    (["report", "--model", "resnet", "--depth", "9"], "--depth is that of the plain network, which --model leaves out"),
    (["report", "--model", "resnet", "--width", "9"], "leave out --width, or add --model mlp"),
    (["verify", "--list", "--scale", "quick"], "--scale is about a run, and --list runs nothing: leave out one"),
    (["verify", "--list", "--output", "claims"], "--output is about a run"),
    (["verify", "--list", "--jobs", "1"], "--jobs is about a run"),
    (["verify", "--list", "--seed", "0"], "--seed is about a run"),
    (["verify", "--list", "--fresh"], "--fresh is about a run"),
    (["verify", "--list", "--json"], "--json is about a run"),
    (["theory", "--phase", "--no-rescale"], "leave out --no-rescale"),
    (["theory", "--activation", "relu", "--slope", "0.1"], "--activation beside --slope, which means a leaky ReLU"),
    (["theory", "--digits"], "--digits is about the batches of --basins: give --basins BATCHES too"),
]  # fmt: skip
EMPTY = [
    (["partition", "--output", ""], "--output '': it is empty"),
    (["report", "--output", ""], "--output '': it is empty"),
    (["verify", "--output", ""], "--output '': it is empty"),
    (["theory", "--plot", ""], "--plot '': it is empty"),
    ([*INSPECT, "--weights", ""], "--weights '': it is empty"),
]  # fmt: skip
KEYWORDS = [
    ([*PARTITION, "--kw", "width=3", "--kw", "width=4"], "--kw width=4: width is named twice"),
    ([*PARTITION, "--kw", "width"], "--kw: 'width' is not of the form key=value"),
    (["partition", "--data-kw", "batch=3"], "--data-kw batch=3: that is what --batch says"),
    (["partition", "--data-kw", "seed=3"], "--data-kw seed=3: that is what --seed says"),
    (["inspect", "net.py:net", "--data", "digits", "--data-kw", "seed=3"], "seed=3: that is what --seed says"),
    ([*INSPECT, "--compare", "net.py:net", "--compare-kw", "=3"], "--compare-kw: '=3' is not of the form key=value"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), [*IN_VAIN, *EMPTY, *KEYWORDS])
def test_it_is_refused_before_anything_is_done(
    command: Any, arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("normscope: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["net.py"]


def test_each_of_them_does_something_elsewhere(command: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    for arguments in (
        ["partition", "--by", "active", "--plot", "a.svg", "--width", "2", "--depth", "1", "--no-page"],
        ["partition", "--offsets", "1", "--activation", "abs", "--output", "b.html"],
        [*INSPECT, "--no-page", "--sort", "std", "--rows", "1"],
        [*INSPECT, "--worst", "--output", "a.html"],
        ["report", "--model", "mlp", "--depth", "2", "--width", "4", "--batch", "4"],
        ["report", "--model", "resnet", "--resnet-depth", "8", "--batch", "4", "--norm", "none"],
    ):  # fmt: skip
        done = command(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
