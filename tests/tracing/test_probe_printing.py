"""A probe of gradients prints a table of what is read first, and is short however large the model is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normscope.tracing import probe_gradients

LABELS = torch.arange(8) % 5
INPUTS = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def deep(layers: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(layers)), nn.Linear(6, 5))


def test_a_row_a_call_with_what_is_expected_of_its_ratio() -> None:
    probe = probe_gradients(deep(2), INPUTS, LABELS)
    lines = str(probe).splitlines()
    assert lines[0] == f"GradientProbe: 3 calls of layers with a kernel, train mode, loss {probe.loss:.4g}"
    assert lines[1].split() == [
        "layer", "kind", "terms", "a/b", "√terms", "grad_scale", "tail_index", "pair_energy", "channel_std"
    ]  # fmt: skip
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["0.0", "Linear", "8"], ["1.0", "Linear", "8"], ["2", "Linear", "8"]
    ]  # fmt: skip
    assert [line.split()[4] for line in lines[2:5]] == ["2.83"] * 3
    assert float(lines[2].split()[3]) == float(f"{probe.table['kernel_gradient_ratio'][0]:.3g}")
    assert lines[5].startswith("also in .table: channel_mean, ")
    assert len(lines) == 6
    assert repr(probe) == str(probe)


class Partly(nn.Module):
    """One layer is not called, and the loss depends on the first call of another only."""

    def __init__(self) -> None:
        super().__init__()
        self.uncalled, self.twice, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.twice(x)
        self.twice(hidden)
        return self.head(hidden)


def test_of_no_calls_there_is_a_headline() -> None:
    probe = probe_gradients(Partly(), INPUTS, LABELS, layers="uncalled")
    assert str(probe) == f"GradientProbe: 0 calls of layers with a kernel, train mode, loss {probe.loss:.4g}"
    called = probe_gradients(deep(1), INPUTS, LABELS).table
    assert probe.table.shape == (0, called.shape[1])
    assert probe.table.dtypes.equals(called.dtypes)
    with pytest.raises(ValueError, match="no layer 'uncalled' was probed"):
        probe.kernel("uncalled")


def test_terms_are_a_whole_number_beside_a_call_that_has_none() -> None:
    lines = str(probe_gradients(Partly(), INPUTS, LABELS)).splitlines()
    assert lines[0].startswith("GradientProbe: 3 calls of")
    assert [line.split()[:4] for line in lines[2:5]] == [
        ["twice", "0", "Linear", "8"], ["twice", "1", "Linear", "–"], ["head", "0", "Linear", "8"]
    ]  # fmt: skip


def test_many_layers_are_elided_and_names_are_told_apart() -> None:
    assert len(str(probe_gradients(deep(60), INPUTS, LABELS)).splitlines()) < 45
    inner: nn.Module = nn.ModuleDict({"attention_of_the_encoder": deep(1)})

    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone_of_the_network = nn.ModuleList([inner, nn.ModuleDict({"attention_of_the_encoder": deep(1)})])

        def forward(self, x: Tensor) -> Tensor:
            return sum(block["attention_of_the_encoder"](x) for block in self.backbone_of_the_network)

    names = [line.split()[0] for line in str(probe_gradients(Long(), INPUTS, LABELS)).splitlines()[2:-1]]
    assert names == [f"b.{i}.attention_of_the_encoder.{rest}" for i in range(2) for rest in ("0.0", "1")]


def test_logits_among_other_outputs_have_their_gradient() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = deep(1)

        def forward(self, x: Tensor) -> Any:
            return {"hidden": x * 2, "logits": self.inner(x)}

    torch.manual_seed(0)
    model = Wrapped()
    plain = probe_gradients(model.inner, INPUTS, LABELS)
    found = probe_gradients(model, INPUTS, LABELS, lambda y, t: nn.functional.cross_entropy(y["logits"], t))
    assert (found.output_gradient == plain.output_gradient).all()
    assert found.output_metrics() == plain.output_metrics()
