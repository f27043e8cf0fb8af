"""One pass over a model: its kernel gradients against autograd in float64, what it lets go, what it refuses."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope.tracing import probe_gradients
from normscope.tracing.kernel_capture import KernelCapture, LayerCall, kernel_gradient
from normscope.tracing.kernel_layers import kernel_layers
from reference import gradient_probes as reference

GENERATOR = torch.Generator().manual_seed(3)
IMAGES = torch.randn(12, 2, 6, 6, generator=GENERATOR)
LABELS = torch.arange(12) % 4


class Reused(nn.Module):
    """One layer called twice, in words of three dimensions, with an operation in place behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1, 2)).relu_()
        return self.head(input=self.first(x).relu_().mean(1))


def convolution(**options: Any) -> Callable[[], nn.Module]:
    kind, kernel = options.pop("kind", nn.Conv2d), options.pop("kernel", 3)
    return lambda: nn.Sequential(kind(2, 4, kernel, **options), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(4))


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{
        f"resnet {norm}": lambda norm=norm: ns.models.cifar_resnet(8, norm, in_channels=2, width=4, num_classes=4)
        for norm in ns.models.NORMS
    },
    "zeros": convolution(padding=1),
    "reflected": convolution(padding=2, padding_mode="reflect"),
    "replicated, strided": convolution(padding=1, stride=2, padding_mode="replicate"),
    "circular, dilated": convolution(padding=(2, 1), dilation=(2, 1), padding_mode="circular"),
    "same, even kernel": convolution(kernel=(2, 4), padding="same"),
    "same, circular": convolution(kernel=(2, 4), padding="same", padding_mode="circular"),
    "valid, grouped": convolution(padding="valid", groups=2),
    "three dimensions": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 3, 2), nn.Flatten(), nn.LazyLinear(4)
    ),
    "one dimension": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 3, 5, stride=3), nn.Flatten(), nn.LazyLinear(4)),
    "transposed": convolution(kind=nn.ConvTranspose2d),
    "transposed, strided": convolution(kind=nn.ConvTranspose2d, stride=2, padding=1, output_padding=1),
    "transposed, dilated": convolution(
        kind=nn.ConvTranspose2d, kernel=(3, 2), stride=(1, 2), dilation=(3, 2), padding=(2, 0), output_padding=(2, 1)
    ),
    "transposed, beyond its kernel": convolution(
        kind=nn.ConvTranspose2d, kernel=1, stride=3, padding=1, output_padding=2
    ),
    "transposed, grouped": convolution(kind=nn.ConvTranspose2d, groups=2),
    "transposed, one dimension": lambda: nn.Sequential(
        nn.Flatten(2), nn.ConvTranspose1d(2, 3, 5, stride=3, padding=2), nn.Flatten(), nn.LazyLinear(4)
    ),
    "transposed, three dimensions": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2)), nn.ConvTranspose3d(1, 3, 2, stride=2), nn.Flatten(), nn.LazyLinear(4)
    ),
    "reused": Reused,
}


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS[name]().double()
    with torch.no_grad():
        model(IMAGES.double())  # lazy layers take their shape
    return model


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", MODELS)
def test_kernel_gradients_are_those_of_autograd(name: str) -> None:
    model = built(name)
    probe = probe_gradients(model, IMAGES.double(), LABELS)
    expected = reference.weight_gradients(model, lambda y: nn.functional.cross_entropy(y, LABELS), IMAGES)
    weights = {n.removesuffix(".weight"): g for n, g in expected.items() if g.dim() > 1}
    assert set(probe.table["layer"]) == set(weights)
    for layer, gradient in weights.items():
        calls = probe.table.loc[probe.table["layer"] == layer, "call"]
        total = sum(probe.kernel(layer, call).gradient for call in calls)
        torch.testing.assert_close(total, gradient, rtol=1e-9, atol=1e-13)


