"""What a simulation takes of memory."""

from __future__ import annotations

import torch

from normscope.simulate.memory import ensure_fits
from normscope.simulate.streams import feature_block, row_block

_DOUBLE = 8
_STATE = 10  # Gram matrices of all networks that one step holds at a time
_STREAM = 2 * 5100  # bytes of the two generators of a network on the CPU
_BLOCKS = 6  # copies of a block: numbers and those drawn ahead, pre-activations, features, in float64


def check_memory(
    *,
    n: int,
    fan_in: int,
    width: int,
    depth: int,
    networks: int,
    recorded: int,
    method: str,
    keep: bool,
    gradients: bool,
    matrices: int,
    item: int,
    device: torch.device,
) -> None:
    """Refuse a simulation that memory does not hold.

    Raises:
        MemoryError: it needs more than is free; says what takes most, and what to do.
    """
    fan_in = max(fan_in, width)
    layers = 2 * depth * matrices if gradients else 3
    features = networks * n * fan_in * layers if keep else 0
    weights = networks * width * fan_in * depth * matrices if gradients and method == "weights" else 0
    rows = row_block(fan_in, width, device) if method == "weights" else 0
    block = max(rows * fan_in, n * feature_block(n, width, device))
    ensure_fits(
        {
            "recorded Gram matrices: record fewer with depths=, or measures with record=": _DOUBLE
            * networks
            * recorded
            * n**2,
            "the state of the networks: lower n or networks": networks * (_STATE * _DOUBLE * n**2 + _STREAM),
            f"kept features{'' if gradients else ' of this method or residual'}: lower n, width, networks"
            + (" or depth" if gradients else ""): features * item,
            "kept weights: lower width, depth or networks, or use method='law'": weights * item,
            "blocks of features: lower n": _BLOCKS * _DOUBLE * block,
        },
        device,
    )
