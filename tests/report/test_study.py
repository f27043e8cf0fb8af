"""The main job: what runs, and what it finds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import normscope as ns
from normscope.report import Settings, Study, numbers, run_study, summarize
from normscope.report.summary import expectations


def test_every_model_and_norm_runs_on_the_same_batch(study: Study) -> None:
    assert [(run.model, run.norm) for run in study.runs] == [
        (model, norm) for model in ("mlp", "resnet") for norm in ("batch", "recenter", "rescale", "none")
    ]
    assert {run.trace.batch for run in study.runs} == {12}
    assert study.labels.tolist() == sorted(study.labels.tolist())
    first = [run.trace.gram("blocks.0.activation") for run in study.runs[:4]]
    # the same weights and batch: without and with recentering the first pre-activations differ by their mean alone
    assert len({gram.tobytes() for gram in first}) == 4


def test_depths_count_layers(study: Study) -> None:
    depths = {run.model: run.depths for run in study.runs}
    assert depths == {"mlp": [1, 2, 3, 4, 5, 6], "resnet": [1, 3, 5, 7]}


def test_same_seed_same_numbers() -> None:
    settings = Settings(seed=3, batch=8, depth=3, width=8, models=("mlp",))
    state = torch.get_rng_state()
    one, two = numbers(run_study(settings)), numbers(run_study(settings))
    other = numbers(run_study(dataclasses.replace(settings, seed=4)))
    assert one == two
    assert one["summaries"] != other["summaries"]
    assert torch.equal(torch.get_rng_state(), state)


def test_progress_ends_at_its_total() -> None:
    seen: list[tuple[float, float, str]] = []
    settings = Settings(batch=8, depth=5, width=8, resnet_depth=8, norms=("batch", "none"))
    run_study(settings, lambda *update: seen.append(update))
    done, total, _ = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert set(total) == {total[0]}
    assert done[-1] == pytest.approx(total[0])
    assert {what for *_, what in seen} == {f"{m}, norm {n}" for m in ("mlp", "resnet") for n in ("batch", "none")}


def test_what_the_parts_do_to_a_deep_plain_network(deep: Study) -> None:
    """The phenomena that the page shows, within what finite width allows (fixed before it was run).

    Recenter only: one odd point, orthogonal (|cos| < 0.1) to a tight cluster (> 0.8). Batch norm: Yang's cosine and
    gradient growth, each within 10 % of the excess over its trivial value. No norm: collapse.
    """
    of = {run.norm: summarize(run) for run in deep.runs}
    expected = {(e.norm, e.quantity): e.value for e in expectations("mlp", 32)}
    assert of["recenter"].shape == "odd point"
    assert abs(of["recenter"].odd_cosine) < 0.1
    assert of["recenter"].cluster_cosine > 0.8
    assert of["none"].shape == "collapsed"
    assert of["batch"].shape == of["rescale"].shape == "spread"
    assert of["batch"].cos_mean == pytest.approx(expected["batch", "cos_mean"], rel=0.1)
    growth = expected["batch", "gradient_growth"]
    assert of["batch"].gradient_growth - 1 == pytest.approx(growth - 1, rel=0.1)


def test_summary_against_hand_made_traces(study: Study) -> None:
    """Rates and medians of a trace whose columns are set by hand."""
    run = study.runs[0]
    depths = list(range(1, 41))
    table = run.trace.table.iloc[[0] * 40].reset_index(drop=True)
    table["mean"], table["std"] = 0.0, [0.5**d for d in depths]
    table["grad_norm"] = [3.0 ** (40 - d) for d in depths]
    table["odd_score"] = [0.0] * 10 + [0.9] + [0.1] + [0.8] * 28
    table["odd_index"] = [7] * 40
    table["cos_mean"] = [0.1] * 36 + [0.2, 0.3, 0.4, 0.5]
    made = dataclasses.replace(run, trace=dataclasses.replace(run.trace, table=table), depths=depths)
    summary = summarize(made)
    assert summary.scale_growth == pytest.approx(0.5)
    assert summary.gradient_growth == pytest.approx(9.0)
    assert summary.gradient_ratio == pytest.approx(3.0**39)
    assert (summary.shape, summary.odd_index, summary.odd_from) == ("odd point", 7, 13)
    assert summary.cos_mean == pytest.approx(0.35)


def test_numbers_are_plain_and_complete(study: Study) -> None:
    plain = numbers(study)
    assert plain["settings"]["depth"] == 6
    assert len(plain["summaries"]) == 8
    assert len(plain["layers"]) == 4 * 6 + 4 * 4
    assert {e["norm"] for e in plain["expected"]} == {"batch", "recenter", "none"}
    floats = [v for row in (*plain["layers"], *plain["summaries"]) for v in row.values() if isinstance(v, float)]
    assert all(math.isfinite(value) for value in floats)


def test_the_batch_is_measured_not_the_padding(study: Study) -> None:
    """The first activation of the MLP, recomputed from the batch and the weights."""
    model = ns.models.mlp(64, 24, 6, 10, norm="none", init="he", seed=1)
    weight = next(model.parameters()).detach().double()
    activation = torch.relu(study.images.reshape(12, -1).double() @ weight.T)
    run = next(run for run in study.runs if (run.model, run.norm) == ("mlp", "none"))
    np.testing.assert_allclose(run.trace.gram("blocks.0.activation"), activation @ activation.T / 24, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 1}, "--batch 1: a batch has at least 4 samples"),
        ({"batch": 5000}, "--batch 5000: there are 1797 digits"),
        ({"depth": 0}, "--depth 0: a network has at least 1 hidden layer"),
        ({"width": 0}, "--width 0"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 2**32}, "a seed has 32 bits"),
        ({"resnet_depth": 55}, r"--resnet-depth 55: must be 6 m \+ 2"),
        ({"models": ("mpl",)}, "--model mpl: not known; choose from mlp, resnet"),
        ({"norms": ("bach",)}, "--norm bach: not known; choose from batch, recenter, rescale, none"),
        ({"norms": ("batch", "batch")}, "each once"),
    ],
)
def test_bad_settings_say_which(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**options)


def test_there_are_as_many_digits_as_the_settings_say() -> None:
    inputs, _ = ns.data.digits()
    Settings(batch=len(inputs))
    with pytest.raises(ValueError, match="there are"):
        Settings(batch=len(inputs) + 1)
