"""Hyperplanes against the data of their layer, with patches unfolded one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import normscope as ns
from fingerprint import fingerprint
from normscope.nn import DecomposedBatchNorm1d
from normscope.spline import least_squares_offsets


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scatter(model: nn.Module, seed: int = 0) -> None:
    """Parameters and running statistics that are not the ones of a new layer."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values.abs() + 0.5 if "running_var" in name or "square" in name else values)


def direct(z: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    """Mean squared distance of points (N, d) to the hyperplanes ⟨w, z⟩ = m of units, by their feet."""
    found = []
    for w, m in zip(weight, offset, strict=True):
        feet = z - ((z @ w - m) / (w @ w))[:, None] * w
        found.append((z - feet).square().sum(1).mean())
    return torch.stack(found)


def column(table, name: str) -> Tensor:
    return torch.tensor(table[name].to_numpy())


CONVS = {
    "plain": nn.Conv2d(3, 4, 3, bias=True),
    "strided": nn.Conv2d(3, 5, 3, stride=2, padding=1, dilation=2, bias=False),
}


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_a_convolution_sees_patches(name, statistics):
    conv = CONVS[name]
    model = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())
    scatter(model)
    batch = torch.randn(6, 3, 9, 9, generator=seeded(1))
    table = least_squares_offsets(model, batch, statistics=statistics)
    patches = nn.functional.unfold(batch.double(), 3, conv.dilation, conv.padding, conv.stride)
    z = patches.movedim(1, 2).flatten(0, 1)
    weight = conv.weight.detach().double().flatten(1)
    torch.testing.assert_close(column(table, "mean"), z.mean(0) @ weight.T)
    torch.testing.assert_close(column(table, "minimum"), direct(z, weight, column(table, "mean")))
    torch.testing.assert_close(column(table, "mean_squared_distance"), direct(z, weight, column(table, "offset")))
    # on its hyperplane the normalized unit is zero
    norm = model[1].double().eval()
    bias = 0.0 if conv.bias is None else conv.bias.detach().double()
    if statistics == "batch":
        outputs = z @ weight.T + bias
        norm.running_mean, norm.running_var = outputs.mean(0), outputs.var(0, correction=0)
    zero = norm((column(table, "offset") + bias)[None, :, None, None])
    torch.testing.assert_close(
        zero.flatten(), torch.zeros(len(zero.flatten()), dtype=torch.float64), atol=1e-10, rtol=0
    )
    model.float()


@given(
    seed=st.integers(0, 10_000), moved=st.floats(-3, 3), recenter=st.booleans(), rescale=st.booleans(),
    scale=st.sampled_from(["std", "rms", "auto"]), statistics=st.sampled_from(["running", "batch"]),
)  # fmt: skip
def test_the_optimum_and_where_normalization_puts_the_hyperplane(seed, moved, recenter, rescale, scale, statistics):
    norm = DecomposedBatchNorm1d(5, recenter=recenter, rescale=rescale, scale=scale)
    model = nn.Sequential(nn.Linear(4, 5), norm, nn.ReLU())
    scatter(model, seed)
    batch = torch.randn(20, 4, generator=seeded(seed)).double() + 1
    table = least_squares_offsets(model, batch, statistics=statistics)
    assert set(table["norm"]) == {"1"}
    weight = model[0].weight.detach().double()
    # theorem 1: no other offset is closer than the mean
    best = direct(batch, weight, column(table, "mean"))
    torch.testing.assert_close(column(table, "minimum"), best)
    assert (direct(batch, weight, column(table, "mean") + moved) >= best * (1 - 1e-12)).all()
    torch.testing.assert_close(column(table, "mean_squared_distance"), direct(batch, weight, column(table, "offset")))
    signed = (column(table, "offset") - column(table, "mean")) / column(table, "weight_norm")
    torch.testing.assert_close(column(table, "signed_distance"), signed)
    # a point on the hyperplane of a unit is mapped to zero by the layer and its normalization
    model.double().eval().requires_grad_(False)
    if statistics == "batch":
        outputs = model[0](batch)
        kept = {"running_mean": outputs.mean(0), "running_var": outputs.var(0, correction=0),
                "running_mean_square": outputs.square().mean(0)}  # fmt: skip
        for name in norm.switches.statistics:
            getattr(norm, name).copy_(kept[name])
    feet = weight * (column(table, "offset") / weight.square().sum(1))[:, None]
    zero = norm(model[0](feet)).diagonal()
    torch.testing.assert_close(zero, torch.zeros(5, dtype=torch.float64), atol=1e-9, rtol=0)


def test_a_new_batch_norm_is_the_optimum_in_every_layer():
    model = ns.models.cifar_resnet(depth=8, norm="batch")
    table = least_squares_offsets(model, torch.randn(8, 3, 16, 16, generator=seeded()), statistics="batch")
    normalized = table[table["norm"] != ""]
    assert set(normalized["layer"]) == {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    relative = normalized["signed_distance"] / np.sqrt(normalized["minimum"])
    assert relative.abs().max() < 1e-9
    assert (table["mean_squared_distance"] >= table["minimum"]).all()


def test_without_normalization_the_offset_is_that_of_the_bias():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))
    scatter(model)
    table = least_squares_offsets(model, torch.randn(10, 3, generator=seeded()))
    assert set(table["norm"]) == {""}  # what comes after the ReLU is not its own
    torch.testing.assert_close(column(table, "offset")[:4], -model[0].bias.detach().double())
    assert (table["offset"][4:] == 0).all()


def test_no_hyperplane_is_nan():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    scatter(model)
    with torch.no_grad():
        model[0].weight[0] = 0.0
        model[1].weight[1] = 0.0
    table = least_squares_offsets(model, torch.randn(10, 3, generator=seeded()))
    assert table["signed_distance"].isna().tolist() == [True, True, False]
    assert table["mean_squared_distance"].isna().tolist() == [True, True, False]
    assert table["weight_norm"][0] == 0.0


def test_calls_of_a_shared_layer_and_sequences():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(torch.relu(self.linear(x)))

    model, batch = Twice(), torch.randn(4, 5, 3, generator=seeded())
    scatter(model)
    table = least_squares_offsets(model, batch)
    assert table["call"].tolist() == [0, 0, 0, 1, 1, 1]
    mean = (batch.double().flatten(0, 1) @ model.linear.weight.detach().double().T).mean(0)
    torch.testing.assert_close(column(table, "mean")[:3], mean)


def test_the_model_stays_as_it_is():
    model = ns.models.cifar_resnet(depth=8, norm="batch").train()
    before = fingerprint(model)
    for statistics in ("running", "batch"):
        least_squares_offsets(model, torch.randn(4, 3, 8, 8, generator=seeded()), statistics=statistics)
        with pytest.raises(ValueError, match=r"does not take a batch of shape \(4, 2, 8, 8\)"):
            least_squares_offsets(model, torch.randn(4, 2, 8, 8, generator=seeded()), statistics=statistics)
    assert fingerprint(model) == before


def test_bad_input_is_told_in_one_line():
    with pytest.raises(ValueError, match="statistics is 'running' or 'batch', got 'mine'"):
        least_squares_offsets(nn.Linear(2, 2), torch.zeros(3, 2), statistics="mine")
    with pytest.raises(ValueError, match=r"called no nn\.Linear and no nn\.Conv1d"):
        least_squares_offsets(nn.ReLU(), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="does not take a batch") as error:
        least_squares_offsets(nn.Linear(2, 2), torch.zeros(3, 5))
    assert "\n" not in str(error.value)
