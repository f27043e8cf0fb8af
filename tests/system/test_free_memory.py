"""How much memory is left, and which errors are about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from normscope.system import is_out_of_memory, memory


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("Storage size calculation overflowed with sizes=[1000000, 1000000, 1000000]"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_errors_that_are_about_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
