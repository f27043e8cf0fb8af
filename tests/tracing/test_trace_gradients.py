"""The gradients that a trace measures if asked to: of kernels and by the outputs, against twins; and their cost."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from fingerprint import fingerprint
from normscope import Trace, trace
from normscope.tracing import check_labels, probe_gradients
from reference import gradient_probes as reference

KERNELS = ("kernel_gradients",)
OUTPUTS = ("output_gradients",)
IMAGES = torch.randn(12, 2, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
LABELS = torch.arange(12) % 5


class Reused(nn.Module):
    """One layer called twice, in words of three dimensions, with operations in place behind it, one by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1, 2)).relu_()
        return self.head(input=self.first(x).relu_().mean(1))


def convolution(**options: Any) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(2, 4, 3, **options), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(5))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: ns.models.cifar_resnet(8, "batch", in_channels=2, width=4, num_classes=5),
    "grouped, reflected": convolution(padding=1, padding_mode="reflect", groups=2),
    "reused": Reused,
}


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS[name]().double()
    with torch.no_grad():
        model(IMAGES)  # lazy layers take their shape
    return model


def ratios(found: Any) -> dict[tuple[str, int], float]:
    rows = found.table[found.table["kernel_gradient_ratio"].notna()]
    return dict(zip(zip(rows["layer"], rows["call"], strict=True), rows["kernel_gradient_ratio"], strict=True))


# --- of kernels


@pytest.mark.parametrize("capture", ["modules", "ops"])
@pytest.mark.parametrize("name", MODELS)
def test_ratios_are_those_of_the_probe(name: str, capture: Any) -> None:
    """Which agrees with autograd, kernel by kernel (test_gradient_probe)."""
    model = built(name)
    expected = ratios(probe_gradients(model, IMAGES, LABELS))
    assert len(expected) >= 2
    assert ratios(trace(model, IMAGES, LABELS, measures=KERNELS, capture=capture)) == pytest.approx(expected, rel=1e-12)


def test_a_ratio_is_that_of_stored_terms() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).double()
    leaf = model[0](IMAGES).detach().requires_grad_()
    nn.functional.cross_entropy(model[3](leaf.relu().flatten(1)), LABELS).backward()
    terms = reference.conv_terms(IMAGES.numpy(), leaf.grad.numpy(), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    table = trace(model, IMAGES, LABELS, measures=KERNELS).table.set_index("layer")
    found = table["kernel_gradient_ratio"]
    assert table["kernel_sqrt_terms"].dropna().to_dict() == {"0": len(terms) ** 0.5, "3": 12**0.5}
    assert found["0"] == pytest.approx(np.abs(terms).mean() / np.abs(terms.mean(0)).mean(), rel=1e-9)
    assert found.isna().to_dict() == {"0": False, "1": True, "2": True, "3": False}


def test_a_gradient_that_does_not_depend_on_the_input_has_ratio_one() -> None:
    linear = nn.Linear(3, 2)
    found = trace(linear, torch.rand(9, 3), None, lambda y, _: y.sum(), measures=KERNELS)
    assert found.table["kernel_gradient_ratio"].item() == pytest.approx(1, abs=1e-6)


def test_frozen_layers_have_a_ratio_too() -> None:
    trained = ratios(trace(built("reused"), IMAGES, LABELS, measures=KERNELS))
    frozen = built("reused")
    frozen.first.weight.requires_grad_(False)
    assert ratios(trace(frozen, IMAGES, LABELS, measures=KERNELS)) == trained


def test_an_input_that_is_written_into_afterwards_has_no_ratio() -> None:
    """Autograd needs it only where the kernel is trained, and so does not complain of a frozen one."""

    class Rewritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.frozen, self.head = nn.Linear(6, 6), nn.Linear(6, 6).requires_grad_(False), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.stem(x.flatten(1)[:, :6])
            out = self.frozen(hidden)
            return self.head(out + hidden.mul_(2))

    found = trace(Rewritten().double(), IMAGES, LABELS, measures=KERNELS)
    assert {layer for layer, _ in ratios(found)} == {"stem", "head"}


def test_a_layer_with_a_forward_of_its_own_does_not_stop_the_trace() -> None:
    class Transposing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).mT.reshape(4, -1)[:, :12].mT

    found = trace(
        nn.Sequential(nn.Flatten(), Transposing(72, 6), nn.Linear(4, 5)).double(), IMAGES, LABELS, measures=KERNELS
    )
    assert {layer for layer, _ in ratios(found)} == {"2"}


