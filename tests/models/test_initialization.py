"""Weights: their law, their seed, what they share, and the generators that stay as they were."""

from __future__ import annotations

import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import nn

from normscope import models
from normscope.models.activations import gain

NETS = [
    pytest.param(partial(models.mlp, 12, 7, 3), id="mlp"),
    pytest.param(partial(models.convnet, 3, 4), id="convnet"),
    pytest.param(partial(models.vgg, 11, width=2), id="vgg"),
    pytest.param(partial(models.cifar_resnet, 14, width=3), id="resnet"),
]
DRAWING_ACTIVATION = partial(models.mlp, 6, 5, 2, activation=lambda: nn.RReLU(*sorted(torch.rand(2).tolist())))
FALSE_ALARM = 1e-6  # of each statistical test below, over the seeds; the seed is fixed, so they pass or fail for good


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def global_generators() -> list[object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global generator is the one in question)
    return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]


def assert_same_state(first: nn.Module, second: nn.Module) -> None:
    states = first.state_dict(), second.state_dict()
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name


# --- seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", models.INITS)
@pytest.mark.parametrize("make", NETS)
def test_the_seed_alone_decides_the_weights(make, init):
    first = make(init=init, seed=3)
    torch.rand(5)  # whatever else draws in between
    assert_same_state(first, make(init=init, seed=3))
    other = weights(make(init=init, seed=4))
    for name, weight in weights(first).items():
        assert not torch.equal(weight, other[name]), name


@pytest.mark.parametrize("make", [*NETS, DRAWING_ACTIVATION])
@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize("init", models.INITS)
def test_the_global_generators_are_left_alone(norm, init, make):
    before = global_generators()
    make(norm=norm, init=init)
    assert global_generators() == before


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize("init", models.INITS)
@pytest.mark.parametrize("make", NETS)
def test_a_norm_changes_no_weight(make, init, norm):
    expected = weights(make(norm="none", init=init))
    found = weights(make(norm=norm, init=init))
    assert found.keys() == expected.keys()
    for name, weight in found.items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: models.mlp(6, 5, 2), lambda: models.mlp(6, 5, 4)),
        (lambda: models.mlp(6, 5, 2), lambda: models.mlp(6, 5, 2, bias=True)),
        (lambda: models.mlp(6, 5, 2, 10), lambda: models.mlp(6, 5, 2, 3)),
        (lambda: models.cifar_resnet(8, shortcut="A"), lambda: models.cifar_resnet(14, shortcut="B")),
    ],
)
def test_layers_of_the_same_name_and_shape_are_shared_between_networks(one, other):
    first, second = weights(one()), weights(other())
    shared = [name for name in first if name in second and first[name].shape == second[name].shape]
    assert len(shared) >= 2
    for name in shared:
        assert torch.equal(first[name], second[name]), name


def test_layers_of_one_network_are_independent():
    """Pearson correlation of every pair of weights against its t law, Bonferroni-corrected."""
    drawn = [w.detach().flatten() for w in weights(models.mlp(30, 30, 12)).values() if w.shape == (30, 30)]
    pairs = [(a, b) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert len(pairs) == 66
    for a, b in pairs:
        assert stats.pearsonr(a.numpy(), b.numpy()).pvalue > FALSE_ALARM / len(pairs)


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize("make", NETS)
def test_nothing_is_left_uninitialized(make, norm):
    model = make(norm=norm)
    for name, tensor in model.state_dict().items():
        module, attribute = name.rsplit(".", 1)
        if name in weights(model):
            assert torch.isfinite(tensor).all(), name
            assert tensor.std() > 0, name
        elif attribute in ("weight", "running_var", "running_mean_square"):
            assert torch.equal(tensor, torch.ones_like(tensor)), name
        else:
            assert attribute in ("bias", "running_mean", "num_batches_tracked"), name
            assert torch.equal(tensor, torch.zeros_like(tensor)), name
        assert "norm" in module or name in weights(model) or attribute == "bias", name


def test_a_function_may_make_the_activation():
    model = models.mlp(6, 5, 3, activation=partial(nn.PReLU, init=0.3))
    slopes = [module for module in model.modules() if isinstance(module, nn.PReLU)]
    assert len(set(map(id, slopes))) == 3
    assert all(torch.equal(module.weight, torch.tensor([0.3])) for module in slopes)
    expected = math.sqrt(2 / (1 + 0.3**2)) / math.sqrt(2)
    plain = weights(models.mlp(6, 5, 3))
    for name, weight in weights(model).items():
        torch.testing.assert_close(weight, expected * plain[name], rtol=1e-6, atol=0)


def test_an_activation_that_draws_follows_the_seed_and_keeps_its_own_weights():
    def make(seed: int) -> nn.Module:
        return models.mlp(6, 5, 2, activation=lambda: nn.Linear(5, 5), init="xavier", seed=seed)

    torch.rand(3)
    assert_same_state(make(0), make(0))
    first, second = (make(0).blocks[index].activation.weight for index in (0, 1))
    assert not torch.equal(first, second)
    assert not torch.equal(first, make(1).blocks[0].activation.weight)
    assert torch.count_nonzero(make(0).blocks[0].activation.bias) == 5  # torch's own law, not ours


@pytest.mark.parametrize("init", models.INITS)
@pytest.mark.parametrize("make", NETS)
def test_the_default_dtype_and_device_are_followed(make, init):
    single = make(init=init)
    try:
        torch.set_default_dtype(torch.float64)
        double = make(init=init)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {parameter.dtype for parameter in double.parameters()} == {torch.float64}
    for name, weight in weights(double).items():
        assert not torch.equal(weight, weight.float().double()), f"{name} has only single precision"
    assert_same_state(double.float(), single)
    with torch.device("meta"):
        assert {parameter.device.type for parameter in make(init=init).parameters()} == {"meta"}


# --- laws ---------------------------------------------------------------------------------------------------------

WIDE = [
    pytest.param(partial(models.mlp, 300, 200, 2), id="mlp"),
    pytest.param(partial(models.convnet, 3, 48), id="convnet"),
]


@pytest.mark.parametrize("make", WIDE)
def test_xavier_is_uniform_over_its_interval(make):
    """Kolmogorov and Smirnov's test of every weight matrix, at level FALSE_ALARM."""
    for name, weight in weights(make(init="xavier", activation="tanh")).items():
        area = weight[0, 0].numel()
        limit = math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * area))
        values = weight.detach().double().flatten().numpy()
        assert abs(values).max() <= limit * (1 + 1e-6), name
        assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > FALSE_ALARM, name


