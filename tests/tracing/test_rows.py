"""What a row says where layers are unusual: gradients that break, a parameter handed on, channels that come second."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import normscope as ns


class RootOfZero(nn.Module):
    """Its output is finite, its gradient 0 · ∞."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sqrt((x - x.detach()) ** 2)


class Table(nn.Module):
    """Hands on a parameter through a layer that does nothing in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.dropout(self.rows)


class ChannelsFirstLayerNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight).movedim(-1, 1)


def test_a_gradient_that_broke_is_told_apart_from_one_that_was_not_measured(rng: torch.Generator) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), RootOfZero(), nn.Linear(4, 3))
    x, targets = torch.randn(5, 6, generator=rng), torch.tensor([0, 1, 2, 0, 1])
    table = ns.trace(model, x, targets).table
    assert table["finite"].all()
    assert table["grad_norm"].isna().tolist() == [True, True, False, False]
    assert table["grad_finite"].tolist() == [True, False, True, True]  # of the first none was measured
    assert "grad_finite" not in ns.trace(model, x).table


def test_a_parameter_that_is_handed_on_has_its_gradient(rng: torch.Generator) -> None:
    model, x = Table().eval(), torch.randn(5, 4, generator=rng)
    targets = torch.tensor([0, 1, 2, 0, 1])
    trace = ns.trace(model, x, targets)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(x), targets), [model.rows])
    row = trace.table.set_index("layer").loc["dropout"]
    assert row["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-5)
    assert model.rows._backward_hooks is None


@pytest.mark.parametrize(("shape", "channels"), [((5, 3, 7, 7), 3), ((5, 7, 7, 3), 3)])
def test_a_layer_norm_may_have_its_channels_second(shape: tuple[int, ...], channels: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    layer = ChannelsFirstLayerNorm(3) if shape[1] == 3 else nn.LayerNorm(3)
    assert len(ns.trace(nn.Sequential(layer), x).channels("0")) == channels


@pytest.mark.parametrize("lengths", [(4, 2, 3), (5, 5, 5)])
def test_a_packed_sequence_is_one_input_and_counts_its_sequences(
    rng: torch.Generator, lengths: tuple[int, ...]
) -> None:
    sequences = [torch.randn(length, 6, generator=rng) for length in lengths]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    torch.manual_seed(0)
    model = nn.LSTM(6, 4)
    trace = ns.trace(model, packed, loss=lambda outputs, _: outputs[0].data.square().sum())
    assert trace.batch == 3
    (row,) = trace.table.to_dict("records")
    assert row["shape"] == (sum(lengths), 4)
    assert row["mean"] == pytest.approx(float(model(packed)[0].data.detach().mean()), abs=1e-6)


def test_a_packed_sequence_of_one_is_too_few(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        ns.trace(nn.LSTM(6, 4), nn.utils.rnn.pack_sequence([torch.randn(5, 6, generator=rng)]))
