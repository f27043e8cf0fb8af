"""How much memory is left on this machine, and whether it was lack of it that an error is about."""

from __future__ import annotations

import os
from pathlib import Path

_NO_MEMORY = ("allocate memory", "not enough memory", "out of memory", "size calculation overflowed")


def free_bytes() -> int | None:
    """Memory that may still be taken, by what the system and the control group say; None where they say nothing."""
    told = [value for value in (_system(), _control_group()) if value is not None]
    return min(told, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: a MemoryError, or the RuntimeError that the allocators of torch raise."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return _all_of_it()


def _all_of_it() -> int | None:
    """Where nobody says what is free: what the machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _control_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What is left of the limit of a container (control groups, version 2)."""
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(statistics.get("inactive_file", 0))  # a cache that is given back on demand
    except (OSError, ValueError):  # no control group, or no limit: "max"
        return None
