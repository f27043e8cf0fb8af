"""Active units layer by layer: those of the network that is cut off behind the layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from normscope.spline import Partition, partition
from normscope.spline.cutting import patterns as patterns_module
from spline.partition_cases import Pool, random_case
from spline.test_partition_degenerate import degenerate_networks, linear, random_linear

WINDOW = (-2.0, 2.0, -2.0, 2.0)


def mixed() -> nn.Sequential:
    """Every kind of fold: one kink, two kinks, none (max pooling)."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(2, 8), (8, 9), (3, 6), (6, 5)]
    layers = [random_linear(*size, generator) for size in sizes]
    return nn.Sequential(layers[0], nn.Hardtanh(), layers[1], Pool(3), layers[2], nn.ReLU(), layers[3], nn.ReLU6())


def counts_of_heads(model: nn.Sequential, whole: Partition) -> np.ndarray:
    """The slow way: cut the network off behind each fold, and ask for the region that holds each centroid."""
    rows = []
    for end in range(2, len(model) + 1, 2):
        head = partition(model[:end], None, WINDOW)
        rows.append(head.regions["active"].to_numpy()[head.locate(whole.centroids)])
    return np.array(rows)


def test_each_row_counts_the_units_of_the_network_cut_off_behind_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mixed()
    found = partition(model, None, WINDOW)
    counts = found.active_through()
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, counts_of_heads(model, found))
    np.testing.assert_array_equal(counts[1], counts[0])  # max pooling adds none
    np.testing.assert_array_equal(counts[-1], found.regions["active"])
    assert (np.ptp(counts[[0, 2, 3]], axis=1) > 0).all()
    monkeypatch.setattr(patterns_module, "_PIECE", 2**9)
    np.testing.assert_array_equal(found.active_through(), counts)


@pytest.mark.parametrize("kind", ["relu", "leaky_relu", "hardtanh", "relu6"])
def test_in_exact_fractions(kind: str) -> None:
    exact = random_case(3, [kind, "pool2", kind], 4, largest=4, denominator=2)
    found = exact.partition()
    pieces = exact.reference()
    where = found.locate(
        np.array([[float(sum(c) / len(p.polygon)) for c in zip(*p.polygon, strict=True)] for p in pieces])
    )
    assert found.active_through()[-1][where].tolist() == [piece.active for piece in pieces]


def test_a_unit_at_its_kink_is_not_active_whatever_rounding_makes_of_it() -> None:
    """x + 9 less a tenth and nine tenths of it is not quite zero in float64."""
    first = linear([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [9.0, 0.0, 0.0, 0.0, 0.0])
    with torch.no_grad():
        shares = torch.tensor([0.1, 0.9], dtype=torch.float64)
        first.weight[1:3, 0], first.bias[1:3] = shares, 9 * shares
    second = linear([[1.0, -1.0, -1.0, 0, 0], [-1.0, 1.0, 1.0, 0, 0], [1.0, 0, 0, 0, 0]], [0.0, 0.0, 0.0])
    found = partition(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), None, (-1.7, 1.9, -1.3, 2.2))
    z = found.program.arguments(found.plane.points(found.centroids))[1]
    assert 0 < z[:, :2].abs().max() < 1e-14
    assert found.active_through()[1].tolist() == found.regions["active"].tolist()
    assert sorted(found.regions["active"]) == [4, 5, 5, 6]


def test_of_what_is_not_complete_there_is_a_row_for_each_fold_that_is_done() -> None:
    with pytest.warns(RuntimeWarning, match="not complete"):
        part = partition(mixed(), None, WINDOW, max_regions=100)
    assert 0 < part.folds_done < 4
    counts = part.active_through()
    assert counts.shape == (part.folds_done, len(part))
    np.testing.assert_array_equal(counts[-1], part.regions["active"])
    assert partition(nn.Linear(2, 2), None, WINDOW).active_through().shape == (0, 1)


@settings(max_examples=40, deadline=None)
@given(degenerate_networks())
def test_the_last_row_is_what_cutting_counted(drawn: tuple[nn.Module, Tensor]) -> None:
    model, batch = drawn
    found = partition(model, None, WINDOW, batch=batch)
    if found.folds:
        np.testing.assert_array_equal(found.active_through()[-1], found.regions["active"])
