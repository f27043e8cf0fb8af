"""What every simulation keeps to: seeds, threads, scale, recording, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import normscope.simulate.streams as streams_module
from normscope import theory
from normscope.measure import GRAM_MEASURES
from normscope.simulate import Parameters, memory, random_network
from normscope.theory.layers.gram_map import GramMap

POINTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
RC = {"recenter": True, "rescale": False}
BOTH = pytest.mark.parametrize("method", ["law", "weights"])


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    """Up to the rounding of float32 features."""
    torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5)


# --- shapes and normalization


@BOTH
def test_gram_matrices_have_trace_n_and_the_input_comes_first(method):
    found = random_network(POINTS, 16, 5, **RC, networks=3, method=method)
    assert found.gram.shape == (3, 6, 6, 6)
    assert found.gram.dtype == found.log_scale.dtype == torch.float64
    torch.testing.assert_close(found.gram.diagonal(dim1=-2, dim2=-1).sum(-1), torch.full((3, 6), 6.0).double())
    assert torch.equal(found.gram, found.gram.mT)
    expected = POINTS @ POINTS.T / 4
    torch.testing.assert_close(found.gram[:, 0] * found.log_scale[:, :1, None].exp(), expected.expand(3, 6, 6))
    assert "3 networks, 6 depths of 5: gram" in repr(found)


# --- theory


@pytest.mark.parametrize(("method", "widths"), [("law", (256, 1024, 4096)), ("weights", (32, 128, 512))])
@pytest.mark.parametrize("recenter", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
def test_error_against_infinite_width_falls_as_the_root_of_the_width(method, widths, recenter, rescale):
    options = {"recenter": recenter, "rescale": rescale}
    limit, log_scale = GramMap(**options).iterate(np.asarray(POINTS @ POINTS.T / 4), 2, return_log_scale=True)
    errors = []
    for width in widths:
        found = random_network(POINTS, width, 2, **options, networks=40, method=method)
        gram = found.gram[:, 2] * (found.log_scale[:, 2] - log_scale[2]).exp()[:, None, None]
        errors.append(float(((gram - torch.as_tensor(limit[2])) ** 2).mean().sqrt()))
    # the root mean square over 40 networks is known to 1/√80 = 11 %; over a factor of 16 in width, four standard errors
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=4 * 0.112 * 2**0.5 / np.log(16))


@BOTH
def test_gradients_grow_as_mean_field_theory_says(method):
    """Full batch normalization at its symmetric fixed point: the factor of Yang et al. per layer."""
    n, depth, networks, width = 8, 6, 30, 300
    c = theory.symmetric_cosine(n)
    gram = (1 - c) * np.eye(n) + c
    found = random_network(
        gram, width, depth, recenter=True, rescale=True, networks=networks, method=method, gradients=True
    )
    # between two layers that are random themselves
    growth = (found.grad_log_scale[:, 1] - found.grad_log_scale[:, depth - 1]) / (depth - 2)
    error = float(growth.std()) / networks**0.5
    assert float(growth.mean()) == pytest.approx(np.log(theory.gradient_growth(n)), abs=4 * error + 5 / width)
    assert error < 0.02


# --- determinism


@BOTH
def test_the_seed_decides_and_nothing_global_moves(method):
    state = torch.get_rng_state()
    first, again, other = (random_network(POINTS, 9, 4, **RC, networks=2, method=method, seed=s) for s in (7, 7, 8))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.gram, again.gram)
    assert (first.gram[:, 1:] - other.gram[:, 1:]).abs().max() > 0.01
    assert (first.gram[0, 1:] - first.gram[1, 1:]).abs().max() > 0.01


@BOTH
@pytest.mark.parametrize("residual", [None, "activated", "projected"])
def test_a_network_is_the_same_among_many_and_when_deeper(method, residual):
    options = {**RC, "method": method, "residual": residual}
    many, few = random_network(POINTS, 9, 8, networks=7, **options), random_network(POINTS, 9, 5, networks=3, **options)
    close(many.gram[:3, :6], few.gram)


@BOTH
def test_how_networks_are_grouped_does_not_matter(method, monkeypatch):
    together = random_network(POINTS, 40, 4, **RC, networks=5, method=method)
    monkeypatch.setattr(streams_module, "groups", lambda networks, *_: [slice(0, 2), slice(2, 3), slice(3, networks)])
    close(random_network(POINTS, 40, 4, **RC, networks=5, method=method).gram, together.gram)


@BOTH
def test_threads_change_rounding_only(method):
    points = torch.randn(33, 5, generator=torch.Generator().manual_seed(1))
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(random_network(points, 5001 if method == "law" else 300, 3, **RC, method=method).gram)
    finally:
        torch.set_num_threads(threads)
    close(*found)


def test_what_is_recorded_does_not_change_what_is_drawn():
    plain = random_network(POINTS, 50, 3, **RC)
    with_gradients = random_network(POINTS, 50, 3, **RC, gradients=True)
    close(plain.gram, with_gradients.gram)


# --- scale


@pytest.mark.parametrize(("activation", "depth"), [("relu", 10_000), ("gelu", 2000), ("tanh", 2000)])
@pytest.mark.parametrize("recenter", [False, True])
def test_depth_neither_underflows_nor_overflows(activation, depth, recenter):
    found = random_network(
        POINTS, 40, depth, recenter=recenter, rescale=False, activation=activation, depths=[0, depth // 2, depth]
    )
    assert found.gram.isfinite().all()
    assert found.log_scale.isfinite().all()
    assert float(found.gram[0, -1].trace()) == pytest.approx(6)
    # ReLU halves the mean square, GELU quarters it near zero: far beyond float64's range. tanh keeps it near zero.
    assert (found.log_scale[0, -1] < -0.5 * depth) == (activation != "tanh")


def test_growing_networks_do_not_overflow():
    found = random_network(
        POINTS,
        40,
        2000,
        recenter=False,
        rescale=False,
        activation="gelu",
        parameters=Parameters(weight_std=4),
        depths=[-1],
    )
    assert found.log_scale[0, -1] > 2000
    assert found.gram.isfinite().all()


@pytest.mark.parametrize("scale", [1e-250, 1e-9, 1e9, 1e250])
@pytest.mark.parametrize("activation", ["gelu", "tanh", nn.Softplus()])
def test_activations_at_extreme_scales(activation, scale):
    """GELU and tanh are linear near zero; far away GELU is ReLU and tanh a step; softplus is constant near zero."""
    options = {"recenter": False, "rescale": False, "seed": 3}
    found = random_network(POINTS * scale, 500, 1, activation=activation, **options)
    if scale < 1:
        like = {"gelu": "linear", "tanh": "linear"}.get(activation) if isinstance(activation, str) else torch.ones_like
    else:
        like = torch.sign if activation == "tanh" else "relu"
    expected = random_network(POINTS, 500, 1, activation=like, **options)
    torch.testing.assert_close(found.gram[0, 1], expected.gram[0, 1], rtol=1e-4, atol=1e-4)


def test_a_dead_network_has_zero_gram_and_no_scale():
    found = random_network(POINTS, 1, 40, recenter=False, rescale=False, networks=50, gradients=True)
    dead = found.log_scale[:, -1] == -torch.inf
    assert dead.any()
    assert found.gram[dead, -1].eq(0).all()
    assert found.grad_log_scale[dead, 0].eq(-torch.inf).all()
    assert not found.gram.isnan().any()
    assert not found.grad_log_scale.isnan().any()


@BOTH
def test_points_that_coincide_have_nothing_left_when_recentered(method):
    for rescale in (False, True):
        found = random_network(torch.ones(5, 3), 20, 2, recenter=True, rescale=rescale, method=method)
        assert found.gram[0, 1:].eq(0).all()
        assert found.log_scale[0, 1:].eq(-torch.inf).all()


@pytest.mark.parametrize(("dtype", "gap"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_how_tight_a_cluster_is_resolved(dtype, gap):
    """Two points of 1 − cosine = gap keep it through a wide linear layer."""
    gram = np.array([[1, 1 - gap], [1 - gap, 1]])
    found = random_network(gram, 4000, 1, recenter=False, rescale=False, activation="linear", dtype=dtype).gram[0, 1]
    after = 1 - found[0, 1] / (found[0, 0] * found[1, 1]).sqrt()
    assert float(after) == pytest.approx(gap, rel=5 * (2 / 4000) ** 0.5 + 0.05)


# --- recording


def test_depths_measures_and_callbacks():
    seen = {}
    options = {**RC, "networks": 2, "seed": 1}
    everything = random_network(POINTS, 20, 6, **options)
    some = random_network(
        POINTS, 20, 6, **options, depths=[-1, 2, 2], record=["mean_cosine", "odd_cosine"],
        callback=lambda depth, gram, log_scale: seen.update({depth: (gram.clone(), log_scale.clone())}),
    )  # fmt: skip
    assert some.depths == (2, 6)
    assert list(seen) == [2, 6]
    for row, depth in enumerate(some.depths):
        assert torch.equal(seen[depth][0], everything.gram[:, depth])
        assert torch.equal(some.log_scale[:, row], everything.log_scale[:, depth])
        for name, values in some.measures.items():
            torch.testing.assert_close(values[:, row], GRAM_MEASURES[name](everything.gram[:, depth]))
    with pytest.raises(AttributeError, match="Gram matrices were not recorded: ask for them with record='gram'"):
        _ = some.gram
    with pytest.raises(AttributeError, match="gradients=True"):
        _ = some.grad_log_scale


def test_a_callable_is_the_named_activation():
    for name, function in (("relu", torch.relu), ("tanh", torch.tanh), ("leaky_relu", nn.LeakyReLU())):
        by_name, by_function = (random_network(POINTS, 9, 4, **RC, activation=a) for a in (name, function))
        torch.testing.assert_close(by_name.gram, by_function.gram)


def test_gram_matrix_or_points_can_be_said():
    square = POINTS @ POINTS.T
    as_gram, told, as_points = (
        random_network(square, 9, 1, **RC, is_gram=told).gram[0, 0] for told in (None, True, False)
    )
    assert torch.equal(as_gram, told)
    torch.testing.assert_close(as_gram, square * 6 / square.trace())
    torch.testing.assert_close(as_points, square @ square * 6 / (square @ square).trace())


# --- memory and devices


def test_a_width_of_ten_million_runs_in_bounded_memory():
    """The features alone would take 240 MB."""
    program = """
