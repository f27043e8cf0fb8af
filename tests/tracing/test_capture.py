"""Which tensors become rows, and under which names."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import normscope as ns

BATCH = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1, 2, 3, 0])


class Residual(nn.Module):
    """What only a container does: an addition and a functional activation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.inner(x) + x)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Residual()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(self.block(x), self.mean, self.var, training=self.training)
        x = torch.cat([x, x.mul(2)], dim=1)
        return x.reshape(5, 2, 6)[:, 0].relu_()


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor


def rows(model: nn.Module, batch: object = BATCH, **options: object) -> list[str]:
    return ns.trace(model, batch, **options).table["layer"].tolist()


def test_a_container_has_a_row_only_where_it_computes() -> None:
    model = nn.Sequential(Residual(), nn.Sequential(nn.Linear(6, 4)))
    assert rows(model) == ["0.inner.0", "0.inner.1", "0", "1.0"]


def test_operations_are_named_after_where_they_happen() -> None:
    names = rows(Functional(), capture="ops")
    assert names == [
        "block.inner.0", "block.inner.1", "block.add", "block.relu", "batch_norm", "mul", "cat", "relu",
    ]  # fmt: skip


def test_operations_agree_with_the_modules_that_do_the_same() -> None:
    torch.manual_seed(0)
    model = Residual()
    spelled = nn.Sequential(model.inner, nn.ReLU())
    by_ops = ns.trace(model, BATCH, capture="ops")
    assert np.array_equal(by_ops.gram("inner.1"), ns.trace(spelled, BATCH).gram("0.1"))
    assert by_ops.table["kind"].tolist() == ["Linear", "BatchNorm1d", "add", "relu"]


def test_repeated_operations_are_counted_and_the_last_is_the_layer() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(torch.tanh(x) + 1) + 1

    assert rows(nn.Sequential(Twice()), capture="ops") == ["0.tanh", "0.add", "0.tanh:1", "0"]


def test_gradients_of_operations_are_measured() -> None:
    model = nn.Sequential(Residual(), nn.Linear(6, 4))
    table = ns.trace(model, BATCH, TARGETS, capture="ops").table.set_index("layer")
    assert (table.loc[["0.add", "0.relu", "1"], "grad_norm"] > 0).all()


def test_a_layer_that_changes_nothing_has_the_row_of_its_input() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.Identity(), nn.Dropout(0.5)).eval()
    result = ns.trace(model, BATCH, TARGETS)
    assert result.table["layer"].tolist() == ["0", "1", "2"]
    assert result.table["grad_norm"].nunique() == 1
    assert np.array_equal(result.gram("0"), result.gram("2"))


def test_an_in_place_activation_is_a_row_of_its_own() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True))
    table = ns.trace(model, BATCH, loss=lambda outputs, _: outputs.sum()).table
    assert table["layer"].tolist() == ["0", "1"]
    assert table["mean"][1] > table["mean"][0]
    assert table["grad_norm"][0] < table["grad_norm"][1]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_with_the_batch_second(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    first, second = kind(6, 4, batch_first=True), kind(6, 4)
    second.load_state_dict(first.state_dict())
    sequence = torch.randn(5, 7, 6)
    a = ns.trace(first, sequence)
    b = ns.trace(second, sequence.transpose(0, 1), batch_dim=1)
    assert b.batch == 5
    np.testing.assert_allclose(a.gram(kind.__name__), b.gram(kind.__name__), rtol=1e-6)
    np.testing.assert_allclose(a.channels(kind.__name__)["mean"], b.channels(kind.__name__)["mean"], rtol=1e-5)


def test_attention_is_seen() -> None:
    model = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dropout=0.0)
    for mode in (True, False):
        names = rows(model.train(mode), torch.randn(5, 3, 6))
        assert names[:1] == ["self_attn"]
        assert "linear2" in names


def test_parametrizations_are_no_layers() -> None:
    """A weight matrix with as many rows as there are samples is still no activation."""
    weight_norm = nn.utils.parametrizations.weight_norm
    model = nn.Sequential(weight_norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 4))
    for capture in ("modules", "ops"):
        assert rows(model, capture=capture) == ["0", "1", "2"]


def test_channels_are_features_of_sequences_and_maps_of_images() -> None:
    sequence = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    with torch.no_grad():
        sequence[0].weight[2], sequence[0].bias[2] = 0, -1
    result = ns.trace(sequence, torch.randn(5, 3, 6))
    assert result.table["dead_fraction"].tolist()[1] == pytest.approx(1 / 8)
    assert result.channels("1")["dead"].tolist() == [i == 2 for i in range(8)]
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    assert len(ns.trace(images, torch.randn(5, 1, 6, 6)).channels("1")) == 4