def test_the_terms_of_a_transposed_convolution_are_products_at_the_positions_of_its_input() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), output_padding=(1, 0))
    layer, x = layer.double(), torch.randn(3, 2, 3, 4, dtype=torch.float64)
    delta = torch.randn(layer(x).shape, dtype=torch.float64)
    found = kernel_gradient(layer, x, delta)
    terms = np.zeros((found.terms, *layer.weight.shape))
    places = [(n, r, c) for n in range(3) for r in range(3) for c in range(4)]
    for t, (n, r, c) in enumerate(places):
        for i, o, j, k in np.ndindex(*layer.weight.shape):
            row, column = 2 * r + j - 1, c + 2 * k  # where input (r, c) is put out by entry (j, k)
            if 0 <= row < delta.shape[2] and 0 <= column < delta.shape[3]:
                terms[t, i, o, j, k] = x[n, i, r, c] * delta[n, o, row, column]
    assert found.terms == len(places)
    np.testing.assert_allclose(found.signed, terms.mean(0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.unsigned, np.abs(terms).mean(0), rtol=1e-12)
    single = kernel_gradient(layer, x[0], delta[0])
    np.testing.assert_allclose(single.signed, terms[:12].mean(0), rtol=1e-12, atol=1e-15)


def test_the_table_against_stored_activations() -> None:
    model = built("zeros")
    probe = probe_gradients(model, IMAGES.double(), LABELS)
    row = probe.table.set_index("layer").loc["0"]
    output = model[0](IMAGES.double()).detach()
    leaf = output.clone().requires_grad_()
    nn.functional.cross_entropy(model[3](model[2](leaf.relu())), LABELS).backward()
    ones = (1, 1)
    terms = reference.conv_terms(IMAGES.double().numpy(), leaf.grad.numpy(), (3, 3), ones, ones, ones, 1)
    gradient = terms.sum(0)
    pairs = gradient.mean((2, 3))
    values = output.numpy().transpose(1, 0, 2, 3).reshape(4, -1)
    expected = {
        "terms": len(terms),
        "a": np.abs(terms).mean(),
        "b": np.abs(terms.mean(0)).mean(),
        "kernel_gradient_ratio": np.abs(terms).mean() / np.abs(terms.mean(0)).mean(),
        "grad_std": gradient.std(),
        "channel_mean": values.mean(1).mean(),
        "channel_mean_size": np.abs(values.mean(1)).mean(),
        "channel_std": values.std(1).mean(),
        "pair_energy": np.linalg.svd(pairs, compute_uv=False)[0] ** 2 / np.linalg.norm(pairs) ** 2,
    }
    tails = reference.tails(gradient.ravel(), 0.05)
    tails["grad_scale"] = tails.pop("scale")
    assert row[[*expected, *tails]].to_dict() == pytest.approx(expected | tails, rel=1e-9)
    np.testing.assert_allclose(probe.channel_pairs("0"), pairs, rtol=1e-9)
    np.testing.assert_allclose(probe.channel_pairs("0", absolute=True), np.abs(gradient).mean((2, 3)), rtol=1e-9)
    np.testing.assert_allclose(probe.channels("0")["std"], values.std(1))
    np.testing.assert_allclose(probe.input_means("0"), IMAGES.double().mean((0, 2, 3)), atol=1e-15)
    assert probe.histogram("0", bins=5).counts.sum() == gradient.size


def test_the_output_gradient_is_that_of_cross_entropy() -> None:
    model = built("zeros")
    probe = probe_gradients(model, IMAGES.double(), LABELS)
    outputs = model(IMAGES.double()).detach()
    expected = (outputs.softmax(1) - nn.functional.one_hot(LABELS, 4)) / 12
    np.testing.assert_allclose(probe.output_gradient, expected, rtol=1e-10, atol=1e-16)
    assert probe.loss == pytest.approx(nn.functional.cross_entropy(outputs, LABELS).item())
    assert probe.output_metrics()._asdict() == pytest.approx(
        reference.output_metrics(expected.numpy(), LABELS.tolist()), nan_ok=True
    )


def test_float32_is_close_to_float64() -> None:
    model = built("resnet batch")
    exact = probe_gradients(model, IMAGES.double(), LABELS).table
    single = probe_gradients(model.float(), IMAGES, LABELS).table
    for column in ("a", "channel_std", "grad_std"):
        np.testing.assert_allclose(single[column], exact[column], rtol=1e-3)


def test_frozen_layers_have_a_gradient_too() -> None:
    model = built("zeros")
    trained = probe_gradients(model, IMAGES.double(), LABELS).table
    frozen = probe_gradients(model.requires_grad_(False), IMAGES.double(), LABELS).table
    assert frozen.equals(trained)


def test_layers_behind_words_and_behind_constants() -> None:
    """Inputs that take no gradient: embeddings are a root of the backward, and so is a layer of a constant."""

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.query, self.head = nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 4)
            self.register_buffer("constant", torch.ones(1, 3))

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.embedding(words).mean(1) + self.query(self.constant))

    torch.manual_seed(0)
    model = Words().double()
    words = torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 4
    probe = probe_gradients(model, words, labels)
    nn.functional.cross_entropy(model(words), labels).backward()
    for layer in ("query", "head"):
        torch.testing.assert_close(probe.kernel(layer).gradient, model.get_submodule(layer).weight.grad)


def test_a_layer_that_the_loss_does_not_reach() -> None:
    model = built("zeros")
    model.register_forward_hook(lambda _module, _inputs, output: output)
    probe = probe_gradients(
        model, IMAGES.double(), loss=lambda outputs, _: outputs.detach().sum() + model[3].bias.sum()
    )
    assert probe.table["kernel_gradient_ratio"].isna().all()
    assert probe.table["channel_std"].notna().all()
    with pytest.raises(ValueError, match="layer '0' has no kernel gradient: the loss does not depend on call 0"):
        probe.kernel("0")


def test_one_forward_pass_and_inputs_let_go_on_the_way_back() -> None:
    model = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in range(8)), nn.Flatten(), nn.Linear(72, 4))
    alive: list[weakref.ref[Tensor]] = []
    calls, left = [], []

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        alive.append(weakref.ref(inputs[0]))
        calls.append(_module)

    for layer in model:
        layer.register_forward_pre_hook(keep)
    gc.collect()

    def count(_entries: int) -> None:
        left.append(sum(reference() is not None for reference in alive))

    probe = probe_gradients(model, IMAGES, LABELS, progress=count)
    assert len(calls) == len(model)
    assert len(probe.table) == len(left) == 9
    # tensors are ours or autograd's: when the gradient comes to the first layer, the inputs of the others are gone
    assert left[0] >= 8
    assert left[-1] <= 3
    assert sum(reference() is not None for reference in alive) == 0


