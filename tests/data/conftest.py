"""Files of the user's: CIFAR archives in the published format, and a folder to work in."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reference.archives import CIFAR_FILES, cifar_entry, python2_pickle, write_archive


@pytest.fixture(scope="session")
def cifar_archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The options that make `cifar10` and `cifar100` read small archives: where they are, and their MD5s."""
    root = tmp_path_factory.mktemp("archives")
    checksums = {}
    for archive, files in CIFAR_FILES.items():
        members = {name: python2_pickle(cifar_entry(*content)) for name, content in files.items()}
        checksums[archive] = write_archive(root / archive, members)
        checksums |= {name.split("/")[1]: hashlib.md5(content).hexdigest() for name, content in members.items()}
    return {"root": root, "checksums": checksums}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, no data elsewhere, and an interpreter that forgets what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NORMSCOPE_DATA", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    assert not (tmp_path / "executed").exists()
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(here: Path) -> Callable[[str, str], Path]:
    """Writes a text file into the current folder."""

    def write_file(name: str, content: str) -> Path:
        (here / name).write_text(content)
        return here / name

    return write_file
