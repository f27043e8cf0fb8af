"""Models as they come: wrapped, trained, hooked, from the zoo. The model itself stays bit-identical."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from program_cases import CASES, built, with_unfilled_statistics
from torch import Tensor, nn

from fingerprint import fingerprint
from normscope import models
from normscope.spline.reading.program import read
from reference.folds import float64_eval

os.environ["HF_HUB_OFFLINE"] = "1"


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def small(**options: Any) -> nn.Module:
    return models.mlp(3, 4, 2, **options)


@pytest.mark.parametrize("name", CASES)
def test_reading_leaves_the_model_bit_identical(name: str) -> None:
    model = built(CASES[name]).train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = fingerprint(model)
    batch = points(4, *CASES[name][1])
    read(model, CASES[name][1])
    read(model, batch[0].float(), batch=batch)
    assert fingerprint(model) == before


def trained_with_spectral_norm() -> nn.Module:
    """The forms before parametrizations keep a weight that was computed with gradients, which cannot be copied."""
    with pytest.warns(FutureWarning):
        model = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 3)), nn.ReLU())
    model(torch.randn(2, 3))
    return model


def frozen() -> nn.Module:
    return small().requires_grad_(False)


def hooked() -> nn.Module:
    """A hook that changes what a layer puts out is part of the model."""
    model = small()
    model.blocks[0].linear.register_forward_hook(lambda _module, _inputs, output: output * 2)
    return model


class Counting(nn.Module):
    """Counts its calls, in a buffer and in a number; holds a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))
        self.number, self.scale = 0, torch.tensor([0.5, 2.0, 1.0])
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.number += 1
        return torch.relu(self.linear(x) @ torch.diag(self.scale))


@pytest.mark.parametrize("build", [trained_with_spectral_norm, frozen, hooked, Counting])
def test_models_as_they_come(build: Callable[[], nn.Module]) -> None:
    model = build()
    before = fingerprint(model)
    program = read(model, (3,))
    assert fingerprint(model) == before
    twin = copy.deepcopy(
        model, {id(v): v.detach() for m in model.modules() for v in vars(m).values() if is_computed(v)}
    )
    twin = twin.double().eval()
    if isinstance(twin, Counting):
        twin.scale = twin.scale.double()
    torch.testing.assert_close(program.outputs(points(4, 3)), twin(points(4, 3)).detach(), rtol=1e-12, atol=1e-12)


def is_computed(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_leaf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_taken_exactly(dtype: torch.dtype) -> None:
    model = small().to(dtype)
    expected = float64_eval(model)(points(4, 3)).detach()
    torch.testing.assert_close(read(model, (3,)).outputs(points(4, 3)), expected, rtol=1e-12, atol=1e-12)


class Casting(nn.Module):
    """Casts as code for mixed precision does: they would round."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.linear(x.float())
        return x.relu().to(torch.float16)


def test_casts_do_not_round() -> None:
    model = Casting()
    expected = float64_eval(model.linear)(points(4, 3)).relu().detach()
    torch.testing.assert_close(read(model, (3,)).outputs(points(4, 3)), expected, rtol=1e-12, atol=0)


def test_wrappers_are_looked_into() -> None:
    model = small()
    expected = read(model, (3,)).outputs(points(4, 3))
    for wrapped in (torch.compile(model, backend="eager"), nn.DataParallel(model)):
        program = read(wrapped, (3,))
        assert [fold.layer for fold in program.folds] == ["blocks.0.activation", "blocks.1.activation"]
        torch.testing.assert_close(program.outputs(points(4, 3)), expected)
    inside = nn.Sequential(torch.compile(model, backend="eager"), nn.ReLU())
    torch.testing.assert_close(read(inside, (3,)).outputs(points(4, 3)), expected.relu())


def test_the_surroundings_of_the_caller_do_not_matter() -> None:
    expected = read(small(), (3,)).outputs(points(4, 3))
    with torch.inference_mode():
        torch.testing.assert_close(read(small(), (3,)).outputs(points(4, 3)), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = read(small(), (3,))
    torch.testing.assert_close(found.outputs(points(4, 3)), expected)


def test_a_model_of_several_inputs_with_defaults_takes_the_first() -> None:
    class Optional(nn.Module):
        def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float = 2.0) -> Tensor:
            return torch.relu(x) * scale

    assert read(Optional(), (3,)).outputs(-points(1, 3)).shape == (1, 3)


CONFIGURED: dict[str, tuple[str, dict[str, Any], int]] = {
    "bottlenecks": (
        "ResNetForImageClassification",
        {"embedding_size": 4, "hidden_sizes": [4, 8, 8, 8], "depths": [1, 1, 1, 1]},
        1 + 1 + 4 * 3,
    ),
    "basic blocks": (
        "ResNetForImageClassification",
        {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [2, 1], "layer_type": "basic"},
        1 + 1 + 3 * 2,
    ),
    "separable": ("MobileNetV1ForImageClassification", {"depth_multiplier": 0.1}, 27),
    "grouped": (
        "RegNetForImageClassification",
        {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "groups_width": 2, "layer_type": "x"},
        1 + 2 * 3,
    ),
}


@pytest.mark.parametrize("name", CONFIGURED)
def test_models_of_the_transformers_package(name: str) -> None:
    import transformers

    kind, options, folds = CONFIGURED[name]
    build = getattr(transformers, kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = with_unfilled_statistics(build(build.config_class(**options, num_labels=3)))
    before = fingerprint(model)
    program = read(model, (3, 19, 17))
    assert fingerprint(model) == before
    assert len(program.folds) == folds
    expected = float64_eval(model)(points(2, 3, 19, 17)).logits.detach()
    torch.testing.assert_close(program.outputs(points(2, 3, 19, 17)), expected, rtol=1e-12, atol=1e-12)
