"""The window of a picture through three samples: all of them, or as much at the first as can be drawn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from normscope.report.partition.window import Extent, around, that_can_be_drawn
from normscope.spline import Partition, partition

POINTS = np.array([(0.0, 0.0), (3.0, 0.0), (1.0, 2.0)])


def network(width: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    for layer in (model[0], model[2]):
        nn.init.kaiming_normal_(layer.weight)
        nn.init.normal_(layer.bias, std=0.5)
    return model


def cut(model: nn.Module, extent: Extent, limit: int) -> Partition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return partition(model, None, tuple(extent), max_regions=limit)


def test_a_window_around_all_samples_where_that_can_be_drawn() -> None:
    model = network(8)
    extent, told, _ = that_can_be_drawn(POINTS, lambda window: cut(model, window, 10_000), 10_000)
    assert extent == around(POINTS)
    assert told == "in a window"


def test_else_a_part_at_the_first_that_is_complete_and_shows_something() -> None:
    model, limit = network(60), 2000
    assert not cut(model, around(POINTS), limit).complete
    extent, told, ready = that_can_be_drawn(POINTS, lambda window: cut(model, window, limit), limit)
    found = cut(model, extent, limit)
    assert ready is not None
    assert (ready.extent, len(ready)) == (found.extent, len(found))
    assert found.complete
    assert limit / 16 < len(found) <= limit
    assert extent[0] == -extent[1]
    whole = around(POINTS)
    assert extent[1] < (whole[1] - whole[0]) / 2
    assert "times smaller than one that holds all three" in told


@pytest.mark.parametrize("shift", [0.0, 1e2, -1e3, 1234.5, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_the_window_is_around_the_data_wherever_they_lie(shift: float, scale: float) -> None:
    points = scale * POINTS + shift
    x0, x1, y0, y1 = around(points)
    assert x1 - x0 == pytest.approx(1.6 * 3 * scale, rel=0.05)
    assert y1 - y0 == pytest.approx(x1 - x0)
    space = np.array(
        [points[:, 0].min() - x0, x1 - points[:, 0].max(), points[:, 1].min() - y0, y1 - points[:, 1].max()]
    )
    assert (space > 0.25 * 3 * scale).all()


def test_the_centre_of_the_window_is_round() -> None:
    x0, x1, y0, y1 = around(np.array([(1000.1234, -7.98765), (1001.5678, -7.5)]))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == (pytest.approx(1000.85, abs=1e-9), pytest.approx(-7.74, abs=1e-9))


def test_an_interruption_while_looking_is_no_limit() -> None:
    def interrupted(window: Extent) -> Partition:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        that_can_be_drawn(POINTS, interrupted, 100)
