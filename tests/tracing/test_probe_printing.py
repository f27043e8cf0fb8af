"""A probe of gradients prints a table of what is read first, and is short however large the model is."""

from __future__ import annotations

from typing import Any

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
