"""The main job: what runs, and what it finds."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

import normscope as ns
from normscope.report import Run, SettingError, Settings, Study, numbers, run_study, summarize
from normscope.report.grouping import Grouping
from normscope.report.study import run as study_module
from normscope.report.study.summary import expectations


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


def test_progress_says_all_is_done() -> None:
    """Exactly, at the end of each network: a bar that ends at 99.99 % looks broken."""
    seen: list[tuple[float, float, str]] = []
    settings = Settings(batch=7, depth=50, width=10, models=("mlp",), norms=("batch",))  # rounding adds up
    run_study(settings, lambda *update: seen.append(update))
    assert seen[-1][0] == seen[-1][1]


def test_what_the_parts_do_to_a_deep_plain_network(deep: Study) -> None:
    """The phenomena that the page shows, within what finite width allows (fixed before it was run).

    Recenter only: one odd point, orthogonal (|cos| < 0.1) to a tight cluster (> 0.8). Batch norm: Yang's cosine and
    gradient growth, each within 10 % of the excess over its trivial value. No norm: collapse.
    """
    of = {run.norm: summarize(run) for run in deep.runs}
    expected = {(e.norm, e.quantity): e.value for s in of.values() for e in expectations(s, 32)}
    assert of["recenter"].shape == "odd point"
    assert abs(of["recenter"].odd_cosine) < 0.1
    assert of["recenter"].cluster_cosine > 0.8
    assert of["none"].shape == "collapsed"
    assert of["batch"].shape == of["rescale"].shape == "as far apart"
    assert of["batch"].cos_mean == pytest.approx(expected["batch", "cos_mean"], rel=0.1)
    growth = expected["batch", "gradient_growth"]
    assert of["batch"].gradient_growth - 1 == pytest.approx(growth - 1, rel=0.1)


def by_hand(study: Study, cos_mean: list[float], groupings: list[Grouping]) -> Run:
    """A run of the MLP whose cosines and groupings are set by hand."""
    run, depths = study.runs[0], list(range(1, len(cos_mean) + 1))
    table = run.trace.table.iloc[[0] * len(depths)].reset_index(drop=True)
    table["cos_mean"] = cos_mean
    return dataclasses.replace(
        run, trace=dataclasses.replace(run.trace, table=table), depths=depths, groupings=groupings
    )


def group(*odd: int, directions: int = 12) -> Grouping:
    return Grouping(odd, directions, 0.0 if odd else math.nan, 0.9)


def test_summary_against_hand_made_traces(study: Study) -> None:
    """Rates and the last layer of a trace whose columns are set by hand."""
    groupings = [*[group()] * 10, group(7), group(), group(7, 2), *[group(7)] * 27]
    made = by_hand(study, [0.1] * 36 + [0.2, 0.3, 0.4, 0.5], groupings)
    table, depths = made.trace.table, made.depths
    table["mean"], table["std"] = 0.0, [0.5**d for d in depths]
    table["grad_norm"] = [3.0 ** (40 - d) for d in depths]
    summary = summarize(made)
    assert summary.scale_growth == pytest.approx(0.5)
    assert summary.gradient_growth == pytest.approx(9.0)
    assert summary.gradient_ratio == pytest.approx(3.0**39)
    assert (summary.shape, summary.odd, summary.odd_from) == ("odd point", (7,), 14)
    assert (summary.cos_start, summary.cos_mean, summary.depth) == (0.1, 0.5, 40)


@pytest.mark.parametrize(
    ("start", "end", "found", "shape"),
    [
        (0.3, 0.32, group(), "as far apart"),
        (0.3, 0.39, group(), "as far apart"),
        (0.3, 0.41, group(), "drawn together"),
        (0.3, 0.87, group(), "drawn together"),
        (0.3, 0.94, group(), "drawn together"),
        (0.3, 0.96, group(), "collapsed"),
        (0.97, 0.96, group(), "collapsed"),
        (0.7, 0.61, group(), "as far apart"),
        (0.7, 0.59, group(), "moved apart"),
        (math.nan, 0.59, group(), "as far apart"),
        (0.3, 0.87, group(4), "odd point"),
        (0.3, 0.97, group(4), "odd point"),
        (0.3, 0.87, group(4, 5), "odd points"),
        (0.3, math.nan, group(directions=0), "no direction"),
        (0.3, math.nan, group(directions=1), "no direction"),
        (0.3, 1.0, group(directions=2), "collapsed"),
    ],
)
def test_shapes_and_those_between(study: Study, start: float, end: float, found: Grouping, shape: str) -> None:
    assert summarize(by_hand(study, [start, 0.2, end], [group(9), group(), found])).shape == shape


@pytest.mark.parametrize(
    ("norm", "depth", "odd", "batch", "quantities"),
    [
        ("batch", 9, (), 64, set()),
        ("batch", 10, (), 64, {"cos_mean", "gradient_growth"}),
        ("none", 99, (), 64, set()),
        ("none", 100, (), 64, {"cos_mean"}),
        ("rescale", 1000, (), 64, set()),
        ("recenter", 99, (3,), 64, set()),
        ("recenter", 100, (3,), 64, {"cos_mean", "cluster_cosine", "odd_cosine", "odd_norm_ratio"}),
        ("recenter", 100, (3, 4), 64, {"cos_mean", "cluster_cosine", "odd_cosine", "odd_norm_ratio"}),
        ("recenter", 1000, (), 64, set()),  # at the other fixed point, or on its way
        ("recenter", 1000, (3,), 6, set()),  # no odd point is stable
    ],
)
def test_theory_is_shown_where_it_holds(
    study: Study, norm: str, depth: int, odd: tuple[int, ...], batch: int, quantities: set[str]
) -> None:
    summary = dataclasses.replace(summarize(study.runs[0]), norm=norm, depth=depth, odd=odd)
    assert {e.quantity for e in expectations(summary, batch)} == quantities
    assert expectations(dataclasses.replace(summary, model="resnet"), batch) == []


def test_channels_of_a_resnet_110_are_those_of_its_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """ln of the mean over channels of the standard deviation, of layers counted as in the paper; a small one here."""
    monkeypatch.setattr(study_module, "_PUBLISHED_DEPTH", 8)
    monkeypatch.setattr(ns.theory, "CHANNEL_STD_LAYERS", (1, 4, 8))
    run = run_study(Settings(batch=4, resnet_depth=8, models=("resnet",), norms=("batch",))).runs[0]
    network = ns.models.cifar_resnet(8, "batch", "B", seed=0)
    digits = ns.data.digits(32, 3, count=4, seed=0).inputs
    trace = ns.trace(network, digits, layers=["stem.conv", "stage2.0.conv1", "head"])
    expected = [float(np.log(trace.channels(name)["std"].mean())) for name in trace.table["layer"]]
    np.testing.assert_allclose(run.ln_channel_std, expected, rtol=1e-4)


def test_other_networks_have_no_channels_to_compare(study: Study) -> None:
    assert {run.ln_channel_std for run in study.runs} == {()}


def test_numbers_are_plain_and_complete(study: Study) -> None:
    plain = numbers(study)
    assert plain["settings"]["depth"] == 6
    assert len(plain["summaries"]) == 8
    assert len(plain["layers"]) == 4 * 6 + 4 * 4
    assert plain["expected"] == []  # six layers are not deep
    floats = [v for row in (*plain["layers"], *plain["summaries"]) for v in row.values() if isinstance(v, float)]
    assert all(math.isfinite(value) for value in floats)
    assert json.loads(json.dumps(plain, allow_nan=False))["summaries"][0]["odd"] == []


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
        ({"batch": 1}, "^batch 1: a batch has at least 4 samples"),
        ({"batch": 5000}, "^batch 5000: there are 1797 digits"),
        ({"depth": 0}, "^depth 0: a network has at least 1 hidden layer"),
        ({"width": 0}, "^width 0"),
        ({"seed": -1}, "^seed -1"),
        ({"seed": 2**32}, "a seed has 32 bits"),
        ({"resnet_depth": 55}, r"^resnet_depth 55: must be 6 m \+ 2"),
        ({"models": ("mpl",)}, "^models mpl: not known; choose from mlp, resnet"),
        ({"norms": ("bach",)}, "^norms bach: not known; choose from batch, recenter, rescale, none"),
        ({"norms": ("batch", "none", "batch")}, "^norms batch: named twice"),
        ({"models": ()}, "^models must hold at least one of mlp, resnet"),
    ],
)
def test_bad_settings_say_which(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        Settings(**options)
    assert isinstance(caught.value, ValueError)
    assert caught.value.name in options


def test_there_are_as_many_digits_as_the_settings_say() -> None:
    inputs, _ = ns.data.digits()
    Settings(batch=len(inputs))
    with pytest.raises(ValueError, match="there are"):
        Settings(batch=len(inputs) + 1)
