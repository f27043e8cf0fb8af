"""The partition against clipping polygons in exact fractions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.partition import area, regions
from spline.partition_cases import BENDS, assert_same, case, random_case

KINDS = sorted(BENDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_regions_are_those_of_exact_clipping(kind: str, seed: int) -> None:
    found = random_case(seed, [kind, kind], 6 if kind.startswith("pool") else 4, largest=97, denominator=64)
    assert_same(found.partition(), found.reference())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(KINDS), min_size=1, max_size=2), st.integers(1, 3))
def test_small_integers_make_every_degenerate_case(seed: int, kinds: list[str], largest: int) -> None:
    """Parallel and equal lines, lines through vertices and along edges, dead units, units that are constant."""
    found = random_case(seed, kinds, 4, largest=largest, denominator=1)
    partition = found.partition()
    assert_same(partition, found.reference())
    assert partition.verify().ok, str(partition.verify())


def test_the_reference_knows_a_square_cut_by_its_diagonals() -> None:
    cross = case([np.array([[1.0, 1.0], [1.0, -1.0]]), np.ones((1, 2))], [np.zeros(2), np.zeros(1)], ["relu"])
    assert [area(piece.polygon) for piece in regions(cross.layers, cross.bends, cross.extent)] == [4, 4, 4, 4]
    assert sorted(piece.active for piece in cross.reference()) == [0, 1, 1, 2]
