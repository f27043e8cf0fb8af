"""Every architecture of the zoo is traced, is bit-identical afterwards, and its numbers are those of a slow twin."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from fingerprint import fingerprint, output_bits
from normscope.tracing import Trace
from reference.stored import (
    GRADIENT_COLUMNS,
    StoredCall,
    called,
    channels,
    measured,
    samples_first,
    seeded,
    stored_calls,
)
from zoo.architectures import BATCH, CASES, Case

pytestmark = pytest.mark.parametrize("name", CASES)
each_mode = pytest.mark.parametrize("mode", ["train", "eval"])
with_and_without_loss = pytest.mark.parametrize("backward", [True, False], ids=["with loss", "forward only"])

# column -> relative and absolute tolerance, the latter in units of the largest value of the output
TOLERANCES = {
    "mean": (0, 1e-5),
    "std": (2e-4, 1e-6),
    "dead_fraction": (1e-12, 0),
    "finite": (0, 0),
    "grad_norm": (1e-4, 0),
    "grad_coherence": (1e-4, 1e-4),
    "grad_shared": (1e-4, 1e-4),
    "param_grad_norm": (1e-4, 0),
}

GEOMETRY: dict[str, Callable[[Tensor], Tensor]] = {
    "cos_mean": ns.measure.mean_cosine,
    "effective_rank": ns.measure.effective_rank,
    "stable_rank": ns.measure.stable_rank,
    "orthogonality_gap": ns.measure.orthogonality_gap,
    "isometry_gap": ns.measure.isometry_gap,
    "odd_index": lambda gram: ns.measure.odd_point(gram).index,
    "odd_cosine": lambda gram: ns.measure.odd_point(gram).cosine,
    "cluster_cosine": lambda gram: ns.measure.odd_point(gram).cluster_cosine,
    "odd_norm_ratio": lambda gram: ns.measure.odd_point(gram).norm_ratio,
    "odd_score": lambda gram: ns.measure.odd_point(gram).score,
}


def wrong_moments(row: dict[str, Any], call: StoredCall, case: Case) -> list[str]:
    """What a row of the table says otherwise than the stored activation and gradient."""
    expected = measured(call, BATCH, case.batch_dim)
    wrong = []
    for column, (relative, absolute) in TOLERANCES.items():
        if column in GRADIENT_COLUMNS and call.gradient is None:
            continue  # before the first trained parameter: a gradient that training does not compute
        there, right = float(row.get(column, math.nan)), float(expected.get(column, math.nan))
        unit = float(call.output.abs().max()) if column in ("mean", "std") and call.output.numel() else 1.0
        close = math.isclose(there, right, rel_tol=relative, abs_tol=absolute * unit)
        if not close and not (math.isnan(there) and math.isnan(right)):
            wrong.append(f"{column} {there} instead of {right}")
    return wrong


def wrong_geometry(trace: Trace, calls: list[StoredCall], case: Case) -> list[str]:
    """Gram matrices are those of the stored activations; the columns, those of the Gram matrices."""
    samples = [samples_first(call.output.double(), BATCH, case.batch_dim) for call in calls]
    having = [i for i, rows in enumerate(samples) if rows is not None]
    right = torch.stack([ns.measure.gram(samples[i]) for i in having])
    there = torch.stack([torch.from_numpy(trace.gram(calls[i].layer, calls[i].call)) for i in having])
    norms = right.diagonal(dim1=1, dim2=2).sqrt()
    far = ((there - right).abs() > 1e-6 * norms[:, :, None] * norms[:, None, :]).any(2).any(1)
    wrong = [f"gram of row {having[i]}: {there[i]} instead of {right[i]}" for i in far.nonzero().flatten()]
    for column, function in GEOMETRY.items():
        expected = np.full(len(calls), -1.0 if column == "odd_index" else np.nan)
        expected[having] = function(there).numpy()
        values = trace.table[column].to_numpy(float)
        far_off = np.flatnonzero(~np.isclose(values, expected, rtol=1e-6, atol=1e-9, equal_nan=True))
        wrong += [f"{column} of row {i}: {values[i]} instead of {expected[i]}" for i in far_off]
    return wrong


def wrong_channels(trace: Trace, calls: list[StoredCall], case: Case) -> list[str]:
    having = [call for call in calls if call.output.dim() > 0]
    there = [trace.channels(call.layer, call.call) for call in having]
    right = [channels(call, BATCH, case.batch_dim) for call in having]
    counts = [len(each) for each in there]
    if counts != (expected := [len(each["mean"]) for each in right]):
        return [f"numbers of channels {counts} instead of {expected}"]
    unit = np.repeat([float(call.output.abs().max()) for call in having], counts)
    wrong = []
    for name, relative, absolute in (("mean", 0.0, 1e-5), ("std", 2e-4, 1e-6), ("dead", 0.0, 0.0)):
        values = np.concatenate([each[name].to_numpy(float) for each in there])
        twins = np.concatenate([each[name].astype(float) for each in right])
        far_off = np.flatnonzero(~(np.abs(values - twins) <= relative * np.abs(twins) + absolute * unit))
        wrong += [f"{name} of channel {i} of all {values[i]} instead of {twins[i]}" for i in far_off]
    return wrong


def watched(
    case: Case,
    model: nn.Module,
    inputs: Any,
    backward: bool,
    capture: Literal["modules", "ops"] = "modules",
    measures: tuple[Any, ...] = ("moments", "geometry"),
) -> Trace:
    arguments = (case.targets, case.loss) if backward else ()
    return ns.trace(model, inputs, *arguments, batch_dim=case.batch_dim, seed=7, capture=capture, measures=measures)


def plain_forward(model: nn.Module, inputs: Any) -> list[object]:
    """Bits of what the model puts out, from given random numbers and with its own state as it is."""
    with seeded(11), torch.no_grad():
        return output_bits(called(model, inputs))


def plain_loss(case: Case, model: nn.Module, inputs: Any) -> float:
    """Of the unwatched model, bit for bit."""
    with seeded(7):
        return case.loss(called(copy.deepcopy(model), inputs), case.targets).item()


def changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def kernels_without_a_ratio(trace: Trace, case: Case, model: nn.Module, inputs: Any) -> set[str]:
    """Watched layers whose kernel has a gradient, but no call a ratio a / b from 1 on."""
    twin = copy.deepcopy(model)
    with seeded(7):
        case.loss(called(twin, copy.deepcopy(inputs)), case.targets).backward()
    kernels = {name: m.weight for name, m in twin.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)}
    grads = {name: weight.grad for name, weight in kernels.items() if weight.is_leaf}
    having = {name for name, gradient in grads.items() if gradient is not None and gradient.any()}
    table = trace.table
    return having & set(table["layer"]) - set(table.loc[table["kernel_gradient_ratio"] >= 1, "layer"])


@each_mode
@with_and_without_loss
def test_it_is_unchanged_afterwards(name: str, mode: str, backward: bool) -> None:
    case = CASES[name]
    model, inputs = case.model().train(mode == "train"), case.inputs()
    twin, before, given = copy.deepcopy(model), fingerprint(model), output_bits(inputs)
    measures = ("moments", "geometry", *(("kernel_gradients", "output_gradients") if backward else ()))
    trace = watched(case, model, inputs, backward, measures=measures)
    assert len(trace.table) > 0
    if backward:
        assert kernels_without_a_ratio(trace, case, twin, inputs) == set()
    assert changed(before, fingerprint(model)) == set()
    assert output_bits(inputs) == given
    assert plain_forward(model, inputs) == plain_forward(twin, inputs)


@each_mode
def test_it_is_unchanged_when_interrupted(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the forward, with every tensor copied when an operation writes into it, not before."""
    monkeypatch.setattr("normscope.tracing.preserve.COPIED_AT_ONCE", -1)
    case = CASES[name]
    model, inputs = case.model().train(mode == "train"), case.inputs()
    outputs_left = itertools.count(len(list(model.modules())) // 2, -1)

    def interrupt(*_: object) -> None:
        if next(outputs_left) == 0:
            raise KeyboardInterrupt

    for module in model.modules():
        module.register_forward_hook(interrupt)
    before = fingerprint(model)
    with pytest.raises(KeyboardInterrupt):
        watched(case, model, inputs, backward=True)
    assert changed(before, fingerprint(model)) == set()


@each_mode
@with_and_without_loss
def test_its_numbers_are_those_of_stored_activations(name: str, mode: str, backward: bool) -> None:
    case = CASES[name]
    model, inputs = case.model().train(mode == "train"), case.inputs()
    trace = watched(case, model, inputs, backward)
    calls, loss = stored_calls(model, inputs, case.targets, case.loss if backward else None, seed=7)
    if backward:
        assert trace.loss == plain_loss(case, model, inputs)
        assert trace.loss == pytest.approx(loss, rel=1e-6)  # the twin's clones lie elsewhere in memory: one rounding
    assert set(trace.table) & set(GRADIENT_COLUMNS) == (set(GRADIENT_COLUMNS) if backward else set())
    rows = trace.table.to_dict("records")
    assert [(row["layer"], row["kind"], row["call"], row["shape"]) for row in rows] == [
        (call.layer, call.kind, call.call, tuple(call.output.shape)) for call in calls
    ]
    wrong = [
        f"{call.layer} call {call.call}: {message}"
        for row, call in zip(rows, calls, strict=True)
        for message in wrong_moments(row, call, case)
    ]
    assert wrong + wrong_channels(trace, calls, case) + wrong_geometry(trace, calls, case) == []


def test_operations_are_seen_beside_modules(name: str) -> None:
    """What a module puts out is there too when operations are watched, as its own or its last operation's row."""
    case = CASES[name]
    model, inputs = case.model().train(), case.inputs()
    before = fingerprint(model)
    modules = watched(case, model, inputs, backward=True)
    operations = watched(case, model, inputs, backward=True, capture="ops")
    assert changed(before, fingerprint(model)) == set()
    assert operations.loss == modules.loss
    unmeasured = ns.trace(model, inputs, batch_dim=case.batch_dim, seed=7, capture="ops", measures=())
    assert operations.table["layer"].tolist() == unmeasured.table["layer"].tolist()  # no row is of the measuring
    there: dict[str, list[list[float]]] = {}
    for layer, numbers in named_numbers(operations):
        for owner in {layer, layer.rpartition(".")[0] or operations.model}:
            there.setdefault(owner, []).append(numbers)
    missing = [
        (layer, numbers, there.get(layer))
        for layer, numbers in named_numbers(modules)
        if not any(np.allclose(numbers, other, rtol=1e-6, atol=1e-9, equal_nan=True) for other in there.get(layer, []))
    ]
    assert missing == []


def named_numbers(trace: Trace) -> list[tuple[str, list[float]]]:
    """Layer, number of its channels, and some of the columns."""
    columns = ["mean", "std", "dead_fraction", "cos_mean", "grad_norm"]
    rows = trace.table[["layer", "call", "shape", *columns]].itertuples(index=False)
    return [
        (layer, [len(trace.channels(layer, call)) if math.prod(shape) and shape else 0, *numbers])
        for layer, call, shape, *numbers in rows
    ]
