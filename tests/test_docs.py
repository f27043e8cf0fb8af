"""The documents say what is true: their examples run, their links and commands exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from normscope.cli.app import run

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_python_examples_run(document: Path) -> None:
    """All blocks of a document in one namespace, as a reader would type them."""
    namespace: dict[str, object] = {}
    for block in blocks(document, "python"):
        exec(compile(block, document.name, "exec"), namespace)


def test_readme_has_examples() -> None:
    assert len(blocks(ROOT / "README.md", "python")) >= 4


def test_command_line_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every `normscope` command of the README is accepted, at a smaller size where it would take long."""
    commands = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    normscope = [shlex.split(line.split(">")[0]) for line in commands if line.startswith("normscope ")]
    assert len(normscope) >= 3
    small = {
        "report": ["--depth", "3", "--width", "8", "--batch", "8", "--resnet-depth", "8"],
        "inspect": ["--batch", "10"],
        "theory": [],
        "verify": [],
        "partition": ["--max-regions", "4000"],
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for words in normscope:
        extra = [] if "--help" in words else small[words[1]]
        assert run([*words[1:], *extra]) == 0, (words, capsys.readouterr().err)


def test_make_targets_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_local_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_architecture_names_every_room_and_file_there_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in (path.parent.name for path in (ROOT / "src" / "normscope").glob("*/__init__.py")):
        assert re.search(rf"\b{room}\b", text), room
    folders = [ROOT / "src", ROOT / "src" / "normscope", ROOT / "src" / "normscope" / "report"]
    files = re.findall(r"`(\w+/[\w/]+\.(?:py|js))`", text)
    assert len(files) > 5
    for file in files:
        assert any((folder / file).exists() for folder in folders), file
