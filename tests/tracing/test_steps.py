"""Steps along the gradient, and an update replayed: against torch's own optimizer on a copy, in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import normscope as ns
from normscope.tracing import gradient_step, loss_along_gradient, replay_update
from reference import gradient_probes as reference

BATCH = torch.randn(16, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.arange(16) % 4


def loss_of(outputs: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, LABELS)


def network(norm: str = "batch") -> nn.Module:
    return ns.models.mlp(6, 8, 3, 4, norm=norm).double()


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("norm", ns.models.NORMS)
def test_losses_are_those_after_a_step_of_torchs_optimizer(norm: str, training: bool) -> None:
    model = network(norm).train(training)
    sizes = np.geomspace(1e-4, 10, 6)
    result = loss_along_gradient(model, BATCH, LABELS, step_sizes=sizes)
    expected = [reference.loss_after_step(model, loss_of, BATCH, size) for size in sizes]
    np.testing.assert_allclose(result.losses, expected, rtol=1e-12)
    assert result.start == pytest.approx(loss_of(copy.deepcopy(model)(BATCH)).item(), rel=1e-14)
    np.testing.assert_allclose(result.relative, np.array(expected) / result.start, rtol=1e-12)
    assert result.best == sizes[np.argmin(expected)]
    assert result.table["loss"].tolist() == result.losses.tolist()


@settings(max_examples=15)
@given(sizes=st.lists(st.floats(-1, 1), min_size=1, max_size=4), seed=st.integers(0, 100))
def test_the_order_of_the_steps_changes_nothing(sizes: list[float], seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4)).double()
    together = loss_along_gradient(model, BATCH, LABELS, step_sizes=sizes)
    apart = [loss_along_gradient(model, BATCH, LABELS, step_sizes=size).losses[0] for size in sizes]
    assert together.losses.tolist() == apart
    zero = loss_along_gradient(model, BATCH, LABELS, step_sizes=0.0)
    assert zero.losses[0] == zero.start == together.start


def test_the_slope_at_the_start_is_the_squared_gradient() -> None:
    result = loss_along_gradient(network(), BATCH, LABELS, step_sizes=[-1e-6, 1e-6])
    slope = (result.losses[1] - result.losses[0]) / 2e-6
    assert slope == pytest.approx(-(result.gradient_norm**2), rel=1e-6)


def test_a_step_that_diverges_is_a_number_like_others() -> None:
    result = loss_along_gradient(network("none").float(), BATCH.float(), LABELS, step_sizes=[0.01, 1e30])
    assert not math.isfinite(result.losses[1])
    assert result.best == 0.01


def test_parameters_that_are_not_trained_stay() -> None:
    model = network().requires_grad_(False)
    model[-1].bias.requires_grad_(True)
    assert list(gradient_step(model, BATCH, LABELS, step_size=0.1)) == ["head.bias"]


def test_a_gradient_step_is_minus_rate_times_gradient() -> None:
    model = network()
    update = gradient_step(model, BATCH, LABELS, step_size=0.25)
    expected = reference.weight_gradients(model, loss_of, BATCH)
    assert update.keys() == expected.keys()
    for name, change in update.items():
        torch.testing.assert_close(change, -0.25 * expected[name], rtol=1e-12, atol=1e-16)
        assert not change.requires_grad


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_replayed_update_has_the_moments_of_a_model_that_took_it(norm: str) -> None:
    model = network(norm)
    update = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    frame = replay_update(
        model, BATCH, update, layers=["head", "block*"] if norm == "none" else "head", fractions=[0, 0.25, 1]
    )
    for fraction in (0, 0.25, 1):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                parameter += fraction * update[name]
            outputs = moved(BATCH).numpy()
        rows = frame[(frame["fraction"] == fraction) & (frame["layer"] == "head")]
        assert rows["channel"].tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(rows["mean"], outputs.mean(0), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(rows["var"], outputs.var(0), rtol=1e-10)


def test_the_default_replays_tenths() -> None:
    frame = replay_update(network(), BATCH, {"head.bias": torch.ones(4)}, layers="head")
    assert frame["fraction"].unique().tolist() == [k / 10 for k in range(11)]
    means = frame.groupby("fraction")["mean"].mean()
    assert (means[1.0] - means[0.0]) == pytest.approx(1)


def poisoned() -> nn.Module:
    model = network()
    with torch.no_grad():
        model[-1].bias[0] = math.nan
    return model


def steps(model: nn.Module, labels: Tensor = LABELS, sizes: object = (0.1,)) -> object:
    return loss_along_gradient(model, BATCH, labels, step_sizes=sizes)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: steps(network(), sizes=[]), ValueError, "step_sizes must be one or more finite numbers"),
        (lambda: steps(network(), sizes=[math.nan]), ValueError, "step_sizes must be one or more finite numbers"),
        (lambda: steps(network(), sizes=[[1.0]]), ValueError, "step_sizes must be one or more finite numbers"),
        (lambda: steps(network(), sizes="large"), ValueError, "step_sizes must be one or more finite numbers"),
        (
            lambda: gradient_step(network(), BATCH, LABELS, step_size=math.inf),
            ValueError,
            "step_size must be finite, got inf",
        ),
        (lambda: steps(network(), LABELS + 1), ValueError, "label 4 is out of range"),
        (lambda: steps(poisoned()), ValueError, "the loss is nan at the start"),
        (lambda: steps(network().requires_grad_(False)), ValueError, "does not depend on any parameter"),
        (lambda: steps(nn.functional.relu), TypeError, "model must be a torch.nn.Module"),
        (lambda: replay_update(network(), BATCH, {}), ValueError, "the update is empty"),
        (
            lambda: replay_update(network(), BATCH, {"head.bas": torch.ones(4)}),
            ValueError,
            "'head.bas' in the update is no parameter.*did you mean 'head.bias'",
        ),
        (
            lambda: replay_update(network(), BATCH, {"head.bias": torch.ones(3)}),
            ValueError,
            r"'head.bias' has shape \(3,\), the parameter \(4,\)",
        ),
        (
            lambda: replay_update(network(), BATCH, {"head.bias": torch.ones(4)}, layers=["head", "haed"]),
            ValueError,
            "no layer matches 'haed'; there are head",
        ),
        (
            lambda: replay_update(network(), BATCH, {"head.bias": torch.ones(4)}, fractions=[]),
            ValueError,
            "fractions must be one or more",
        ),
        (
            lambda: replay_update(network(), BATCH, {"head.bias": torch.ones(4)}, layers=[]),
            ValueError,
            "no layers were named",
        ),
        (lambda: replay_update(network(), BATCH, {"head.bias": [1.0]}), TypeError, "must be a mapping from the names"),
        (lambda: replay_update(network(), BATCH, [torch.ones(4)]), TypeError, "must be a mapping from the names"),
        (lambda: replay_update(nn.functional.relu, BATCH, {}), TypeError, "model must be a torch.nn.Module"),
    ],
)
def test_refuses(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
