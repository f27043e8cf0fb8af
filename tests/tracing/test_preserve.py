"""The first promise: whatever is watched is bit-identical afterwards, however the watching ended."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from fingerprint import fingerprint

BATCH = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


class Untidy(nn.Module):
    """Changes all that a forward can change: buffers, attributes, containers, parameters in place and by rebinding."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.constrained = nn.Linear(6, 6)
        self.embedding = nn.Embedding(6, 6, max_norm=0.5)  # renormalizes its weight in place
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(6)
        self.register_buffer("seen", torch.zeros(()))
        self.cached = torch.zeros(3)
        self.steps = 0
        self.history: list[int] = [1]
        self.options = {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.cached = torch.full((3,), float(self.steps))
        self.steps += 1
        self.history.append(self.steps)
        self.options["b"] = 2
        self.fresh = "new attribute"
        self.linear.weight.data.mul_(2.0)
        self.constrained.weight.data = torch.renorm(self.constrained.weight.data, 2, 0, 0.1)
        random.random(), np.random.rand()  # noqa: NPY002 - the global generator is what is tested
        outputs = self.norm(self.dropout(self.constrained(self.linear(x)))) + self.embedding(torch.tensor(0))
        self.train(not self.training)
        self.dropout.p = 0.9
        return outputs


class Raises(Untidy):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise RuntimeError("in the middle")


class Interrupted(Untidy):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise KeyboardInterrupt


def with_gradients(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model


def small_models() -> dict[str, Callable[[], nn.Module]]:
    return {
        **{f"mlp {norm}": lambda norm=norm: ns.models.mlp(6, 8, 3, 4, norm=norm) for norm in ns.models.NORMS},
        "resnet": lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 3)), ns.models.cifar_resnet(8, in_channels=1, width=4)),
        "untidy": Untidy,
        "in-place": lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True)),
        "frozen": lambda: nn.Sequential(nn.Linear(6, 4).requires_grad_(False), nn.ReLU()),
        "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))),
        "spectral norm": lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4))),
        "recurrent": lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.LSTM(3, 4, batch_first=True)),
    }


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("backward", [True, False], ids=["with loss", "forward only"])
@pytest.mark.parametrize("name", small_models())
def test_a_traced_model_is_bit_identical(name: str, training: bool, backward: bool) -> None:
    model = with_gradients(small_models()[name]()).train(training)
    inputs = BATCH.clone()
    before = fingerprint(model)

    def loss(outputs: object, _: object) -> Tensor:
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        assert isinstance(first, Tensor)
        return first.square().sum()

    result = ns.trace(model, inputs, loss=loss if backward else None)
    assert len(result.table) > 0
    assert fingerprint(model) == before
    assert torch.equal(inputs, BATCH)
    assert inputs.grad is None


@pytest.mark.parametrize(("kind", "error"), [(Raises, RuntimeError), (Interrupted, KeyboardInterrupt)])
def test_also_when_the_forward_does_not_finish(kind: type[nn.Module], error: type[BaseException]) -> None:
    model = with_gradients(kind())
    before = fingerprint(model)
    with pytest.raises(error):
        ns.trace(model, BATCH)
    assert fingerprint(model) == before


def test_also_when_a_hook_of_the_user_raises() -> None:
    model = with_gradients(Untidy())

    def hook(*_: object) -> None:
        raise RuntimeError("the user's own")

    model.norm.register_forward_hook(hook)
    before = fingerprint(model)
    with pytest.raises(RuntimeError, match="the user's own"):
        ns.trace(model, BATCH)
    assert fingerprint(model) == before


def test_also_when_the_loss_raises() -> None:
    model = with_gradients(Untidy())
    before = fingerprint(model)
    with pytest.raises(ZeroDivisionError):
        ns.trace(model, BATCH, loss=lambda outputs, targets: outputs.sum() / (1 // 0))
    assert fingerprint(model) == before


def test_the_fingerprint_of_these_tests_sees_an_unprotected_forward() -> None:
    """The tests above can fail: without protection each kind of change is seen."""
    model = with_gradients(Untidy())
    before = fingerprint(model)
    model(BATCH)
    after = fingerprint(model)
    changed = {name for name in before if before[name] != after[name]}
    assert {
        "torch rng",
        "numpy rng",
        "python rng",
        "linear.weight",
        "constrained.weight",
        "embedding.weight",
    } <= changed
    assert {"buffer seen", "buffer norm.running_mean", "module ", "module dropout"} <= changed


def test_a_lazy_model_stays_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    result = ns.trace(model, BATCH)
    assert result.table["layer"].tolist() == ["0", "1"]
    assert isinstance(model[0], nn.LazyLinear)
    assert isinstance(model[0].weight, nn.parameter.UninitializedParameter)


def test_a_graph_of_the_user_survives() -> None:
    """A backward that the user started before tracing still works, and gives the same gradients."""
    model = ns.models.mlp(6, 8, 2, 4)
    twin = copy.deepcopy(model)
    inputs = BATCH
    pending, reference = model(inputs).square().sum(), twin(inputs).square().sum()
    ns.trace(model, inputs, torch.tensor([0, 1, 2, 3, 0]))
    pending.backward()
    reference.backward()
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad)
