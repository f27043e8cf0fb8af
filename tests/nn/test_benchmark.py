"""The benchmark runs, and prints a row for every variant; what it measures here means nothing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_decomposed_batchnorm.py"


def test_prints_ratios_targets_and_bytes(monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--repeats", "2", "--threads", "1", "--shape", "4", "3", "8", "8"])
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    output = capsys.readouterr().out
    contiguous, channels_last = output.split("channels_last")
    for name, target in [("both on", "1.05"), ("recenter only", "0.95"), ("rescale only", "1.10")]:
        (row,) = (line for line in contiguous.splitlines() if line.startswith(f"{name}  "))
        assert f"≤ {target}" in row
        assert "met" in row or "MISSED" in row
        assert name in channels_last
    assert "≤" not in channels_last
    saved = [float(line.split()[-1]) for line in output.splitlines() if line[:7] in ("recente", "rescale", "neither")]
    assert len(saved) == 10
    assert all(0.5 < ratio <= 1 for ratio in saved)
