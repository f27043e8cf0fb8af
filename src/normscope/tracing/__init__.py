"""Watching a real model: forward and backward hooks, measured while they run, into a `Trace`.

And probing its gradients: `probe_gradients`, `loss_along_gradient`, `replay_update`, `minibatch_noise`, and the spectra
of its weights. A model is bit-identical after each of them.
"""

from __future__ import annotations

from normscope.tracing.gradient_probe import GradientProbe, probe_gradients
from normscope.tracing.labels import check_labels
from normscope.tracing.outputs import output_tensor
from normscope.tracing.preserve import preserved
from normscope.tracing.result import Trace
from normscope.tracing.sampled_noise import minibatch_noise
from normscope.tracing.steps import LossAlongGradient, gradient_step, loss_along_gradient, replay_update
from normscope.tracing.targets import cross_entropy, mean_squared_error
from normscope.tracing.watch import trace, watched_layers
from normscope.tracing.weight_spectra import ProductSpectrum, product_spectrum, weight_spectra

__all__ = [
    "GradientProbe",
    "LossAlongGradient",
    "ProductSpectrum",
    "Trace",
    "check_labels",
    "cross_entropy",
    "gradient_step",
    "loss_along_gradient",
    "mean_squared_error",
    "minibatch_noise",
    "output_tensor",
    "preserved",
    "probe_gradients",
    "product_spectrum",
    "replay_update",
    "trace",
    "watched_layers",
    "weight_spectra",
]
