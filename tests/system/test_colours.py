"""The colours of figures, for all who see them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from normscope.system import CYCLE

# linear RGB as dichromats see it: Viénot, Brettel and Mollon (1999)
SEEN = {
    "all three": np.eye(3),
    "no red": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "no green": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}
CLOSEST = (
    0.06  # of two colours in linear RGB; pure red and a green of its brightness are 0.0 apart without red or green
)


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def test_no_two_colours_are_alike_to_anybody() -> None:
    assert len(set(CYCLE)) == len(CYCLE)
    for seen in SEEN.values():
        for one, other in combinations(CYCLE, 2):
            assert np.linalg.norm(seen @ (linear(one) - linear(other))) > CLOSEST, (one, other)


def test_the_matrices_show_what_a_careless_pair_looks_like() -> None:
    red, green = np.array([0.7075, 0.0, 0.0]), np.array([0.0, 0.29275, 0.0])
    assert np.linalg.norm(SEEN["no green"] @ (red - green)) < CLOSEST
    assert np.linalg.norm(red - green) > CLOSEST
