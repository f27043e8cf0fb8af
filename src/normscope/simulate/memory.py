"""Whether a run fits into memory: found out before it starts, for the system ends what does not without a word."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def ensure_fits(parts: dict[str, int], device: torch.device) -> None:
    """Refuse a run that memory does not hold.

    Args:
        parts: bytes, by what takes them and what to do about it.
        device: where most of it is.

    Raises:
        MemoryError: they are more than is free; names the largest part.
    """
    needed, free = sum(parts.values()), free_bytes(device)
    if free is not None and needed > free:
        largest = max(parts, key=lambda name: parts[name])
        raise MemoryError(
            f"this simulation needs about {needed / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are free: "
            f"{parts[largest] / 1e9:.3g} GB are {largest}"
        )


def free_bytes(device: torch.device) -> int | None:
    """Memory that may still be taken; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    told = [value for value in (_system(), _control_group()) if value is not None]
    return min(told, default=None)


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return _all_of_it()


def _all_of_it() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _control_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(statistics.get("inactive_file", 0))
    except (OSError, ValueError):
        return None
