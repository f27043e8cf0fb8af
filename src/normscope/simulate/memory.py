"""Whether a run fits into memory: found out before it starts, for the system ends what does not without a word."""

from __future__ import annotations

import torch

from normscope import system


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
    """Memory of ``device`` that may still be taken; None where nobody says."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else system.free_bytes()
