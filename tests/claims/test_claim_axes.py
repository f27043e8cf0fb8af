"""What figures of claims share: intervals against those of criteria, and a check of figures that can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from normscope.claims import all_claims
from normscope.claims.axes import (
    CONFIDENCE,
    band,
    beside_strips,
    exponential_bars,
    legend_above,
    mean_and_bars,
    panels,
    round_numbers,
    strips,
    whole_ticks,
)
from normscope.claims.bjorck2018.setting import geometric_mean
from normscope.claims.statistics import mean, proportion
from reference.readable import complaints

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"depth": np.repeat([1, 5], 7), "value": RNG.lognormal(size=14)})


def test_every_claim_has_a_figure() -> None:
    assert [claim.id for claim in all_claims() if claim.figure is None] == []


def test_bars_are_the_intervals_of_criteria() -> None:
    middle, half = mean_and_bars(TABLE.groupby("depth")["value"])
    for depth, rows in TABLE.groupby("depth"):
        expected = mean(rows["value"], CONFIDENCE)
        assert middle[depth] == pytest.approx(expected.value)
        assert [middle[depth] - half[depth], middle[depth] + half[depth]] == pytest.approx(
            [expected.low, expected.high]
        )


def test_bars_of_geometric_means_go_from_low_to_high() -> None:
    logs = np.log(TABLE["value"]).groupby(TABLE["depth"])
    middle, half = mean_and_bars(logs)
    down, up = exponential_bars(middle, half)
    for place, (_, rows) in enumerate(TABLE.groupby("depth")):
        expected = geometric_mean(rows["value"], CONFIDENCE)
        assert np.exp(middle.iloc[place]) - down[place] == pytest.approx(expected.low)
        assert np.exp(middle.iloc[place]) + up[place] == pytest.approx(expected.high)


def test_one_network_has_no_interval() -> None:
    middle, half = mean_and_bars(pd.Series([2.0, 3.0]).groupby([1, 2]))
    assert middle.tolist() == [2.0, 3.0]
    assert half.isna().all()


def test_a_band_lies_where_the_intervals_do() -> None:
    ax = Figure().add_subplot()
    groups = TABLE.groupby("depth")["value"]
    band(ax, groups, "k")
    middle, half = mean_and_bars(groups)
    (drawn,) = ax.collections
    corners = drawn.get_paths()[0].vertices
    assert corners[:, 0].min() == 1
    assert corners[:, 0].max() == 5
    assert corners[:, 1].min() == pytest.approx((middle - half).min())
    assert corners[:, 1].max() == pytest.approx((middle + half).max())


def test_panels_share_what_they_are_asked_to() -> None:
    figure = Figure()
    apart, together = (panels(figure.add_subplot(1, 2, k + 1), 1, 2, sharey=bool(k))[0] for k in (0, 1))
    for first, second in (apart, together):
        first.set_ylim(0, 7)
        second.set_xlim(0, 3)
    assert apart[1].get_ylim() != (0, 7)
    assert together[1].get_ylim() == (0, 7)
    assert apart[0].get_xlim() == (0, 3)


def test_ticks_of_layers_are_whole() -> None:
    ax = Figure().add_subplot()
    ax.plot([0, 3], [0, 1])
    whole_ticks(ax)
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_shares_stand_beside_their_strips() -> None:
    ax = Figure().add_subplot()
    strips(ax, TABLE, "depth", "value", lambda _: "k")
    beside_strips(ax, [proportion(1, 4, CONFIDENCE), proportion(4, 4, CONFIDENCE)], "share, %")
    (right,) = ax.child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["25 (1 – 81)", "100 (40 – 100)"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.9, 2.1, [1, 1.2, 1.5, 2]),
        (0.04, 1.5, [0.05, 0.1, 0.2, 0.5, 1]),
        (3e-4, 20, [1e-3, 1e-2, 0.1, 1, 10]),
        (1e-20, 1, [1e-20, 1e-17, 1e-14, 1e-11, 1e-8, 1e-5, 1e-2]),
        (2.1, 2.9, [2.2, 2.4, 2.6, 2.8]),
        (0.03, 0.3, [0.03, 0.05, 0.1, 0.2, 0.3]),
        (0.3, 0.7, [0.3, 0.4, 0.5, 0.7]),
        (1, 1000, [1, 10, 100, 1000]),
        (2.05, 2.09, [2.06, 2.08]),
        (0.95, 1.05, [0.95, 1, 1.05]),
        (999, 1001, [999, 1000, 1001]),
        (1, 1 + 4e-16, [1, 1 + 4e-16]),
    ],
)
def test_ticks_are_round_numbers_and_few(low: float, high: float, ticks: list[float]) -> None:
    assert round_numbers(low, high) == ticks  # the numbers that one reads, not products that come close


@given(low=st.floats(1e-300, 1e300), longer=st.floats(1e-9, 40))
def test_at_any_range_there_are_ticks_and_not_many(low: float, longer: float) -> None:
    high = min(low * float(np.exp(longer)), 1.7e308)
    ticks = round_numbers(low, high)
    assert 2 <= len(ticks) <= 8
    assert low <= ticks[0]
    assert ticks[-1] <= high
    assert ticks == sorted(set(ticks))


@given(st.integers(1, 99), st.integers(1, 99), st.integers(-20, 20))
def test_short_ranges_reach_ends_that_are_ticks(one: int, other: int, power: int) -> None:
    low, high = sorted(float(f"{k}e{power}") for k in (one, other))
    assume(1 < high / low <= 7)
    single = {float(f"{k}e{p}") for k in (1, 2, 3, 4, 5, 7) for p in range(power, power + 3)}
    ticks = round_numbers(low, high)
    assert {low, high} & single <= set(ticks)


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (1, 1), (2, 1), (np.nan, 1), (1, np.inf)])
def test_of_no_logarithmic_range_it_says_so(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^ticks of a logarithmic axis need 0 < low < high, both finite, got \S+ and"):
        round_numbers(*ends)


def _small(ax: Any) -> None:
    ax.set_xlabel("depth", fontsize=6)


def _cut_off(ax: Any) -> None:
    ax.set_ylabel("a label that is longer than the figure is high, as labels of figures are now and then")


def _over(ax: Any) -> None:
    ax.set_xticks([0.5, 0.52], ["one tick", "another"])


@pytest.mark.parametrize(("spoil", "told"), [(_small, "is small"), (_cut_off, "is cut off"), (_over, "is over")])
def test_what_cannot_be_read_is_found(spoil: Callable[[Any], None], told: str) -> None:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    canvas, ax = FigureCanvasAgg(figure), figure.add_subplot()
    ax.plot([0, 1], [0, 1], label="a line")
    legend_above(ax)
    assert complaints(figure, canvas) == []
    spoil(ax)
    (complaint,) = complaints(figure, canvas)
    assert told in complaint
