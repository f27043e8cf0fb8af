"""Where a simulation runs."""

from __future__ import annotations

from typing import Final

import torch

from normscope.loading import describe, one_line

_KINDS: Final = ("cpu", "cuda")  # float64 and generators of their own: other kinds lack one of them


def usable_device(device: torch.device | str | None) -> torch.device:
    """The device of that name, None being the CPU.

    Raises:
        TypeError: neither a name nor a device.
        ValueError: an unknown name, a kind that is not supported, or a GPU that this machine or this torch has not.
    """
    if device is not None and not isinstance(device, torch.device | str):
        raise TypeError(f"device must be a name such as 'cpu' or 'cuda:0', or a torch.device, got {describe(device)}")
    try:
        where = torch.device("cpu" if device is None else device)
    except RuntimeError:
        raise ValueError(f"device {one_line(str(device))!r}: not known; choose 'cpu', 'cuda' or 'cuda:0'") from None
    if where.type not in _KINDS:
        raise ValueError(f"device {str(where)!r}: random networks run on 'cpu' and 'cuda' only")
    if where.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise ValueError(f"device {str(where)!r}: torch finds no GPU here; leave device out to run on the CPU")
        if where.index is not None and where.index >= count:
            raise ValueError(f"device {str(where)!r}: there are {count} GPUs, numbered from 0; choose one of these")
    return where
