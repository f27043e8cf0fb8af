"""What stands out, the ranking of layers, and the table of a terminal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from normscope.report import InspectionError, standouts, trouble
from normscope.report.inspection.layer_table import layer_table
from normscope.report.inspection.words import words
from normscope.report.writing import elide, form, short_path, sparkline
from normscope.tracing import Trace

Made = Callable[..., Trace]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.0, "number", "0"), (1.0, "number", "1.00"), (63.42, "number", "63.4"), (1234.5, "number", "1234"),
        (12345.0, "number", "1.2e4"), (-1e-7, "number", "-1.0e-7"), (math.nan, "number", "–"),
        (math.inf, "number", "∞"), (-math.inf, "number", "−∞"), (0.126, "percent", "13%"), (-0.001, "cosine", "0.00"),
        (0.98, "cosine", "0.98"), (17.0, "index", "17"), (-1.0, "index", "–"), (1e300, "number", "1.0e300"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float, kind: str, text: str) -> None:
    assert form(value, kind) == text
    assert len(text) <= 8


@given(st.text(max_size=40), st.integers(0, 40))
def test_elided_text_fits_and_keeps_its_ends(text: str, width: int) -> None:
    short = elide(text, width)
    assert cell_len(short) <= width
    if cell_len(text) <= width:
        assert short == text


def test_the_middle_of_a_name_is_left_out() -> None:
    assert elide("backbone.stage1.block7.conv2", 15) == "backbon…7.conv2"
    assert cell_len(elide("層層層層層層層層", 7)) <= 7


def test_a_path_is_shortened_from_the_left_and_keeps_its_numbers() -> None:
    name = "resnet.encoder.stages.0.layers.11.layer.2.convolution"
    assert short_path(name, 80) == name
    assert short_path(name, 48) == "r.encoder.stages.0.layers.11.layer.2.convolution"
    assert short_path(name, 28) == "r.e.s.0.l.11.l.2.convolution"
    assert short_path(name, 20) == "r.e.s.0.l…onvolution"
    assert short_path("a..b", 3) == "a…b"


@given(st.text(max_size=40), st.integers(0, 40))
def test_a_shortened_path_fits(text: str, width: int) -> None:
    assert cell_len(short_path(text, width)) <= width


def test_layers_of_a_deep_path_are_told_apart(made: Made) -> None:
    names = [f"resnet.encoder.stages.{i // 4}.layers.{i % 4}.layer.{j}.convolution" for i in range(6) for j in range(3)]
    lines = layer_table([made(layers=18, layer=names)], 100)
    assert len({line.split()[0] for line in lines[1:19]}) == 18
    assert max(map(cell_len, lines)) <= 100


def test_a_line_through_depth_rises_where_the_values_do() -> None:
    assert sparkline(np.arange(8.0), 8, logarithmic=False) == "▁▂▃▄▅▆▇█"
    assert sparkline(10.0 ** np.arange(8), 8, logarithmic=True) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.ones(3), 8, logarithmic=False) == "▄▄▄"
    assert sparkline(np.array([0.0, np.nan, 1.0]), 8, logarithmic=False) == "▁ █"
    assert sparkline(np.full(2, np.nan), 8, logarithmic=True) == "  "
    assert sparkline(np.repeat([1.0, 2.0], 500), 2, logarithmic=False) == "▁█"


def test_nothing_stands_out_of_a_calm_network(made: Made) -> None:
    assert standouts(made()) == [
        "Nothing stands out: every output is finite, no channel is dead, at the end the samples' mean cosine is 0.29, "
        "sizes differ by less than 3 decades."
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"finite": [True] * 5 + [False] * 7}, "NaN or infinity appears first in the output of layer blocks.1.act."),
        ({"dead_fraction": [0.0] * 7 + [0.75] + [0.0] * 4},
         "More than half of the channels are dead in one layer call: blocks.2.norm (75%)."),
        ({"dead_fraction": 0.9}, "dead in 12 of 12 layer calls, most in blocks.0.conv (90%)."),
        ({"cos_mean": [0.3] * 11 + [0.97]},
         "All samples end up in nearly one direction: mean cosine 0.97 in blocks.3.act, 0.30 in blocks.0.conv."),
        ({"effective_rank": 1.5}, "At the end, in blocks.3.act, the samples use 1.50 of 16 directions"),
        ({"std": 10.0 ** np.arange(12)}, "in blocks.0.conv and 1.0·10¹¹ in blocks.3.act."),
        ({"grad_norm": 10.0 ** -np.arange(12.0)},
         "Sizes of gradients differ by 11.0 decades through depth: norm 1.00 in blocks.0.conv and 1.0·10⁻¹¹"),
        ({"grad_norm": 0.0}, "The gradient is exactly zero in 12 of 12 layer calls."),
        ({"grad_norm": [math.inf] * 4 + [1.0] * 8},
         "On the way back the gradient is first infinite at layer blocks.1.conv."),
        ({"grad_norm": [math.nan] * 4 + [1.0] * 8, "grad_finite": [True] * 2 + [False] * 2 + [True] * 8},
         "On the way back the gradient is first NaN at layer blocks.1.conv."),
        ({"grad_norm": [math.nan] * 12, "grad_finite": False},
         "On the way back the gradient is first NaN at layer blocks.3.act."),
        ({"grad_norm": 1.0, "grad_finite": [True] * 5 + [False] + [True] * 6},
         "On the way back the gradient is first not finite at layer blocks.1.act."),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_stands_out_is_told(made: Made, columns: dict[str, object], sentence: str) -> None:
    told = standouts(made(**columns))
    assert any(sentence in line for line in told), told
    assert not told[0].startswith("Nothing")


@pytest.mark.parametrize(
    ("apart", "who"), [([3], "sample 3 has cosine 0.00"), ([3, 9], "samples 3 and 9 have cosine 0.00")]
)
def test_samples_apart_at_the_end_are_told(made: Made, apart: list[int], who: str) -> None:
    trace = made()
    points = np.zeros((16, 4))
    points[:, 0] = 1.0
    points[apart] = np.eye(4)[1 : 1 + len(apart)]
    changed = dataclasses.replace(trace, _grams={**trace._grams, ("blocks.3.act", 0): points @ points.T})
    told = standouts(changed)
    assert any(f"{who} to the others, which have 1.00 among themselves." in line for line in told), told


def test_few_directions_are_few_of_those_that_there_are(made: Made) -> None:
    classes = made(batch=64, effective_rank=4.0, shape=[(64, 10)] * 12)
    assert not any("directions" in line for line in standouts(classes))


def test_a_loss_that_is_not_finite_is_told(made: Made) -> None:
    assert standouts(dataclasses.replace(made(), loss=math.nan))[0].startswith("The loss is NaN")
    assert standouts(dataclasses.replace(made(), loss=math.inf))[0].startswith("The loss is ∞")


def test_calls_of_one_layer_are_told_apart(made: Made) -> None:
    trace = made(layer="shared", call=list(range(12)), finite=[True] * 3 + [False] * 9)
    assert standouts(trace)[0] == "NaN or infinity appears first in the output of layer shared (call 3)."


@pytest.mark.parametrize(
    ("columns", "row", "why", "value"),
    [
        ({"finite": [True] * 3 + [False] + [True] * 8}, 3, "not finite", 1.0),
        ({"dead_fraction": [0.0] * 4 + [0.7] + [0.0] * 7}, 4, "dead", 0.7),
        ({"cos_mean": [0.1] * 5 + [0.6] + [0.1] * 6}, 5, "alike", 0.6),
        ({"odd_score": [0.0] * 6 + [0.8] + [0.0] * 5}, 6, "odd", 0.8),
        ({"mean": 0.0, "std": [1.0] * 7 + [1e-5] + [1.0] * 4}, 7, "size", 0.5),
        ({"grad_norm": [1.0] * 8 + [1e20] + [1.0] * 3}, 8, "gradient", 1.0),
        ({"grad_norm": [1.0] * 8 + [0.0] + [1.0] * 3}, 8, "gradient", 1.0),
        (
            {"grad_norm": [1.0] * 8 + [math.nan] + [1.0] * 3, "grad_finite": [True] * 8 + [False] + [True] * 3},
            8,
            "gradient",
            1.0,
        ),
    ],
)
def test_trouble_is_the_largest_term_and_says_which(
    made: Made, columns: dict[str, object], row: int, why: str, value: float
) -> None:
    ranked = trouble(made(**columns).table)
    assert ranked["trouble"].idxmax() == row
    assert ranked["why"][row] == why
    assert ranked["trouble"][row] == pytest.approx(value)
    assert ranked["trouble"].between(0, 1).all()


def test_rows_come_in_forward_order_or_sorted(made: Made) -> None:
    trace = made(dead_fraction=[i / 20 for i in range(12)])
    forward = layer_table([trace], 100)
    assert [line.split()[0] for line in forward[1:4]] == ["blocks.0.conv", "blocks.0.norm", "blocks.0.act"]
    assert layer_table([trace], 100, sort="dead_fraction")[1].startswith("blocks.3.act")
    assert layer_table([trace], 100, sort="-dead_fraction")[1].startswith("blocks.0.conv")
    assert layer_table([trace], 100, sort="kind")[1].split()[1] == "BatchNorm2d"
    worst = layer_table([trace], 100, worst=True)
    assert worst[1].split()[:3] == ["blocks.3.act", "dead", "0.55"]
    with pytest.raises(InspectionError, match="--sort dead: no such column"):
        layer_table([trace], 100, sort="dead")


def test_a_gradient_that_broke_is_told_apart_from_one_that_was_not_measured(made: Made) -> None:
    broke = {"grad_norm": [math.nan] * 4 + [1.0] * 8, "grad_finite": [True] * 2 + [False] * 2 + [True] * 8}
    lines = layer_table([made(**broke)], 200)
    assert lines[0].endswith("grad  coher.")
    assert [line.split()[-2] for line in lines[1:6]] == ["–", "–", "NaN", "NaN", "1.00"]
    everywhere = made(grad_norm=math.nan, grad_coherence=math.nan, grad_finite=False)
    assert "grad" in layer_table([everywhere], 200)[0].split()
    unmeasured = made(grad_norm=math.nan, grad_coherence=math.nan)
    assert "grad" not in layer_table([unmeasured], 200)[0].split()
    assert standouts(unmeasured)[0].startswith("Nothing stands out")


def test_a_mean_that_is_rounding_is_naught(made: Made) -> None:
    trace = made(mean=[0.0, 3e-7, -9e-7, 2e-6, 0.5, math.nan, *[-1.0] * 6], std=1.0)
    assert words(trace.table, "mean") == [None, "~0", "~0", *[None] * 9]
    assert words(trace.table, "cos_mean") == [None] * 12
    lines = layer_table([trace], 200)
    column = lines[0].split().index("mean")
    assert [line.split()[column] for line in lines[1:7]] == ["0", "~0", "~0", "2.0e-6", "0.500", "–"]


def test_what_is_expected_of_a_ratio_stands_beside_it(made: Made) -> None:
    trace = made(kernel_gradient_ratio=[5.0, *[math.nan] * 11], kernel_sqrt_terms=[28.0, *[math.nan] * 11])
    lines = layer_table([trace], 200)
    assert lines[0].split()[-2:] == ["a/b", "√T"]
    assert [line.split()[-2:] for line in lines[1:3]] == [["5.00", "28.0"], ["–", "–"]]
    for width in range(40, 200, 5):  # it goes first where there is no room
        headings = layer_table([trace], width)[0].split()
        assert "√T" not in headings or "a/b" in headings


def test_a_long_network_is_elided_in_the_middle(made: Made) -> None:
    trace = made(layers=300)
    lines = layer_table([trace], 100)
    assert lines[21] == "  … 260 more …"
    assert lines[20].startswith("blocks.6.norm")
    assert lines[22].startswith("blocks.93.norm")
    assert len(layer_table([trace], 100, rows=0)) == 301 + 2
    assert len(layer_table([trace], 100, sort="std", rows=5)) == 6 + 2


@pytest.mark.parametrize("width", [30, 50, 80, 120, 200])
@pytest.mark.parametrize("networks", [1, 2])
def test_a_table_respects_the_screen(made: Made, width: int, networks: int) -> None:
    trace = made(layers=6, layer=[f"encoder.層.{'x' * 60}.{i}\x1b[31m" for i in range(6)])
    lines = layer_table([trace] * networks, width)
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    headings = lines[0].split()
    assert headings.count("A") == headings.count("B")
