"""How much memory is left."""

from __future__ import annotations

from pathlib import Path

from normscope.system import memory


def test_a_control_group_sets_a_limit(tmp_path: Path) -> None:
    assert memory._control_group(tmp_path) is None
    for name, text in (("memory.max", "1000\n"), ("memory.current", "400\n"), ("memory.stat", "inactive_file 50\n")):
        (tmp_path / name).write_text(text)
    assert memory._control_group(tmp_path) == 650
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._control_group(tmp_path) is None


def test_some_memory_is_free_here() -> None:
    free = memory.free_bytes()
    assert free is None or free > 1e6
