"""What the page's script is given."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np
import pytest
import torch

from normscope.report import Settings, Study, run_study, summarize
from normscope.report.study import payload


def unpack(packed: str, stops: int, samples: int) -> np.ndarray:
    raw = np.frombuffer(base64.b64decode(packed), dtype=np.int8).reshape(stops, -1)
    matrices = np.empty((stops, samples, samples))
    rows, columns = np.triu_indices(samples, 1)
    matrices[:, rows, columns] = matrices[:, columns, rows] = np.where(raw == -128, np.nan, raw / 127)
    matrices[:, range(samples), range(samples)] = 1
    return matrices


def test_cosines_survive_packing(study: Study) -> None:
    run = study.runs[0]
    matrices = unpack(payload.run_cosines(run, [0, 5], range(12)), 2, 12)
    gram = run.trace.gram("blocks.5.activation")
    norms = np.sqrt(np.diagonal(gram))
    np.testing.assert_allclose(matrices[1], gram / np.outer(norms, norms), atol=0.5 / 127 + 1e-9)


def test_undefined_cosines_are_marked(study: Study) -> None:
    run = study.runs[0]
    grams = {key: gram.copy() for key, gram in run.trace._grams.items()}
    grams["blocks.0.activation", 0][3, :] = grams["blocks.0.activation", 0][:, 3] = 0
    changed = dataclasses.replace(run, trace=dataclasses.replace(run.trace, _grams=grams))
    matrix = unpack(payload.run_cosines(changed, [0], range(12)), 1, 12)[0]
    assert np.isnan(np.delete(matrix[3], 3)).all()
    assert np.isfinite(np.delete(np.delete(matrix, 3, 0), 3, 1)).all()


@pytest.mark.parametrize("layers", [1, 2, 71, 72, 73, 100, 300, 5000])
def test_slider_stops_rise_from_the_first_to_the_last_layer(layers: int) -> None:
    stops = payload.slider_stops(layers)
    assert (stops[0], stops[-1]) == (0, layers - 1)
    assert stops == sorted(set(stops))
    assert len(stops) <= 72


def test_of_a_large_batch_a_choice_with_the_odd_points_is_shown() -> None:
    large = run_study(Settings(batch=200, depth=3, width=8, models=("mlp",)))
    shown = payload.shown_samples(large)
    assert len(shown) <= 64
    assert shown == sorted(set(shown))
    odd = [17, 33, 34, 35, 36, 37]
    last = large.runs[1].groupings[-1]._replace(odd=tuple(odd))
    changed = dataclasses.replace(large.runs[1], groupings=[*large.runs[1].groupings[:-1], last])
    shown = payload.shown_samples(dataclasses.replace(large, runs=[large.runs[0], changed]))
    assert set(odd[:4]) <= set(shown)
    assert len(shown) <= 64


def test_lines_are_the_traces_columns(study: Study) -> None:
    runs = [run for run in study.runs if run.model == "mlp"]
    drawn = payload.section_payload("mlp", runs, [], range(12))
    chart = next(chart for chart in drawn["charts"] if chart["key"] == "cos_mean")
    np.testing.assert_allclose(chart["lines"]["none"], runs[3].trace.table["cos_mean"], rtol=1e-3)


def test_the_label_under_a_map_follows_the_rule_of_the_captions(deep: Study) -> None:
    drawn = payload.section_payload("mlp", deep.runs, [], range(12))
    for run in deep.runs:
        assert drawn["odd"][run.norm][-1] == summarize(run).odd
    assert len(drawn["odd"]["recenter"][-1]) == 1
    assert drawn["odd"]["recenter"][0] == ()


def test_digits_are_drawn_from_light_to_dark(study: Study) -> None:
    drawn = payload.samples_payload(study, range(12))
    pixels = np.frombuffer(base64.b64decode(drawn["images"]), dtype=np.uint8).reshape(12, 64)
    assert (pixels.min(), pixels.max()) == (0, 255)
    order = torch.argsort(study.images[0].flatten(), stable=True)
    assert (np.diff(pixels[0][order.numpy()].astype(int)) >= 0).all()