def test_what_is_not_asked_for_is_neither_computed_nor_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: object) -> None:
        raise AssertionError("a kernel gradient was computed")

    monkeypatch.setattr("normscope.tracing.records.kernel_gradient", computed)
    monkeypatch.setattr("normscope.tracing.classes.output_gradients", computed)
    alive: list[bool] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6).requires_grad_(False), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            hidden = x * 2
            given = weakref.ref(hidden.untyped_storage())
            out = self.first(hidden)
            del hidden
            gc.collect()
            alive.append(given() is not None)
            return self.second(out)

    found = trace(Watching(), torch.randn(12, 6), LABELS)
    assert "kernel_gradient_ratio" not in found.table
    assert found.output_gradients == {}
    assert alive == [False]


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name: str) -> None:
    model = built(name)
    before = fingerprint(model)
    trace(model, IMAGES, LABELS, measures=(*KERNELS, *OUTPUTS))
    assert fingerprint(model) == before
    with pytest.raises(KeyboardInterrupt):
        trace(model, IMAGES, LABELS, measures=(*KERNELS, *OUTPUTS), progress=interrupting(5))
    assert fingerprint(model) == before


def interrupting(calls: int) -> Callable[[int], None]:
    left = iter(range(calls))

    def tick(_: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return tick


# --- by the outputs


def test_metrics_are_those_of_the_gradient_by_the_outputs() -> None:
    model = built("resnet")
    outputs = model(IMAGES).detach()
    gradient = (outputs.softmax(1) - nn.functional.one_hot(LABELS, 5)) / 12
    chosen = [row.index(max(row)) for row in outputs.tolist()]
    most = max(range(5), key=chosen.count)
    predicted = {
        "predicted_class": most, "predicted_share": chosen.count(most) / 12,
        "label_share": LABELS.tolist().count(most) / 12,
    }  # fmt: skip
    expected = {
        "images": 12, "classes": 5, **reference.output_metrics(gradient.numpy(), LABELS.tolist()), **predicted
    }  # fmt: skip
    assert trace(model, IMAGES, LABELS, measures=OUTPUTS).output_gradients == pytest.approx(expected, nan_ok=True)


def test_labels_that_the_loss_leaves_out_are_left_out() -> None:
    model, labels = built("reused"), LABELS.clone()
    labels[[2, 7]] = -100
    kept = labels >= 0
    found = trace(model, IMAGES, labels, measures=OUTPUTS).output_gradients
    assert found == pytest.approx(trace(model, IMAGES[kept], LABELS[kept], measures=OUTPUTS).output_gradients)
    other = torch.where(kept, labels, 3)
    loss = nn.CrossEntropyLoss(ignore_index=3)
    assert trace(model, IMAGES, other, loss, measures=OUTPUTS).output_gradients["images"] == int((other != 3).sum())


def test_logits_are_found_in_what_the_model_returns() -> None:
    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module, more: bool) -> None:
            super().__init__()
            self.inner, self.more = inner, more

        def forward(self, x: Tensor) -> Any:
            logits = self.inner(x)
            return {"hidden": x, "logits": logits} if self.more else (logits,)

    inner = built("reused")
    expected = trace(inner, IMAGES, LABELS, measures=OUTPUTS).output_gradients
    for more, key in ((True, "logits"), (False, 0)):

        def loss(outputs: Any, labels: Tensor, key: Any = key) -> Tensor:
            return nn.functional.cross_entropy(outputs[key], labels)

        assert trace(Wrapped(inner, more), IMAGES, LABELS, loss, measures=OUTPUTS).output_gradients == expected