def test_checkpointed_layers_are_seen_once() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.b = nn.Linear(6, 6), nn.Linear(6, 4)
            self.a = nn.Sequential(nn.Linear(6, 6), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.b(checkpoint(self.a, self.stem(x), use_reentrant=self.reentrant))

    model = Checkpointed()
    model.reentrant = False
    table = ns.trace(model, BATCH, TARGETS).table
    assert table["layer"].tolist() == ["stem", "a.0", "a.1", "b"]
    assert (table["grad_norm"] > 0).all()
    model.reentrant = True
    with pytest.raises(ValueError, match="use_reentrant=False, or trace without a loss"):
        ns.trace(model, BATCH, TARGETS)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models_are_watched_eagerly(backend: str) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
    compiled = torch.compile(model, backend=backend)
    compiled(BATCH)
    result = ns.trace(compiled, BATCH)
    assert result.table["layer"].tolist() == ["0", "1"]
    assert result.notes == ("torch.compile wrapper removed: watched eagerly",)
    inside = nn.Sequential(torch.compile(model, backend=backend), nn.Linear(8, 4))
    result = ns.trace(inside, BATCH)
    assert result.table["layer"].tolist() == ["0.0", "0.1", "1"]
    assert "compiled modules are watched eagerly" in result.notes[0]


def test_data_parallel_is_unwrapped() -> None:
    result = ns.trace(nn.DataParallel(nn.Sequential(nn.Linear(6, 4))), BATCH)
    assert result.table["layer"].tolist() == ["0"]
    assert "DataParallel wrapper removed" in result.notes[0]


def test_scripted_models_are_refused() -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(6, 4)))
    with pytest.raises(TypeError, match="TorchScript"):
        ns.trace(scripted, BATCH)


def test_outputs_in_dataclasses_and_inputs_in_mappings() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 4)

        def forward(self, scale: Tensor, x: Tensor) -> Output:
            hidden = self.linear(x)
            return Output(hidden * scale, hidden)

    batch = UserDict({"scale": torch.tensor(2.0), "x": BATCH})
    result = ns.trace(Model(), batch, TARGETS, loss=lambda out, targets: F.cross_entropy(out.logits, targets))
    assert result.table["layer"].tolist() == ["linear", "Model"]
    assert result.batch == 5
    with pytest.raises(TypeError, match="returns a Output, no tensor: name the loss"):
        ns.trace(Model(), batch, TARGETS)


def test_integer_inputs_and_sparse_gradients() -> None:
    model = nn.Sequential(nn.Embedding(10, 6, sparse=True), nn.Flatten(), nn.Linear(12, 4))
    tokens = torch.arange(10).reshape(5, 2)
    table = ns.trace(model, tokens, TARGETS).table.set_index("layer")
    F.cross_entropy(model(tokens), TARGETS).backward()
    assert table.loc["0", "param_grad_norm"] == pytest.approx(float(model[0].weight.grad.to_dense().norm()), rel=1e-5)
    ns.trace(model, tokens)  # with a sparse .grad there


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(dtype: torch.dtype) -> None:
    model = ns.models.mlp(6, 8, 2, 4)
    expected = ns.trace(model, BATCH, TARGETS).table
    table = ns.trace(model.to(dtype), BATCH.to(dtype), TARGETS).table
    tolerance = {"rtol": 1e-4} if dtype is torch.float64 else {"rtol": 0.1, "atol": 0.1}
    for column in ("std", "cos_mean", "grad_norm"):
        np.testing.assert_allclose(table[column], expected[column], **tolerance)


def test_outputs_that_cannot_be_measured_do_no_harm() -> None:
    class Fourier(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x)

    class Real(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.real

    class Nothing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            self.relu(x[:0])
            return x * 1

    names = rows(nn.Sequential(nn.Linear(6, 6), Fourier(), Real(), Nothing()), loss=lambda out, _: out.sum())
    assert names == ["0", "2", "3.relu", "3"]


def test_called_inside_inference_mode_and_no_grad() -> None:
    model = ns.models.mlp(6, 8, 2, 4)
    expected = ns.trace(model, BATCH, TARGETS).table["grad_norm"]
    with torch.no_grad():
        assert ns.trace(model, BATCH, TARGETS).table["grad_norm"].equals(expected)
    with torch.inference_mode():
        assert ns.trace(model, BATCH * 1, TARGETS).table["grad_norm"].equals(expected)


def test_wrong_words_are_told() -> None:
    model = nn.Sequential(nn.Linear(6, 4))
    with pytest.raises(ValueError, match="capture must be 'modules' or 'ops', not 'all'"):
        ns.trace(model, BATCH, capture="all")
    with pytest.raises(ValueError, match="unknown measure 'moment': choose from 'moments', 'geometry'"):
        ns.trace(model, BATCH, measures=("moment",))
    with pytest.raises(TypeError, match="a measure is a word or a function of a tensor, not a int"):
        ns.trace(model, BATCH, measures=(3,))
    with pytest.raises(ValueError, match="projection must be at least 1"):
        ns.trace(model, BATCH, projection=0)
    with pytest.raises(ValueError, match="there is no dimension 2 to be the batch"):
        ns.trace(model, BATCH, batch_dim=2)
