"""State that models hold in unusual places is restored too, to the bit, whether it was copied before or on write."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope.tracing import preserve
from normscope.tracing.copyonwrite import CopyOnWrite

BATCH = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


class Holder(nn.Module):
    """Holds ``state`` and changes it in its forward."""

    def __init__(self, state: object, change: Callable[[object], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        if isinstance(state, Tensor):
            self.register_buffer("state", state)
        else:
            self.state = state
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        self.change(self.state)
        return self.linear(x)


def bits(value: object) -> object:
    """Everything in a value, as bytes where it is numbers."""
    if isinstance(value, Tensor):
        return (str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes())
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, dict):
        return [(key, bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return [bits(item) for item in value]
    return sorted(value) if isinstance(value, set) else value


NAN = float("nan")
CASES: dict[str, tuple[Callable[[], object], Callable[[object], object]]] = {
    "sign of zero": (lambda: torch.zeros(3), lambda s: s.neg_()),
    "NaN": (lambda: torch.tensor([NAN, 1.0]), lambda s: s.mul_(2)),
    "expanded": (lambda: torch.tensor([NAN]).expand(4), lambda s: None),
    "view of a buffer": (lambda: torch.zeros(6)[2:4], lambda s: s.add_(1)),
    "not contiguous": (lambda: torch.arange(6.0).reshape(2, 3).T, lambda s: s.add_(1)),
    "integers": (lambda: torch.arange(4), lambda s: s.add_(1)),
    "booleans": (lambda: torch.tensor([True, False]), lambda s: s.logical_not_()),
    "large": (lambda: torch.zeros(300, 300), lambda s: s.add_(1)),
    "large, through .data": (lambda: torch.zeros(300, 300), lambda s: s.data.add_(1)),
    "large, through a view": (lambda: torch.zeros(300, 300), lambda s: s[3:5].fill_(7)),
    "large, as out": (lambda: torch.zeros(300, 300), lambda s: torch.ones(300, 300, out=s)),
    "large, by foreach": (lambda: torch.zeros(300, 300), lambda s: torch._foreach_add_([s], 1)),
    "tuple of tensors": (lambda: (torch.zeros(2), torch.zeros(2)), lambda s: s[0].add_(1)),
    "nested": (lambda: {"a": [torch.zeros(2), {"b": [1]}]}, lambda s: (s["a"][0].add_(1), s["a"][1]["b"].append(2))),
    "deque": (lambda: deque([1], maxlen=3), lambda s: s.append(2)),
    "counter": (lambda: Counter("aab"), lambda s: s.update("b")),
    "ordered": (lambda: OrderedDict(a=1, b=2), lambda s: s.move_to_end("a")),
    "default": (lambda: defaultdict(list), lambda s: s["new"].append(1)),
    "set": (lambda: {1, 2}, lambda s: s.add(3)),
    "array": (lambda: np.array([0.0, NAN]), lambda s: s.__iadd__(1)),
    "generator": (lambda: torch.Generator().manual_seed(3), lambda s: torch.rand(2, generator=s)),
}


@pytest.mark.parametrize("at_once", [0, preserve.COPIED_AT_ONCE], ids=["on write", "before"])
@pytest.mark.parametrize("name", CASES)
def test_is_restored(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preserve, "COPIED_AT_ONCE", at_once)
    make, change = CASES[name]
    model = Holder(make(), change)
    state = model.state
    before = bits(state)
    ns.trace(model, BATCH)
    assert model.state is state
    assert bits(state) == before
    if name != "expanded":  # the cases can fail: without protection each change is seen
        model(BATCH)
        assert bits(state) != before


def test_a_sparse_gradient_is_left_alone() -> None:
    model = nn.Sequential(nn.Embedding(10, 6, sparse=True), nn.Flatten(), nn.Linear(12, 4))
    tokens = torch.arange(10).reshape(5, 2)
    model(tokens).sum().backward()
    gradient = model[0].weight.grad
    dense = gradient.to_dense()
    ns.trace(model, tokens, torch.tensor([0, 1, 2, 3, 0]))
    assert model[0].weight.grad is gradient
    assert torch.equal(gradient.to_dense(), dense)


def test_weights_made_under_inference_mode() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(6, 4))
    weight = bits(model[0].weight)
    ns.trace(model, BATCH)
    assert bits(model[0].weight) == weight


def test_targets_and_inputs_are_copies() -> None:
    targets, batch = torch.zeros(5, 4), BATCH.clone()

    def loss(outputs: Tensor, given: Tensor) -> Tensor:
        return (outputs - given.add_(1)).square().sum()

    ns.trace(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 4)), batch, targets, loss)
    assert torch.equal(targets, torch.zeros(5, 4))
    assert torch.equal(batch, BATCH)


def test_the_default_dtype_and_the_autocast_cache_are_as_they_were() -> None:
    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            torch.set_default_dtype(torch.float64)
            self.linear.weight.data.mul_(2.0)
            return self.linear(x)

    model = Scales()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = model.linear(BATCH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ns.trace(model, BATCH, loss=lambda outputs, _: outputs.float().sum())
        assert torch.equal(model.linear(BATCH), expected)
    assert torch.get_default_dtype() is torch.float32


def test_nothing_large_is_copied_that_does_not_change() -> None:
    model = ns.models.mlp(6, 400, 2)
    storages = [p.untyped_storage() for p in model.parameters()]
    guard = CopyOnWrite(storages)
    with guard:
        model(BATCH)
    assert guard._copies == []
    with guard, torch.no_grad():
        model.blocks[0].linear.weight.mul_(2)
    assert len(guard._copies) == 1
