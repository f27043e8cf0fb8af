"""The page of a trace as text: small enough, self-contained, escaped, exact."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from normscope.report import render_trace
from normscope.report.inspection.payload import shown_samples, trace_payload
from normscope.tracing import Trace

Made = Callable[..., Trace]


def test_a_thousand_layers_of_two_networks_weigh_less_than_ten_megabytes(made: Made) -> None:
    text = render_trace([made(layers=1000, batch=80, channels=80, seed=seed) for seed in (0, 1)])
    assert len(text.encode()) < 10e6


def test_the_payload_holds_the_traces_numbers(made: Made) -> None:
    trace = made()
    (network,) = trace_payload([trace], ["made"])["networks"]
    np.testing.assert_allclose(network["values"]["std"], trace.table["std"], rtol=1e-3)
    assert network["values"]["isometry_gap"] == ["∞"] * 12
    held = np.frombuffer(base64.b64decode(network["channels"][3]["curves"]), dtype="<f4")
    np.testing.assert_allclose(held[:6], np.sort(trace.channels("blocks.1.conv")["mean"]), rtol=1e-6)
    np.testing.assert_allclose(held[6:], np.sort(trace.channels("blocks.1.conv")["std"]), rtol=1e-6)


def test_a_gradient_that_broke_is_told_apart_from_one_that_was_not_measured(made: Made) -> None:
    trace = made(layers=4, grad_norm=[np.nan, np.nan, np.inf, 1.0], grad_finite=[True, False, False, True])
    longer = made(layers=5)
    network, _ = trace_payload([trace, longer], ["short", "long"])["networks"]
    assert network["values"]["grad_norm"] == [None, "NaN", "∞", 1.0, None]
    assert "grad_finite" not in network["values"]
    assert network["why"][1:3] == ["gradient", "gradient"]
    assert 'data-chart="grad_finite"' not in render_trace(trace)


def test_a_mean_that_is_rounding_is_naught(made: Made) -> None:
    (network,) = trace_payload([made(layers=3, mean=[1e-8, 0.0, 0.5])], ["made"])["networks"]
    assert network["values"]["mean"] == ["~0", 0.0, 0.5]


def test_what_is_expected_of_a_ratio_is_named_where_it_was_measured(made: Made) -> None:
    told = "Dashed: √T of independent terms."
    assert told in render_trace(made(kernel_gradient_ratio=5.0, kernel_sqrt_terms=28.0))
    assert told not in render_trace(made(kernel_gradient_ratio=5.0))


def test_layers_that_only_one_has_have_rows_of_their_own(made: Made) -> None:
    short, long = made(layers=4), made(layers=6)
    payload = trace_payload([short, long], ["a", "b"])
    assert payload["layers"][4:] == ["blocks.1.norm", "blocks.1.act"]
    assert [network["positions"] for network in payload["networks"]] == [[0, 1, 2, 3, -1, -1], [0, 1, 2, 3, 4, 5]]
    assert payload["networks"][0]["values"]["std"][4:] == [None, None]
    assert payload["networks"][0]["slots"][4:] == [-1, -1]


def test_of_a_large_batch_a_choice_with_the_odd_sample_is_shown(made: Made) -> None:
    trace = made(batch=300, odd_index=123)
    shown = shown_samples(trace, calls=12)
    assert len(shown) <= 64
    assert 123 in shown
    assert shown_samples(made(), calls=12) == list(range(16))
    assert len(shown_samples(trace, calls=20_000)) < 30


def test_a_layer_without_gram_and_channels_is_shown(made: Made) -> None:
    trace = dataclasses.replace(made(), _grams={}, _channels={})
    (network,) = trace_payload([trace], ["made"])["networks"]
    assert set(network["slots"]) == {-1}
    assert set(network["channels"]) == {None}
    assert "<!doctype html>" in render_trace(trace)


def test_a_measure_of_the_users_has_a_chart(made: Made) -> None:
    text = render_trace(made(sparsity=0.25))
    assert 'data-chart="sparsity"' in text
    assert 'data-chart="grad_norm"' in text
    bare = made()
    without = dataclasses.replace(bare, table=bare.table.drop(columns=["grad_norm", "grad_coherence"]))
    assert 'data-chart="grad_norm"' not in render_trace(without)


def test_everything_is_escaped(made: Made) -> None:
    from plotly.offline import get_plotlyjs

    hostile = "</script><img src=x onerror=alert(1)>"
    trace = made()
    changed = dataclasses.replace(
        trace, table=trace.table.assign(layer=hostile + trace.table["layer"], kind=hostile), model=hostile,
        notes=(hostile,), _grams={}, _channels={},
    )  # fmt: skip
    text = render_trace([changed, changed], hostile, hostile, names=[hostile, "b"], data=hostile)
    text = text.replace(get_plotlyjs(), "")
    assert "<img" not in text
    assert text.count("</script>") == 3
    payload = re.search(r'<script type="application/json" id="payload">(.*?)</script>', text, re.DOTALL)
    assert payload is not None
    assert json.loads(payload[1])["kinds"][0] == hostile
    assert "default-src 'none'" in text


def test_title_and_names(made: Made) -> None:
    assert "<h1>Inside Made</h1>" in render_trace(made())
    assert "<h1>Inside Made 1 beside Made 2</h1>" in render_trace([made(), made()])
    assert "<h1>Mine</h1>" in render_trace(made(), "Mine")
    assert "<code>" not in render_trace(made())


def test_what_cannot_be_shown_is_told(made: Made) -> None:
    with pytest.raises(ValueError, match="one trace or two, not 3"):
        render_trace([made()] * 3)
    with pytest.raises(ValueError, match="one trace or two, not 0"):
        render_trace([])
    with pytest.raises(ValueError, match="1 names for 2 traces"):
        render_trace([made(), made()], names=["a"])
    with pytest.raises(ValueError, match="without layers"):
        render_trace(made(layers=1).__class__(made().table[:0], "Empty", 4, True))
