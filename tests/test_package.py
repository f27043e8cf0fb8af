"""The public names, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import normscope as ns

ROOMS = ["claims", "data", "loading", "measure", "models", "nn", "report", "simulate", "spline", "theory", "tracing"]


def test_public_names_of_the_design_are_there() -> None:
    names = [
        "nn.DecomposedBatchNorm1d", "nn.DecomposedBatchNorm2d", "nn.DecomposedBatchNorm3d", "nn.convert",
        "nn.functional", "trace", "Trace", "models.mlp", "models.cifar_resnet", "measure.gram",
        "probe_gradients", "loss_along_gradient", "gradient_step", "replay_update", "minibatch_noise",
        "weight_spectra", "product_spectrum", "spline.partition", "spline.boundary_distance", "spline.local_complexity",
        "theory.GramMap", "simulate.random_network", "claims.verify",
    ]  # fmt: skip
    for name in names:
        value: object = ns
        for part in name.split("."):
            value = getattr(value, part)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_documented(room: str) -> None:
    module = importlib.import_module(f"normscope.{room}")
    assert module.__doc__
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"normscope.{room}.{name}"


def test_every_name_at_the_top_is_there() -> None:
    assert sorted(ns.__all__) == ns.__all__
    for name in ns.__all__:
        assert getattr(ns, name) is not None
    assert ns.probe_gradients is ns.tracing.probe_gradients


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarce'"):
        _ = ns.tarce
    assert set(ns.__all__) <= set(dir(ns))


def test_importing_normscope_is_light() -> None:
    script = (
        "import sys, normscope; print(sorted({'torch', 'numpy', 'pandas', 'sklearn', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_theory_needs_no_torch() -> None:
    script = "import sys, normscope.theory as t; t.gradient_growth(8); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
