"""normscope shows what normalization does to a neural network.

The names below load the room that holds them when they are first used, so that ``import normscope`` and
``normscope --help`` answer at once: torch is imported by the first thing that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_ROOMS = ("claims", "data", "loading", "measure", "models", "nn", "report", "simulate", "spline", "theory", "tracing")
_NAMES = dict.fromkeys(
    (
        "Trace",
        "gradient_step",
        "loss_along_gradient",
        "minibatch_noise",
        "probe_gradients",
        "product_spectrum",
        "replay_update",
        "trace",
        "weight_spectra",
    ),
    "tracing",
)

__all__ = [
    "Trace",
    "__version__",
    "claims",
    "data",
    "gradient_step",
    "loading",
    "loss_along_gradient",
    "measure",
    "minibatch_noise",
    "models",
    "nn",
    "probe_gradients",
    "product_spectrum",
    "replay_update",
    "report",
    "simulate",
    "spline",
    "theory",
    "trace",
    "tracing",
    "weight_spectra",
]

if TYPE_CHECKING:
    from normscope import claims, data, loading, measure, models, nn, report, simulate, spline, theory, tracing
    from normscope.tracing import (
        Trace,
        gradient_step,
        loss_along_gradient,
        minibatch_noise,
        probe_gradients,
        product_spectrum,
        replay_update,
        trace,
    )
    from normscope.tracing.weight_spectra import weight_spectra

    __version__: str


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"normscope.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"normscope.{_NAMES[name]}"), name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'normscope' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, seldom needed

    try:
        return version("normscope")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
