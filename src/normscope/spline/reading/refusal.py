"""What is said of a model that has no partition, or that cannot be read."""

from __future__ import annotations

from normscope.loading import LoadingError


class NotPiecewiseAffineError(LoadingError):
    """The model applies something that is not piecewise affine; the message names the layer and the operation."""


def layer_label(name: str, kind: str) -> str:
    """A layer by name and class; the model itself, which has no name, by its class."""
    return f"layer {name!r} ({kind})" if name else f"the model itself ({kind})"
