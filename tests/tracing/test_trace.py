"""What `ns.trace` measures, against a slow twin and on networks whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from reference.tracing import stored_activations

ALWAYS = [
    "layer", "kind", "call", "mean", "std", "dead_fraction", "cos_mean", "effective_rank", "orthogonality_gap",
    "isometry_gap", "odd_index", "odd_cosine", "cluster_cosine", "odd_norm_ratio",
]  # fmt: skip
TARGETS = torch.arange(12) % 4


def inputs(features: int = 6) -> Tensor:
    return torch.randn(12, features, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("norm", ["batch", "none", "recenter", "rescale", "layer", "last"])
@pytest.mark.parametrize("kind", ["mlp", "resnet"])
def test_agrees_with_stored_activations(kind: str, norm: str) -> None:
    if kind == "mlp":
        model, batch = ns.models.mlp(6, 16, 4, 4, norm=norm), inputs()
    else:
        model = ns.models.cifar_resnet(8, norm, in_channels=2, width=4, num_classes=4)
        batch = inputs(2 * 8 * 8).reshape(12, 2, 8, 8)
    result = ns.trace(model, batch, TARGETS)
    reference = stored_activations(model, batch, lambda outputs: nn.functional.cross_entropy(outputs, TARGETS))
    assert set(result.table["layer"]) == set(reference)
    for _, row in result.table.iterrows():
        activation, gradient = reference[row["layer"]]
        gram = ns.measure.gram(activation)
        np.testing.assert_allclose(result.gram(row["layer"]), gram, rtol=1e-4, atol=1e-6 * float(gram.max()))
        assert row["mean"] == pytest.approx(
            float(activation.mean()), rel=1e-4, abs=1e-5 * float(activation.abs().max())
        )
        assert row["std"] == pytest.approx(float(activation.std(correction=0)), rel=1e-4, abs=1e-9)
        assert row["cos_mean"] == pytest.approx(float(ns.measure.mean_cosine(gram)), rel=1e-4, abs=1e-5)
        if kind == "mlp" and row["layer"] == "flatten":  # before the first trained parameter there is no gradient
            assert np.isnan(row["grad_norm"])
            continue
        assert row["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-3)
        coherence = float(gradient.sum(0).abs().sum() / gradient.abs().sum())
        assert row["grad_coherence"] == pytest.approx(coherence, abs=1e-4)


def test_columns_are_always_there() -> None:
    table = ns.trace(ns.models.mlp(6, 8, 2), inputs()).table
    assert set(ALWAYS) <= set(table.columns)
    assert "grad_norm" not in table
    with_loss = ns.trace(ns.models.mlp(6, 8, 2), inputs(), TARGETS).table
    assert {*ALWAYS, "grad_norm", "grad_coherence", "param_grad_norm"} <= set(with_loss.columns)


def test_rows_are_layer_calls_in_order() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(6, 6)
            self.other = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.shared(self.other(self.shared(x)))

    result = ns.trace(Twice(), inputs())
    assert result.table[["layer", "kind", "call"]].to_numpy().tolist() == [
        ["shared", "Linear", 0],
        ["other", "ReLU", 0],
        ["shared", "Linear", 1],
    ]
    assert not np.allclose(result.gram("shared", 0), result.gram("shared", 1))


def test_parameter_gradients_match_backward() -> None:
    model = ns.models.mlp(6, 8, 2, 4)
    table = ns.trace(model, inputs(), TARGETS).table.set_index("layer")
    nn.functional.cross_entropy(model(inputs()), TARGETS).backward()
    for name, module in model.named_modules():
        own = [p.grad for p in module.parameters(recurse=False)]
        if own:
            expected = torch.cat([g.flatten() for g in own]).norm()
            assert table.loc[name, "param_grad_norm"] == pytest.approx(float(expected), rel=1e-4)


def test_gradient_of_a_frozen_network_is_measured_too() -> None:
    model = ns.models.mlp(6, 8, 2, 4).requires_grad_(False)
    table = ns.trace(model, inputs(), TARGETS).table
    assert (table["grad_norm"] > 0).all()


def test_in_place_activation_does_not_falsify_the_layer_before() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    writing = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    a, b = ns.trace(plain, inputs(), TARGETS), ns.trace(writing, inputs(), TARGETS)
    columns = ["mean", "std", "cos_mean", "grad_norm", "grad_coherence"]
    np.testing.assert_array_equal(a.table[columns].to_numpy(), b.table[columns].to_numpy())


def test_dropout_is_seeded_and_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5))
    one, same, other = (ns.trace(model, inputs(), seed=seed).gram("1") for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_mode_decides_what_batch_norm_does() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6))
    batch = inputs() + 5
    assert ns.trace(model.train(), batch).table["mean"][0] == pytest.approx(0, abs=1e-6)
    assert ns.trace(model.eval(), batch).table["mean"][0] == pytest.approx(float(batch.mean()), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_geometry_does_not_depend_on_scale(scale: float) -> None:
    """A linear layer scales: the geometry of its output is the same at norms of 1e-30 and 1e30."""
    model = nn.Sequential(nn.Linear(6, 8, bias=False))
    base, scaled = ns.trace(model, inputs()), ns.trace(model, inputs() * scale)
    geometry = ["cos_mean", "effective_rank", "orthogonality_gap", "odd_cosine", "cluster_cosine", "odd_norm_ratio"]
    np.testing.assert_allclose(base.table[geometry].to_numpy(float), scaled.table[geometry].to_numpy(float), rtol=1e-5)
    assert scaled.table["std"][0] == pytest.approx(base.table["std"][0] * scale, rel=1e-5)


def test_inputs_may_be_a_tuple_or_keywords() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.a(left) + self.b(right)

    model, left, right = Two(), inputs(), inputs() * 2
    by_place = ns.trace(model, (left, right))
    by_name = ns.trace(model, {"right": right, "left": left})
    assert np.array_equal(by_place.gram("b"), by_name.gram("b"))


def test_layers_are_chosen_by_glob() -> None:
    model = ns.models.mlp(6, 8, 3)
    table = ns.trace(model, inputs(), layers=["blocks.*.activation", "head"]).table
    assert table["layer"].tolist() == [*(f"blocks.{i}.activation" for i in range(3)), "head"]


def test_an_output_without_a_row_a_sample_has_moments_only() -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each, self.whole = nn.Linear(6, 6), nn.Softmax(0)

        def forward(self, x: Tensor) -> Tensor:
            return self.whole(self.each(x).sum(0))

    result = ns.trace(Summed(), inputs())
    row = result.table.iloc[1]
    assert row["mean"] == pytest.approx(1 / 6)
    assert np.isnan(row["cos_mean"])
    assert row["odd_index"] == -1
    with pytest.raises(KeyError, match="no row a sample"):
        result.gram("whole")


def test_what_prints_is_a_report() -> None:
    text = str(ns.trace(ns.models.mlp(6, 8, 2), inputs(), TARGETS))
    assert text.startswith("Trace of MLP: 8 layer calls, batch 12, train mode, loss ")
    assert "blocks.1.activation" in text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": lambda x: x}, TypeError, "must be a torch.nn.Module, not function"),
        ({"inputs": [1.0, 2.0]}, TypeError, "must hold a tensor"),
        ({"inputs": torch.randn(1, 6)}, ValueError, r"at least 2 samples .* \(1, 6\)"),
        ({"layers": "nothing.*"}, ValueError, r"no layer matches 'nothing.\*'; there are flatten"),
        (
            {"loss": lambda outputs, targets: outputs},
            ValueError,
            r"must return one number, it returned shape \(12, 10\)",
        ),
        ({"loss": lambda outputs, targets: outputs.detach().sum()}, ValueError, "does not depend on any parameter"),
        ({"targets": [1, 2]}, TypeError, "name the loss"),
    ],
)
def test_bad_input_is_told(change: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = {"model": ns.models.mlp(6, 8, 2), "inputs": inputs(), **change}
    with pytest.raises(error, match=message):
        ns.trace(**arguments)


@pytest.mark.parametrize(
    ("layer", "call", "message"),
    [("nowhere", 0, "no layer 'nowhere' in this trace; it has"), ("head", 1, "was called 1 times")],
)
def test_a_gram_matrix_that_is_not_there(layer: str, call: int, message: str) -> None:
    with pytest.raises(KeyError, match=message):
        ns.trace(ns.models.mlp(6, 8, 2), inputs()).gram(layer, call)
