"""Which tensor of what a model returns is meant, and that a trace and a probe mean the same."""

from __future__ import annotations

from collections import UserDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normscope.tracing import output_tensor, probe_gradients, trace
from normscope.tracing.classes import logits_in

SCORES = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
OTHER = SCORES * 2
LABELS = torch.arange(8) % 5
Pair = namedtuple("Pair", ["hidden", "logits"])


@dataclass
class Output:
    """As many libraries return it."""

    scores: Tensor
    loss: Tensor | None = None


MEANT = {
    "a tensor": SCORES,
    "logits of a dict": {"hidden": OTHER, "logits": SCORES},
    "logits of a mapping": UserDict(hidden=OTHER, logits=SCORES),
    "logits of an object": SimpleNamespace(hidden=OTHER, logits=SCORES),
    "logits of a named tuple": Pair(OTHER, SCORES),
    "the only one of a tuple": (SCORES, None, 3),
    "the only one of a dataclass": Output(SCORES),
    "the only one inside": {"heads": [Output(SCORES)], "logits": None},
}


@pytest.mark.parametrize("outputs", MEANT.values(), ids=MEANT)
def test_the_tensor_that_is_meant(outputs: Any) -> None:
    assert output_tensor(outputs) is SCORES
    assert logits_in(outputs) is None  # it needs no gradient


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((SCORES, OTHER), r"returned a tuple of 2 \(Tensor, Tensor\) with 2 tensors, none of them named logits$"),
        (Output(SCORES, OTHER), "returned an Output with 2 tensors, none of them named logits$"),
        ({"logits": [SCORES, OTHER]}, "returned a dict with 2 tensors, none of them named logits$"),
        ({"n": 3}, "returned a dict with 0 tensors"),
        (None, "returned None with 0 tensors"),
    ],
)
def test_where_none_is_meant_it_is_told(outputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        output_tensor(outputs)
    assert logits_in(outputs) is None


class Wrapped(nn.Module):
    """A linear layer whose outputs lie in something."""

    def __init__(self, inside: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.inside = nn.Linear(5, 5), inside

    def forward(self, x: Tensor) -> Any:
        return self.inside(self.head(x))


def test_trace_and_probe_find_the_same_gradient() -> None:
    def loss(outputs: Any, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output_tensor(outputs), targets)

    plain = probe_gradients(Wrapped(lambda y: y), SCORES, LABELS, loss)
    model = Wrapped(Output)
    found = probe_gradients(model, SCORES, LABELS, loss)
    metrics = {name: value.item() for name, value in found.output_metrics()._asdict().items()}
    same = pytest.approx(metrics, rel=1e-12)
    assert {name: value.item() for name, value in plain.output_metrics()._asdict().items()} == same
    traced = trace(model, SCORES, LABELS, loss, measures=["output_gradients"]).output_gradients
    assert {name: traced[name] for name in metrics} == same
