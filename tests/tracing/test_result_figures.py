"""Figures: what is drawn is what was measured, and a researcher's habits work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from result_cases import INF, NAN, by_hand, deep

from normscope import Trace
from normscope.tracing.figures import LayerNames, scale_of

mpl.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    yield
    plt.close("all")


def new_axes(count: int = 1) -> Any:
    """Of a figure that pyplot does not know."""
    return Figure(figsize=(6, 3)).subplots(count)


def drawn(axis: Axes) -> dict[int, float]:
    """Position -> value, of all that an Axes shows."""
    points: dict[int, float] = {}
    for line in axis.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if len(x) == len(y) and line.get_linestyle() != ":":
            points.update(zip(x.astype(int).tolist(), y.tolist(), strict=True))
    return points


def test_one_column_is_an_axes() -> None:
    axis = deep(10).plot("std")
    assert isinstance(axis, Axes)
    assert drawn(axis) == dict(enumerate(deep(10).table["std"]))
    assert axis.get_ylabel() == "std"
    assert plt.gcf() is axis.figure
    assert axis.figure.get_suptitle() == "Trace of Deep: 10 layer calls, batch 3, eval mode"


def test_several_columns_are_an_array_of_axes() -> None:
    axes = by_hand().plot(["std", "grad_norm"])
    assert isinstance(axes, np.ndarray)
    assert [axis.get_ylabel() for axis in axes] == ["std", "grad_norm"]
    assert axes[0].figure is axes[1].figure
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert by_hand().plot(["std"]).shape == (1,)


def test_by_default_the_main_columns_and_the_users_own_are_drawn() -> None:
    labels = [axis.get_ylabel() for axis in by_hand().plot()]
    assert labels == ["std", "cos_mean", "effective_rank", "odd_score", "grad_norm", "sparsity"]
    assert [axis.get_ylabel() for axis in deep(3, cos_mean=NAN).plot()] == ["std"]


def test_axes_that_are_given_are_used_and_nothing_else() -> None:
    axis = new_axes()
    axis.figure.suptitle("mine")
    assert deep(3).plot("std", ax=axis) is axis
    several = new_axes(2)
    assert by_hand().plot(["std", "mean"], ax=several).tolist() == several.tolist()
    assert by_hand().plot(["std", "mean"], ax=list(several)).tolist() == several.tolist()
    assert axis.figure.get_suptitle() == "mine"
    assert plt.get_fignums() == []


def test_layers_are_chosen_by_glob() -> None:
    axis = deep(10).plot("std", layers="blocks.*.activation")
    assert drawn(axis) == {k: 2.0 ** (2 * k + 1) for k in range(5)}
    axis.figure.canvas.draw()
    assert [t.get_text() for t in axis.get_xticklabels() if t.get_text()] == [
        f"blocks.{k}.activation" for k in range(5)
    ]


def test_kinds_of_layers_differ_in_colour_and_in_marker() -> None:
    axis = deep(10).plot("std")
    lines = {line.get_label(): line for line in axis.get_lines()}
    assert set(lines) == {"Linear", "ReLU"}
    assert to_hex(lines["Linear"].get_color()) != to_hex(lines["ReLU"].get_color())
    assert lines["Linear"].get_marker() != lines["ReLU"].get_marker()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Linear", "ReLU"]
    assert deep(10).plot("std", layers="*.linear").get_legend() is None


def test_rare_kinds_share_a_line() -> None:
    kinds = ["Rare", *(f"Kind{k}" for k in range(10) for _ in range(12 - k))]
    trace = deep(len(kinds), kind=kinds, std=np.arange(1.0, len(kinds) + 1))
    axis = trace.plot("std")
    assert [line.get_label() for line in axis.get_lines()] == [*(f"Kind{k}" for k in range(6)), "other"]
    assert drawn(axis) == dict(enumerate(trace.table["std"]))
    assert len({(to_hex(line.get_color()), line.get_marker()) for line in axis.get_lines()}) == 7


def test_traces_are_laid_over_each_other() -> None:
    axis = new_axes()
    deep(10).plot("std", ax=axis, label="one")
    deep(10).plot("std", ax=axis, label="_two")
    assert [line.get_label() for line in axis.get_lines()] == ["one", " _two"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["one", " _two"]
    assert len({to_hex(line.get_color()) for line in axis.get_lines()}) == 2
    assert isinstance(axis.xaxis.get_major_formatter(), LayerNames)
    deep(14).plot("std", ax=axis, label="longer")
    assert axis.xaxis.get_major_formatter()(13) == "blocks.6.activation"
    assert axis.get_xlim()[1] > 13
    deep(4).plot("std", ax=axis, label="shorter")
    assert axis.xaxis.get_major_formatter()(13) == "blocks.6.activation"
    assert axis.get_xlim()[1] > 13


def test_one_axis_bears_the_names_of_one_network() -> None:
    axis = new_axes()
    deep(7).plot("std", ax=axis, label="one")
    for _ in range(2):
        by_hand().plot("std", ax=axis, label="two")
        assert not isinstance(axis.xaxis.get_major_formatter(), LayerNames)
        assert axis.get_xlabel() == "number of the layer call"


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("std", [1, 99], "linear"),
        ("std", [1, 100], "log"),
        ("std", [0, 1, 100, NAN, INF], "log"),
        ("std", [1e-120, 1e120], "log"),
        ("std", [0, 0], "linear"),
        ("std", [NAN], "linear"),
        ("mean", [-1, 1, 999], "linear"),
        ("mean", [-1, 1, 1001], "symlog"),
        ("mean", [-1e-9, 0.5, 0.1, 1e-3], "linear"),
        ("mean", [-1, -1e5], "linear"),
        ("cos_mean", [1e-9, 1], "linear"),
    ],
)
def test_the_axis_is_logarithmic_where_values_span_decades(name: str, values: list[float], scale: str) -> None:
    assert scale_of(name, np.array(values)) == scale
    axis = deep(len(values), **{name: values}).plot(name)
    assert axis.get_yscale() == scale
    axis.figure.canvas.draw()


def test_a_second_trace_decides_over_the_scale_together_with_the_first() -> None:
    axis = new_axes()
    deep(2, wave=[1.0, 2.0]).plot("wave", ax=axis, label="a")
    assert axis.get_yscale() == "linear"
    deep(2, wave=[1000.0, 2000.0]).plot("wave", ax=axis, label="b")
    assert axis.get_yscale() == "log"
    deep(2, wave=[1.0, 2.0]).plot("wave", ax=axis, label="c")
    assert axis.get_yscale() == "log"


def test_what_lies_between_zero_and_one_is_drawn_on_all_of_it() -> None:
    low, high = deep(3, odd_score=[0.4, 0.41, 0.42]).plot("odd_score").get_ylim()
    assert low <= 0 < 1 <= high
    low, high = deep(2, cos_mean=[-0.9, 0.1]).plot("cos_mean").get_ylim()
    assert low <= -0.9
    assert high >= 1


def test_where_numbers_end_is_marked_and_the_layers_behind_are_there() -> None:
    axis = deep(6, std=[1, 2, 3, NAN, NAN, NAN], finite=[True] * 3 + [False] * 3).plot("std")
    marks = [line for line in axis.get_lines() if line.get_label() == "first NaN or infinity"]
    assert [line.get_xdata()[0] for line in marks] == [3]
    assert axis.get_xlim()[0] < 0
    assert axis.get_xlim()[1] > 5


def test_marks_of_an_earlier_trace_count_for_nothing() -> None:
    axis = new_axes()
    broken = {"std": [1000.0, 2000.0, NAN], "finite": [True, True, False]}
    deep(3, **broken).plot("std", ax=axis, label="a")
    deep(3, **broken).plot("std", ax=axis, label="b")
    assert axis.get_yscale() == "linear"  # the mark goes from 0 to 1 of the panel
    colours = [to_hex(line.get_color()).upper() for line in axis.get_lines()]
    assert colours == ["#0072B2", "#0072B2", "#E69F00", "#E69F00"]


def test_a_thousand_layers_are_readable() -> None:
    axis = deep(1000).plot("std")
    axis.figure.canvas.draw()
    labels = [text.get_text() for text in axis.get_xticklabels() if text.get_text()]
    assert 8 <= len(labels) <= 31
    assert set(labels) <= set(deep(1000).table["layer"])
    boxes = [text.get_window_extent() for text in axis.get_xticklabels() if text.get_text()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    axis.set_xlim(500, 505)  # zoomed
    axis.figure.canvas.draw()
    assert "blocks.251.linear" in [text.get_text() for text in axis.get_xticklabels()]


def test_names_are_not_read_as_formulas() -> None:
    names = ["$\\frac{$", "a$b", "$x$", "_hidden", "\x1b[31m\n"]
    trace = deep(5, layer=names, kind=names)
    trace = Trace(table=trace.table, model="$\\bad{$", batch=3, training=False)
    trace.table["$\\sum{$"] = 1.0
    axis = trace.plot("$\\sum{$")
    axis.figure.canvas.draw()  # raises where a formula is wrong
    assert [text.get_text() for text in axis.get_legend().get_texts()][3] == " _hidden"


def test_a_call_is_named() -> None:
    formatter = by_hand().plot("std").xaxis.get_major_formatter()
    assert formatter(3) == "body.0.act (call 1)"
    assert formatter(2) == "body.0.act"
    assert formatter(2.5) == formatter(-1) == formatter(7) == ""


def test_cosines_are_a_heat_map_from_minus_one_to_one() -> None:
    axis = by_hand().plot_cosines("stem")
    image = axis.get_images()[0]
    np.testing.assert_array_equal(np.asarray(image.get_array()), by_hand().cosines("stem"))
    assert image.get_clim() == (-1, 1)
    assert axis.get_title() == "stem"
    assert axis.get_xlabel() == axis.get_ylabel() == "sample"
    assert axis.figure.axes[1].get_ylabel() == "cosine"


def test_a_sample_without_direction_is_grey() -> None:
    axis = new_axes()
    assert by_hand().plot_cosines("body.0.act", 1, ax=axis) is axis
    image = axis.get_images()[0]
    assert to_hex(image.to_rgba(np.ma.masked_invalid([[NAN]]))[0, 0]) == "#9a9a9a"
    assert axis.get_title() == "body.0.act (call 1)"
    axis.figure.canvas.draw()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"columns": "sdt"}, KeyError, "no column 'sdt' in this trace; did you mean 'std'"),
        ({"columns": ["std", "kind"]}, TypeError, "column 'kind' holds no numbers"),
        ({"columns": []}, ValueError, "nothing to draw: name at least one column of numbers"),
        ({"columns": "std", "layers": "q*"}, ValueError, r"no layer matches 'q\*'"),
        ({"columns": ["std", "mean"], "ax": new_axes()}, ValueError, "2 columns need as many axes, not 1: std, mean"),
        ({"columns": "std", "ax": new_axes(2)}, ValueError, "1 columns need as many axes, not 2: std"),
    ],
)
def test_what_cannot_be_drawn(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        by_hand().plot(**arguments)
    assert plt.get_fignums() == []


def test_without_matplotlib_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, 'tests/tracing')\n"
        "from result_cases import by_hand\n"
        "for draw in (by_hand().plot, lambda: by_hand().plot_cosines('stem')):\n"
        "    try: draw()\n"
        "    except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == 2 * "figures need matplotlib: pip install 'normscope[plot]'\n"
