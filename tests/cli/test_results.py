"""Where results go: to a reader that leaves, and to a disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NORMSCOPE = [sys.executable, "-m", "normscope"]
FULL = Path("/dev/full")


@pytest.mark.parametrize("arguments", [["theory", "--n", "8"], ["--version"], ["verify", "--list"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run([*NORMSCOPE, *arguments], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="no such device here")
@pytest.mark.parametrize("arguments", [["theory", "--n", "8"], ["--version"], ["theory", "--help"]])
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    with FULL.open("wb") as out:
        done = subprocess.run([*NORMSCOPE, *arguments], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("normscope: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("size", "told"), [(10, "1 kB"), (12_400, "12 kB"), (99_499, "99 kB"), (2_340_000, "2.3 MB")])
def test_sizes_of_files(tmp_path: Path, size: int, told: str) -> None:
    from normscope.cli.results import wrote

    path = tmp_path / "page.html"
    path.write_bytes(b"x" * size)
    assert wrote(str(path)) == f"Wrote {path.resolve()} ({told})"