def test_targets_may_be_made_from_the_outputs() -> None:
    model = built("reused")
    own = trace(model, IMAGES, lambda y: LABELS, nn.functional.cross_entropy, measures=OUTPUTS)
    given = trace(model, IMAGES, LABELS, measures=OUTPUTS)
    assert (own.loss, own.output_gradients) == (given.loss, given.output_gradients)


@pytest.mark.parametrize(
    ("targets", "loss"),
    [
        (torch.zeros(12, 5, dtype=torch.float64), None),
        (LABELS, lambda y, labels: (y - nn.functional.one_hot(labels, 5)).square().mean()),
        (LABELS > 1, lambda y, labels: nn.functional.cross_entropy(y, labels.long())),
        (LABELS, lambda y, labels: y.sum() * math.nan),
        (LABELS, lambda y, labels: (y - y.detach()).sum() * 0),
        (LABELS[:, None], lambda y, labels: nn.functional.cross_entropy(y, labels[:, 0])),
    ],
    ids=["floats", "no softmax", "bools", "nan", "zero", "labels of two dimensions"],
)
def test_of_what_is_no_classifier_there_are_none(targets: Tensor, loss: Any) -> None:
    found = trace(built("reused"), IMAGES, targets, loss, measures=OUTPUTS)
    assert (found.output_gradients, found.notes) == ({}, ())


def test_too_few_samples_are_told_in_a_note() -> None:
    found = trace(built("reused"), IMAGES[:4], LABELS[:4], measures=OUTPUTS)
    why = "gradients of 5 classes need a batch of at least 5 images, got 4"
    assert (found.output_gradients, found.notes) == ({}, (f"output gradients were not measured: {why}",))
    assert trace(built("reused"), IMAGES[:4], LABELS[:4]).notes == ()


# --- what is said


@pytest.mark.parametrize("label", [5, -1])
def test_a_label_out_of_range_is_told(label: int) -> None:
    labels = LABELS.clone()
    labels[3] = label
    told = f"label {label} is out of range: the model has 5 outputs, for labels 0 to 4"
    for loss in (None, nn.functional.cross_entropy, nn.CrossEntropyLoss()):
        with pytest.raises(ValueError, match=told):
            trace(built("reused"), IMAGES, labels, loss)
    with pytest.raises(ValueError, match=told):
        check_labels(torch.zeros(12, 5), labels)
    check_labels(torch.zeros(12, 5), torch.full((12,), -100))


@pytest.mark.parametrize("word", [*KERNELS, *OUTPUTS])
def test_a_measure_of_gradients_needs_a_loss(word: Any) -> None:
    with pytest.raises(ValueError, match=f"the measure '{word}' needs a loss: give targets"):
        trace(built("reused"), IMAGES, measures=("moments", word))


def test_a_column_that_was_not_asked_for_is_told() -> None:
    with pytest.raises(KeyError, match=r"give a loss to normscope\.trace, and 'kernel_gradients' among its measures"):
        trace(built("reused"), IMAGES, LABELS).growth("kernel_gradient_ratio")


def test_they_are_printed_compared_and_saved(tmp_path: Path) -> None:
    found = trace(built("reused"), IMAGES, LABELS, measures=("moments", *KERNELS, *OUTPUTS))
    numbers = found.output_gradients
    text = str(found)
    assert f"gradient by the outputs: class {numbers['largest_class']} is the largest wrong one of" in text
    assert f"outputs: class {numbers['predicted_class']} is the largest of" in text
    assert "gradient by the outputs" in found._repr_html_()
    assert "gradient by the outputs" not in str(trace(built("reused"), IMAGES, LABELS))
    changes = found.compare(found)
    assert changes["kernel_gradient_ratio_ratio"].dropna().eq(1).all()
    loaded = Trace.load(found.save(tmp_path / "t"))
    assert list(loaded.output_gradients.items()) == list(numbers.items())
    assert [type(value) for value in loaded.output_gradients.values()] == [type(value) for value in numbers.values()]
    assert ratios(loaded) == ratios(found)
