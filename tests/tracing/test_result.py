"""What a `Trace` answers, prints and lays side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from result_cases import INF, NAN, by_hand, deep, gram, points
from torch import nn

import normscope as ns
from normscope.tracing.printing import as_html, as_text, elided, significant

GOLDEN = Path(__file__).parent / "golden"


# --- lookups


def test_gram_is_a_copy() -> None:
    trace = by_hand()
    expected = gram(points(0))
    trace.gram("stem")[0, 0] = 7
    assert np.array_equal(trace.gram("stem"), expected)


def test_cosines_are_those_of_the_points() -> None:
    trace, x = by_hand(), points(0)
    directions = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(trace.cosines("stem"), directions @ directions.T, rtol=1e-12, atol=1e-15)
    assert np.isnan(trace.cosines("body.0.act", 1)).all()


def test_channels_are_a_frame_of_their_own() -> None:
    trace = by_hand()
    channels = trace.channels("stem")
    assert list(channels) == ["mean", "std", "dead"]
    assert channels.index.name == "channel"
    assert channels["dead"].tolist() == [True, *[False] * 7]
    channels.loc[0, "mean"] = 9.0
    assert trace.channels("stem")["mean"].tolist() == list(range(8))


@pytest.mark.parametrize("method", ["gram", "cosines", "channels", "plot_cosines"])
@pytest.mark.parametrize(
    ("layer", "call", "message"),
    [
        ("body.0.nrm", 0, r"^no layer 'body.0.nrm' in this trace; did you mean 'body.0.norm'\?$"),
        ("xyz", 0, r"^no layer 'xyz' in this trace; it has 6: stem, body.0.norm, body.0.act, .* and 1 more$"),
        ("stem", 1, "^layer 'stem' was called 1 times: there is call 0, not 1$"),
        ("body.0.act", -1, "^layer 'body.0.act' was called 2 times: there is call 0 to 1, not -1$"),
    ],
)
def test_a_layer_that_is_not_there(method: str, layer: str, call: int, message: str) -> None:
    with pytest.raises(KeyError, match=message):
        getattr(by_hand(), method)(layer, call)


@pytest.mark.parametrize(
    ("method", "field", "some", "none"),
    [
        ("gram", "_grams", "its output has no row a sample", "the geometry was not measured"),
        ("channels", "_channels", "its output has none", "the moments were not measured"),
    ],
)
def test_why_a_layer_has_no_arrays(method: str, field: str, some: str, none: str) -> None:
    with pytest.raises(KeyError, match=some):
        getattr(by_hand(), method)("head")
    with pytest.raises(KeyError, match=none):
        getattr(by_hand(**{field: {}}), method)("head")


def test_the_first_output_that_is_not_finite() -> None:
    assert by_hand().first_nonfinite == ("<img src=x onerror=alert(1)>\x1b[31m", 0)
    assert deep(4).first_nonfinite is None
    later = by_hand(table=by_hand().table.assign(finite=[True, True, True, False, True, True, True]))
    assert later.first_nonfinite == ("body.0.act", 1)


def test_without_flags_gram_matrices_tell_what_is_finite() -> None:
    broken = gram(points(1))
    broken[0, 1] = INF
    trace = deep(4)
    grams = {("blocks.0.linear", 0): gram(points(0)), ("blocks.1.linear", 0): broken}
    fields = {"model": "Deep", "batch": 3, "training": False}
    assert ns.Trace(table=trace.table, **fields, _grams=grams).first_nonfinite == ("blocks.1.linear", 0)


# --- growth


@given(st.floats(1e-3, 1e3), st.floats(1e-100, 1e100), st.integers(2, 40))
def test_growth_recovers_a_factor(factor: float, start: float, rows: int) -> None:
    trace = deep(rows, wave=start * factor ** np.arange(rows))
    assert trace.growth("wave") == pytest.approx(factor, rel=1e-9)


@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=30))
def test_growth_is_the_slope_of_a_fit(values: list[float]) -> None:
    slope = np.polyfit(np.arange(len(values)), np.log(values), 1)[0]
    assert deep(len(values), wave=values).growth("wave") == pytest.approx(np.exp(slope), rel=1e-8)


def test_growth_counts_the_rows_that_were_chosen() -> None:
    trace = deep(20)  # twice as much in every row, so four times in every block
    assert trace.growth("std") == pytest.approx(2)
    assert trace.growth("std", "blocks.*.activation") == pytest.approx(4)
    assert trace.growth("std", ["blocks.1.*", "blocks.2.*"]) == pytest.approx(2)


def test_growth_leaves_a_gap_where_there_is_no_logarithm() -> None:
    assert deep(6, wave=[1, NAN, 4, 0, INF, 32.0]).growth("wave") == pytest.approx(2)
    assert np.isnan(deep(3, wave=[1, NAN, 0.0]).growth("wave"))
    assert deep(2, wave=[1e-300, 1e300]).growth("wave") == INF


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sdt",), KeyError, r"^no column 'sdt' in this trace; did you mean 'std'\?$"),
        (("q",), KeyError, "^no column 'q' in this trace; it has layer, kind, call, shape, mean, std,"),
        (("grad_shared",), KeyError, "gradients are measured with a loss: give targets or a loss"),
        (("kind",), TypeError, "^column 'kind' holds no numbers; columns of numbers are mean, std, dead_fraction"),
        (("mean",), ValueError, "^column 'mean' has negative values, which grow by no factor$"),
        (("std", "body.*.nrom"), ValueError, r"no layer matches 'body.\*.nrom' in this trace; did you mean"),
        (("std", ["q", "z"]), ValueError, "no layer matches 'q' or 'z' in this trace; it has 6: stem"),
        (("std", []), ValueError, "no layer matches an empty list of patterns"),
    ],
)
def test_growth_of_what_is_not_there(arguments: tuple[str, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        by_hand().growth(*arguments)


# --- comparison


def test_a_comparison_is_aligned_by_layer_and_call() -> None:
    one, two = by_hand(), by_hand(table=by_hand().table.iloc[[6, 3, 0]].assign(std=[2.0, 3.0, 4.0], extra=1.0))
    two.table.loc[6, "layer"] = "new"
    frame = one.compare(two)
    keys = list(zip(one.table["layer"], one.table["call"], strict=True))
    assert list(zip(frame["layer"], frame["call"], strict=True)) == [*keys, ("new", 0)]
    by_key = frame.set_index(["layer", "call"])
    assert by_key.loc[("stem", 0), "std_other"] == 4.0
    assert by_key.loc[("stem", 0), "std_ratio"] == 4.0 / 0.999999
    assert by_key.loc[("body.0.act", 1), "std_ratio"] == INF
    assert by_key.loc[("stem", 0), "mean_difference"] == 0
    assert (~frame["finite_other"]).tolist()[:2] == [False, pd.NA]
    assert by_key.loc[("stem", 0), "shape_other"] == (3, 8, 4, 4)
    assert np.isnan(by_key.loc[("stem", 0), "extra_self"])
    assert pd.isna(by_key.loc[("new", 0), "kind_self"])
    missing = by_key.loc[("body.0.norm", 0)]
    assert missing[[name for name in missing.index if name.endswith(("_other", "_ratio", "_difference"))]].isna().all()


def test_a_comparison_has_the_columns_of_both_and_their_changes() -> None:
    frame = by_hand().compare(by_hand())
    expected = ["layer", "call"]
    for name in by_hand().table:
        if name not in ("layer", "call"):
            expected += [f"{name}_self", f"{name}_other"]
            if name in ("std", "effective_rank", "grad_norm"):
                expected.append(f"{name}_ratio")
            elif name not in ("kind", "shape", "finite", "odd_index"):
                expected.append(f"{name}_difference")
    assert list(frame) == expected
    # types do not depend on whether something is missing, and a flag can be negated
    assert frame["odd_index_self"].dtype == "Int64"
    assert (~frame["finite_other"]).sum() == 2
    assert frame["call"].dtype == "int64"


def test_suffixes_are_the_users() -> None:
    frame = by_hand().compare(by_hand(), suffixes=("_a", "_b"))
    assert {"std_a", "std_b", "std_ratio"} <= set(frame)


def test_different_networks_are_compared() -> None:
    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    one = ns.trace(ns.models.mlp(5, 8, 2, norm="batch"), inputs)
    two = ns.trace(ns.models.mlp(5, 8, 3, norm="none"), inputs)
    frame = one.compare(two).set_index("layer")
    assert frame.index.tolist()[: len(one.table)] == one.table["layer"].tolist()
    assert frame.loc["blocks.0.norm", "kind_self"] == "BatchNorm1d"
    assert pd.isna(frame.loc["blocks.0.norm", "std_ratio"])
    assert pd.isna(frame.loc["blocks.2.linear", "std_self"])
    before, after = (t.table.set_index("layer")["cos_mean"]["blocks.1.linear"] for t in (one, two))
    assert abs(after - before) > 1e-3
    assert frame.loc["blocks.1.linear", "cos_mean_difference"] == after - before


@pytest.mark.parametrize(
    ("other", "suffixes", "error", "message"),
    [
        (3, ("_a", "_b"), TypeError, "with a Trace, not with a int"),
        (by_hand(), ("_a", "_a"), ValueError, "suffixes must differ"),
        (by_hand(), ("_a", "_ratio"), ValueError, "suffixes must differ"),
    ],
)
def test_what_cannot_be_compared(
    other: object, suffixes: tuple[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        by_hand().compare(other, suffixes=suffixes)


# --- print


@pytest.mark.parametrize(("file", "width"), [("trace.txt", 160), ("trace_80.txt", 80), ("trace_50.txt", 50)])
def test_print_is_golden(file: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    expected = (GOLDEN / file).read_text(encoding="utf-8")
    assert str(by_hand()) + "\n" == expected
    assert repr(by_hand()) + "\n" == expected


def test_notebook_is_golden() -> None:
    assert by_hand()._repr_html_() + "\n" == (GOLDEN / "trace.html").read_text(encoding="utf-8")


def test_markup_from_a_model_is_text() -> None:
    hostile = "<script>alert(1)</script>"
    table = by_hand().table.assign(**{hostile: "<b>&'\""})
    page = as_html(by_hand(table=table, model=hostile, notes=(hostile,)))
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>&" not in page


@pytest.mark.parametrize("count", [1, 39, 40, 41, 1000])
def test_a_long_table_is_elided_in_the_middle(count: int) -> None:
    text = as_text(deep(count), 100)
    rows = [line for line in text.splitlines() if line.startswith("blocks")]
    assert len(rows) == min(count, 40) - (count > 40)
    assert rows[-1].startswith(deep(count).table["layer"].iloc[-1])
    assert as_html(deep(count)).count("<tr>") == len(rows) + 1 + (count > 40)
    if count > 40:
        more = f"… {count - 39} more …"
        lines = text.splitlines()
        assert more in as_html(deep(count))
        assert lines.index(more) == lines.index(rows[19]) + 1
        assert lines[-1] == rows[-1]
    assert text.startswith(f"Trace of Deep: {count} layer call{'s' * (count > 1)}, batch 3, eval mode")


@given(st.integers(20, 200))
def test_no_line_is_wider_than_it_must_be(width: int) -> None:
    trace = by_hand(table=by_hand().table.drop(columns=["sparsity", "call"]).assign(call=0))
    assert max(map(len, as_text(trace, width).splitlines())) <= max(width, 48)


def test_what_was_not_measured_is_not_printed() -> None:
    text = as_text(deep(3, cos_mean=NAN, odd_index=-1, finite=True), 100)
    assert "cos" not in text
    assert "odd" not in text
    assert "call " not in text.splitlines()[1]


def test_the_call_that_broke_is_named() -> None:
    finite = [True, True, True, False, True, True, True]
    assert "NaN or infinity first in layer body.0.act, call 1\n" in str(
        by_hand(table=by_hand().table.assign(finite=finite))
    )


def test_an_empty_trace_prints() -> None:
    empty = deep(0)
    assert str(empty) == "Trace of Deep: 0 layer calls, batch 3, eval mode"
    assert "<table" not in empty._repr_html_()


def test_print_needs_no_unicode_terminal() -> None:
    as_text(by_hand(), 160).encode("cp1252")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1.00"), (0.5, "0.500"), (0.0012345, "0.00123"), (0.000999, "9.99e-4"),
        (0.0009999, "0.00100"), (99.96, "100"), (999.6, "1000"), (12345.6, "12346"), (99999.9, "1.00e5"),
        (1e300, "1.00e300"), (-1.234e-9, "-1.23e-9"), (-7.0, "-7.00"), (INF, "inf"), (-INF, "-inf"), (NAN, "nan"),
        (5e-324, "4.94e-324"),
    ],
)  # fmt: skip
def test_three_digits(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_three_digits_are_close(value: float) -> None:
    # a subnormal number is the multiple of its last place that is nearest
    assert float(significant(value)) == pytest.approx(value, rel=0.00501, abs=5e-324)


@given(st.text(max_size=60), st.integers(3, 60))
def test_an_elided_text_keeps_its_ends(text: str, width: int) -> None:
    short = elided(text, width)
    assert len(short) == min(len(text), width)
    if len(text) > width:
        before, after = short.split("…", 1) if text.count("…") == 0 else (short[: width - 1 - (width - 1) // 2], "")
        assert text.startswith(before)
        assert text.endswith(after)


# --- the page


def test_to_html_is_the_page_of_the_report(tmp_path: Path) -> None:
    trace = ns.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.randn(5, 4, generator=torch.Generator()))
    page = trace.to_html(tmp_path / "page.html")
    assert page == ns.report.render_trace(trace)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("", IsADirectoryError, "it is a folder; name a file in it"),
        ("no/such/page.html", FileNotFoundError, "there is no folder"),
    ],
)
def test_a_page_that_cannot_be_written(tmp_path: Path, where: str, error: type[Exception], message: str) -> None:
    trace = ns.trace(nn.Linear(4, 3), torch.randn(5, 4, generator=torch.Generator()))
    with pytest.raises(error, match=message):
        trace.to_html(tmp_path / where)
    assert not list(tmp_path.iterdir())


def test_tracing_loads_neither_report_nor_matplotlib() -> None:
    script = "import sys, normscope.tracing; print({'normscope.report', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