def test_the_capture_itself_keeps_no_input_and_no_hook() -> None:
    """`probe_gradients` would not show it: aliases of the inputs, and hooks that `preserved` takes off as well."""
    model = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
    calls: list[LayerCall] = []
    held: list[int] = []

    def left(_call: LayerCall, _kernel: object) -> None:
        held.append(sum(call.inputs is not None for call in calls))

    capture = KernelCapture(kernel_layers(model), lambda call, _output: calls.append(call), left)
    with capture.watching():
        value = model(VECTORS).sum()
        model(VECTORS)  # no gradient comes to these calls
        value.backward()
    assert held == [7, 6, 5, 4]
    assert all(call.inputs is None for call in calls)
    assert all(not layer._forward_hooks for layer in model)


def test_chosen_layers_alone() -> None:
    probe = probe_gradients(built("resnet batch"), IMAGES.double(), LABELS, layers=["head", "stage1.*"])
    assert probe.table["layer"].tolist() == ["stage1.0.conv1", "stage1.0.conv2", "head"]
    with pytest.raises(ValueError, match=r"no layer 'stage1.0.conv3' was probed; did you mean 'stage1.0.conv[12]'"):
        probe.kernel("stage1.0.conv3")
    with pytest.raises(ValueError, match="layer 'head' was called 1 times: there is no call 1"):
        probe.channels("head", 1)


class InPlace(nn.Module):
    """A frozen layer, whose input autograd does not keep, and which is then written into."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.layer = nn.Linear(6, 6), nn.Linear(6, 6).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        y = self.layer(x)
        return y + x.add_(1)


def poisoned() -> nn.Module:
    model = built("zeros")
    with torch.no_grad():
        model[0].weight[0] = math.inf
    return model


VECTORS = torch.randn(8, 6, generator=GENERATOR)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: probe_gradients(lambda x: x, VECTORS), TypeError, "model must be a torch.nn.Module, not function"),
        (lambda: probe_gradients(nn.Linear(6, 4), VECTORS), ValueError, "gradients need a loss: give targets"),
        (lambda: probe_gradients(nn.Linear(6, 4), VECTORS[:1], LABELS[:1]), ValueError, "at least 2 samples"),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8] + 1),
            ValueError,
            "label 4 is out of range: the model has 4 outputs, for labels 0 to 3",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8] - 1, nn.CrossEntropyLoss()),
            ValueError,
            "label -1 is out of range",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8], lambda y, _: y),
            ValueError,
            "must return one number",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8], layers="heda"),
            ValueError,
            "no layer matches 'heda'",
        ),
        (
            lambda: probe_gradients(built("reused"), IMAGES.double(), LABELS, layers=["head", "frist"]),
            ValueError,
            "no layer matches 'frist'; there are first",
        ),
        (
            lambda: probe_gradients(nn.Sequential(nn.ReLU()), VECTORS, LABELS[:8]),
            ValueError,
            r"has a kernel \(Linear, Conv1d to 3d, ConvTranspose1d to 3d\): ReLU, Sequential",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8], layers=[]),
            ValueError,
            "no layers were named",
        ),
        (lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8], "mse"), TypeError, "loss is a str: give"),
        (lambda: probe_gradients(nn.Linear(6, 4), VECTORS, LABELS[:8] > 1), ValueError, "targets are bools"),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, loss=lambda y, _: y.sum() * 1j),
            ValueError,
            "must return one real number",
        ),
        (lambda: probe_gradients(poisoned(), IMAGES.double(), LABELS), ValueError, "the loss is nan at the start"),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, loss=lambda y, _: y.detach().sum()),
            ValueError,
            "does not depend on any parameter",
        ),
        (
            lambda: probe_gradients(InPlace(), VECTORS, loss=lambda y, _: y.sum()),
            ValueError,
            "layer 'layer': its input was changed in place",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS[:3], LABELS[:3]).output_metrics(),
            ValueError,
            "4 classes need a batch of at least 4 images, got 3",
        ),
        (
            lambda: probe_gradients(nn.Linear(6, 4), VECTORS, VECTORS[:, :4]).output_metrics(),
            ValueError,
            "need outputs .* and integer targets",
        ),
        (lambda: kernel_gradient(nn.ReLU(), VECTORS, VECTORS), TypeError, "a ReLU has no kernel"),
    ],
)
def test_refuses(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_labels_that_the_loss_leaves_out_are_no_error() -> None:
    labels = LABELS.clone()
    labels[0] = -100
    assert math.isfinite(probe_gradients(built("zeros"), IMAGES.double(), labels).loss)
    labels[0] = 77
    loss = nn.CrossEntropyLoss(ignore_index=77)
    assert math.isfinite(probe_gradients(built("zeros"), IMAGES.double(), labels, loss).loss)