@pytest.mark.parametrize(("activation", "second_moment"), [("relu", 0.5), ("linear", 1.0), ("abs", 1.0)])
@pytest.mark.parametrize("make", WIDE)
def test_he_is_normal_with_the_variance_that_keeps_the_signal(make, activation, second_moment):
    """Σ w²/σ² is χ² with as many degrees of freedom as weights: within its quantiles; and a test of the shape."""
    for name, weight in weights(make(init="he", activation=activation)).items():
        variance = 1 / (second_moment * weight[0].numel())
        values = weight.detach().double().flatten().numpy()
        statistic = (values**2).sum() / variance
        low, high = stats.chi2(values.size).ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2])
        assert low < statistic < high, name
        assert stats.kstest(values / math.sqrt(variance), stats.norm.cdf).pvalue > FALSE_ALARM, name


@pytest.mark.parametrize(("activation", "factor"), [("relu", 2.0), ("linear", 1.0)])
@pytest.mark.parametrize("make", [*NETS, *WIDE])
def test_orthogonal_is_exactly_so(make, activation, factor):
    model = make(init="orthogonal", activation=activation).double()
    for name, weight in weights(model).items():
        matrix = weight.detach().flatten(1)
        product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        expected = factor * torch.eye(len(product), dtype=torch.float64)
        torch.testing.assert_close(product, expected, rtol=0, atol=1e-5, msg=name)


def test_the_law_of_a_layer_depends_on_the_fan_in_of_its_kernel():
    """A 1×1 projection and a 3×3 convolution with the same channels: nine times the variance."""
    model = models.cifar_resnet(8, width=32, init="he")
    block = model.stage2[0]
    one, nine = block.shortcut.conv.weight, block.conv1.weight
    ratio = (one.detach().square().mean() / nine.detach().square().mean() / 9).item()
    low, high = stats.f(one.numel(), nine.numel()).ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2])
    assert low < ratio < high


# --- gains --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.ACTIVATIONS)
def test_gain_is_the_integral(name):
    phi = models.ACTIVATIONS[name]().double()

    def integrand(z: float) -> float:
        return phi(torch.tensor([z], dtype=torch.float64)).item() ** 2 * stats.norm.pdf(z)

    second_moment = sum(integrate.quad(integrand, a, b, epsabs=1e-13)[0] for a, b in ((-12, 0), (0, 12)))
    assert gain(phi) == pytest.approx(second_moment**-0.5, rel=1e-11)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("relu", math.sqrt(2)), ("linear", 1.0), ("abs", 1.0), ("leaky_relu", math.sqrt(2 / 1.0001))],
)
def test_gain_in_closed_form(name, expected):
    assert gain(models.ACTIVATIONS[name]()) == pytest.approx(expected, rel=1e-13)


@given(slope=st.floats(-2, 2), scale=st.floats(1e-3, 1e3))
def test_gain_of_a_leaky_relu_and_of_a_multiple(slope, scale):
    class Scaled(nn.LeakyReLU):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return scale * super().forward(inputs)

    expected = math.sqrt(2 / (1 + slope**2)) / scale
    assert gain(Scaled(slope)) == pytest.approx(expected, rel=1e-12)


def test_an_activation_without_signal_has_no_gain():
    with pytest.raises(ValueError, match=r"second moment 0.* use init='xavier'"):
        models.mlp(4, 3, 2, activation=partial(nn.Threshold, 100.0, 0.0))
    models.mlp(4, 3, 2, activation=partial(nn.Threshold, 100.0, 0.0), init="xavier")


def test_he_keeps_the_second_moment_through_depth(rng):
    """Width d: each of ten ReLU layers multiplies the mean square by a sample mean of 2 relu(z)², of variance 5/d."""
    width = 1024
    model = models.mlp(width, width, 10, norm="none", init="he")
    inputs = torch.randn(1, width, generator=rng)
    outputs = nn.Sequential(model.flatten, model.blocks)(inputs).detach()
    log_ratio = math.log(outputs.square().mean() / inputs.square().mean())
    variance = 10 * 5 / width
    deviations = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(log_ratio + variance / 2) < deviations * math.sqrt(variance)