import re, torch
from pathlib import Path
from normscope.simulate import random_network
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
points = torch.randn(6, 4)
random_network(points, 100_000, 1, recenter=True, rescale=False)
before = peak()
found = random_network(points, 10_000_000, 1, recenter=True, rescale=False)
assert found.gram.isfinite().all()
print(peak() - before)
"""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@BOTH
def test_cuda(method):
    found = random_network(
        POINTS, 20_000 if method == "law" else 2000, 2, **RC, method=method, device="cuda", networks=8, gradients=True
    )
    limit = GramMap(True, False).iterate(np.asarray(POINTS @ POINTS.T), 2)[2]
    assert found.gram.device.type == "cpu"
    assert float((found.gram[:, 2].mean(0) - torch.as_tensor(limit)).abs().max()) < 0.1


def test_what_does_not_fit_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * 10**9)
    shape = {"networks": 100, "recenter": True, "rescale": False}
    points = torch.randn(128, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(MemoryError, match=r"needs about 131 GB .* 8 GB are free: 131 GB are recorded Gram matrices"):
        random_network(points, 8, 10_000, **shape)
    with pytest.raises(MemoryError, match="kept features"):
        random_network(points, 10**6, 1, residual="activated", **shape)
    with pytest.raises(MemoryError, match=r"kept weights.* use method='law'"):
        random_network(POINTS, 10**4, 100, method="weights", gradients=True, **shape)
    small = random_network(POINTS, 8, 10, depths=[-1], **shape)
    assert len(small.depths) == 1


# --- refusals

GOOD = {"inputs": POINTS, "width": 4, "depth": 2, "recenter": True, "rescale": False}
REFUSED = [
    ({"width": 0}, ValueError, "width must be at least 1, got 0"),
    ({"depth": 0}, ValueError, "depth must be at least 1, got 0"),
    ({"networks": 0}, ValueError, "networks must be at least 1"),
    ({"width": 2.5}, TypeError, "width must be an integer"),
    ({"seed": 1.5}, TypeError, "seed must be an integer"),
    ({"method": "exact"}, ValueError, "method must be 'law' or 'weights', got 'exact'"),
    ({"dtype": torch.float16}, ValueError, "dtype must be torch.float32 or torch.float64"),
    ({"activation": "rely"}, ValueError, "unknown activation 'rely'; choose one of relu"),
    ({"activation": lambda z: z.softmax(-1)}, ValueError, "not elementwise"),
    ({"activation": lambda z: z.sum()}, ValueError, "not elementwise"),
    ({"activation": lambda z: z.fly()}, ValueError, "does not take a tensor"),
    ({"activation": nn.ReLU}, TypeError, "pass an instance"),
    ({"activation": 3}, TypeError, "must be a name or a function of tensors"),
    ({"activation": ["relu"]}, ValueError, "activation has 1 values for 2 layers"),
    ({"recenter": [True] * 3}, ValueError, "recenter has 3 values for 2 layers"),
    ({"rescale": "yes"}, TypeError, "rescale must be True or False"),
    ({"scale": "max"}, ValueError, "scale must be 'auto', 'std' or 'rms'"),
    ({"residual": "around"}, ValueError, "residual must be None or one of activated, inside, projected"),
    ({"branch_scale": float("nan")}, ValueError, "branch_scale must be a finite number, got nan"),
    ({"record": "cosine"}, ValueError, "record: unknown measure 'cosine'; choose from gram, mean_cosine"),
    ({"depths": [3]}, ValueError, r"depths: a network of depth 2 has the depths 0 \(its input\) to 2, got 3"),
    ({"depths": []}, ValueError, "got none"),
    ({"inputs": torch.zeros(3, 2)}, ValueError, "all zero"),
    ({"inputs": torch.tensor([[1.0, float("nan")]])}, ValueError, "not finite"),
    ({"inputs": torch.ones(2, 3, 4)}, ValueError, r"flatten images first"),
    ({"inputs": torch.ones(0, 3)}, ValueError, r"got shape \(0, 3\)"),
    ({"inputs": "points"}, TypeError, "inputs must be a tensor or array"),
    ({"inputs": torch.ones(2, 2) * 1j}, TypeError, "real numbers"),
    ({"inputs": POINTS, "is_gram": True}, ValueError, r"inputs of shape \(6, 4\) are no Gram matrix"),
    ({"inputs": -torch.eye(3), "is_gram": True}, ValueError, "without negative eigenvalues"),
    ({"parameters": Parameters(weights="haar")}, ValueError, "law is that of Gaussian weights.* method='weights'"),
    ({"parameters": Parameters(weights="orthogonal")}, ValueError, "unknown weights 'orthogonal'; choose one of gauss"),
    ({"device": "banana"}, ValueError, "^device 'banana': not known; choose 'cpu', 'cuda' or 'cuda:0'$"),
    ({"device": 3}, TypeError, "device must be a name such as 'cpu' or 'cuda:0', or a torch.device, got an int"),
    ({"device": "meta"}, ValueError, "device 'meta': random networks run on 'cpu' and 'cuda' only"),
    ({"parameters": {"bias_std": 1.0}}, TypeError, r"parameters must be None or simulate.Parameters.*, got a dict"),
    ({"parameters": 0}, TypeError, "got an int"),
    ({"branch_scale": "1"}, ValueError, "branch_scale must be a finite number, got '1'"),
    ({"gradients": "yes"}, TypeError, "gradients must be True or False, got 'yes'"),
    ({"depths": 1}, TypeError, "depths must be whole numbers, such as .*, got 1"),
    ({"depths": "ab"}, TypeError, "depths must be whole numbers, such as .*, got 'ab'"),
    ({"record": 1}, TypeError, "record must be a name or several"),
    ({"callback": 1}, TypeError, "callback must be a function of .*, got 1"),
    ({"depth": 0.5}, TypeError, "depth must be an integer, got 0.5"),
    ({"parameters": Parameters(weights=3)}, TypeError, "weights must be a name or a function"),
    ({"activation": torch.exp, "inputs": POINTS * 1e3}, FloatingPointError, "features are not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        random_network(**(GOOD | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_std": 0.0}, "weight_std must be positive"),
        ({"bias_std": -1.0}, "bias_std at least 0"),
        ({"gain": float("inf")}, "gain must be a finite number"),
        ({"shift": "1"}, "shift must be a finite number"),
        ({"gain": True}, "gain must be a finite number, got True"),
    ],
)
def test_refused_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        Parameters(**change)


@pytest.mark.parametrize(
    ("gpus", "device", "message"),
    [
        (0, "cuda", "^device 'cuda': torch finds no GPU here; leave device out to run on the CPU$"),
        (2, "cuda:5", "^device 'cuda:5': there are 2 GPUs, numbered from 0; choose one of these$"),
    ],
)
def test_a_gpu_that_is_not_there(gpus: int, device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ValueError, match=message):
        random_network(**(GOOD | {"device": device}))


def test_a_batch_whose_gram_matrix_does_not_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(MemoryError, match="the Gram matrix of 3000000 points: give fewer"):
        random_network(torch.ones(3_000_000, 1), 4, 1, recenter=True, rescale=False)
