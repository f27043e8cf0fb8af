"""Whether a study fits into memory: found out before it runs, for the system ends what does not without a word."""

from __future__ import annotations

from normscope.report.study.settings import Settings
from normscope.system import free_bytes

_FLOAT, _DOUBLE = 4, 8
_MEASURED_AT_ONCE = 64  # Gram matrices that a trace decomposes together
_COPIES = 1  # of each of those, while it is decomposed
_TENSORS = 3  # a layer keeps for its backward: in front of the normalization, behind it, and behind the ReLU
_CIFAR_FEATURES = (16 * 32 * 32, 32 * 16 * 16, 64 * 8 * 8)  # of a layer of each stage of the residual network


def ensure_fits(settings: Settings) -> None:
    """Refuse a study that memory does not hold.

    Raises:
        MemoryError: it needs more than is free; says how much, and what to lower.
    """
    needed, free = needed_bytes(settings), free_bytes()
    if free is not None and needed > free:
        raise MemoryError(
            f"this study needs about {needed / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are free: "
            "lower batch, depth, width or resnet_depth"
        )


def needed_bytes(settings: Settings) -> int:
    """Estimate of the most memory that a study holds at a time, without what Python and torch take anyway.

    The Gram matrices of all layers of all networks, and, of the largest network, its weights and their gradients, what
    its layers keep for the backward pass, and the Gram matrices while they are measured.
    """
    gram = _DOUBLE * settings.batch**2
    kept, largest = 0, 0
    for model in settings.models:
        layers, weights, features = _mlp(settings) if model == "mlp" else _resnet(settings)
        kept += gram * layers * len(settings.norms)
        measured = gram * (layers + _COPIES * min(layers, _MEASURED_AT_ONCE))
        largest = max(largest, _FLOAT * (2 * weights + settings.batch * features) + measured)
    return kept + largest


def _mlp(settings: Settings) -> tuple[int, int, int]:
    """Watched layers, weights, and features a sample that are kept for the backward."""
    width, depth = settings.width, settings.depth
    return depth, width * (64 + 10 + (depth - 1) * width), _TENSORS * width * depth


def _resnet(settings: Settings) -> tuple[int, int, int]:
    blocks = (settings.resnet_depth - 2) // 6
    weights = sum(9 * channels**2 * 2 * blocks for channels in (16, 32, 64))
    return 1 + 3 * blocks, weights, (2 * _TENSORS + 1) * blocks * sum(_CIFAR_FEATURES)
