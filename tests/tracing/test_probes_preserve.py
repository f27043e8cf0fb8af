"""Probes are promises too: after each of them the model is bit-identical, however it ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from fingerprint import fingerprint
from normscope import tracing

BATCH = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(8) % 4
Probe = Callable[[nn.Module, Any], object]


class Untidy(nn.Module):
    """Statistics, dropout, counters, attributes, weights written into and bound anew: all that a forward can do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.dropout = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.3)
        self.second, self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)), nn.Linear(6, 4)
        self.register_buffer("seen", torch.zeros(()))
        self.history: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.history.append(len(self.history))
        self.head.weight.data = self.head.weight.data * 1.5
        random.random()
        x = self.dropout(self.norm(self.first(x)))
        self.first.bias.data.add_(1.0)
        self.train(not self.training)
        return self.head(self.second(x))


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{f"mlp {norm}": lambda norm=norm: ns.models.mlp(6, 6, 3, 4, norm=norm) for norm in ns.models.NORMS},
    "untidy": Untidy,
    "wide": lambda: nn.Sequential(nn.Linear(6, 300), nn.BatchNorm1d(300), nn.Linear(300, 300), nn.Linear(300, 4)),
}

PROBES: dict[str, Probe] = {
    "probe_gradients": lambda model, loss: tracing.probe_gradients(model, BATCH, LABELS, loss),
    "loss_along_gradient": lambda model, loss: tracing.loss_along_gradient(
        model, BATCH, LABELS, loss, step_sizes=[1e-3, 1.0, 1e6]
    ),
    "gradient_step": lambda model, loss: tracing.gradient_step(model, BATCH, LABELS, loss, step_size=0.1),
    "minibatch_noise": lambda model, loss: tracing.minibatch_noise(
        model, BATCH, LABELS, loss, batch_sizes=[3], pairs=2
    ),
}


def in_use(name: str, training: bool) -> nn.Module:
    """A model with running statistics, gradients and hooks of its own."""
    torch.manual_seed(0)
    model = MODELS[name]().train()
    model(BATCH).sum().backward()
    model.register_forward_hook(lambda _module, _inputs, output: None)
    return model.train(training)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", MODELS)
def test_a_probed_model_is_bit_identical(name: str, probe: str, training: bool) -> None:
    model, batch, labels = in_use(name, training), BATCH.clone(), LABELS.clone()
    before = fingerprint(model)
    PROBES[probe](model, None)
    assert fingerprint(model) == before
    assert torch.equal(batch, BATCH)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", MODELS)
def test_also_after_a_replayed_update(name: str, training: bool) -> None:
    model = in_use(name, training)
    update = {n: torch.full_like(p, 0.1) for n, p in model.named_parameters()}
    before = fingerprint(model)
    tracing.replay_update(model, BATCH, update, fractions=[0, 0.5, 1])
    assert fingerprint(model) == before


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ["untidy", "wide"])
def test_also_after_spectra(name: str, training: bool) -> None:
    model = in_use(name, training)
    before = fingerprint(model)
    tracing.weight_spectra(model)
    tracing.product_spectrum(model, "second" if name == "untidy" else "2")
    assert fingerprint(model) == before


def fails_after(calls: int, error: type[BaseException]) -> Callable[[Any, Any], Tensor]:
    """A loss that raises at its n-th call: at the start, or in the middle of the steps."""
    made: list[int] = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        made.append(1)
        if len(made) > calls:
            raise error
        return nn.functional.cross_entropy(outputs, targets)

    return loss


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("calls", [0, 2])
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", ["mlp batch", "untidy", "wide"])
def test_also_when_the_loss_raises(
    name: str, probe: str, calls: int, error: type[BaseException], training: bool
) -> None:
    if calls and probe in ("probe_gradients", "gradient_step"):
        calls = 0  # they ask for the loss once
    model = in_use(name, training)
    before = fingerprint(model)
    with pytest.raises(error):
        PROBES[probe](model, fails_after(calls, error))
    assert fingerprint(model) == before


def test_also_when_it_is_interrupted_in_the_backward() -> None:
    def interrupt(_entries: int) -> None:
        raise KeyboardInterrupt

    model = in_use("untidy", training=True)
    before = fingerprint(model)
    with pytest.raises(KeyboardInterrupt):
        tracing.probe_gradients(model, BATCH, LABELS, progress=interrupt)
    assert fingerprint(model) == before


class Raises:
    """A hook that raises at its n-th call."""

    def __init__(self, calls: int, error: type[BaseException]) -> None:
        self.left, self.error = calls, error

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error


INNER: dict[str, Probe] = {
    **PROBES,
    "replay_update": lambda model, _: tracing.replay_update(model, BATCH, {"head.bias": torch.ones(4)}),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("calls", [0, 2])
@pytest.mark.parametrize("probe", INNER)
def test_also_when_a_layer_raises_in_the_middle(
    probe: str, calls: int, error: type[BaseException], training: bool
) -> None:
    """The weights of the untidy model are written into before its second layer runs."""
    model = in_use("untidy", training)
    if calls and probe in ("probe_gradients", "gradient_step"):
        calls = 0  # they run it once
    counter: list[Raises] = []  # not an attribute of the model, or it would be put back too

    def hook(*arguments: object) -> None:
        counter[0](*arguments)

    model.second.register_forward_pre_hook(hook)
    counter.append(Raises(calls, error))
    before = fingerprint(model)
    with pytest.raises(error):
        INNER[probe](model, None)
    assert counter[0].left < 0
    assert fingerprint(model) == before


class Interrupted(nn.Module):
    """A parametrization that counts, and then raises."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error, self.calls = error, 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, weight: Tensor) -> Tensor:
        self.calls += 1
        self.seen += 1
        if self.calls > 1:
            raise self.error
        return weight


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("spectrum", [tracing.weight_spectra, lambda model: tracing.product_spectrum(model, "*")])
def test_also_when_a_weight_cannot_be_read(
    spectrum: Callable[[nn.Module], object], error: type[BaseException], training: bool
) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).train(training)
    nn.utils.parametrize.register_parametrization(model[1], "weight", Interrupted(error))  # reads it once
    before = fingerprint(model)
    with pytest.raises(error):
        spectrum(model)
    assert fingerprint(model) == before


def test_repeated_probes_give_the_same_bits() -> None:
    model = in_use("untidy", training=True)
    for probe in (
        lambda: tracing.probe_gradients(model, BATCH, LABELS).table,
        lambda: tracing.loss_along_gradient(model, BATCH, LABELS, step_sizes=[0.1, 1.0]).table,
        lambda: tracing.minibatch_noise(model, BATCH, LABELS, batch_sizes=[4], pairs=2),
    ):
        assert probe().equals(probe())
