"""Shared by all tests: one thread per worker, a fixed hypothesis profile, no global randomness."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=60, print_blob=False, database=None
)
hypothesis.settings.load_profile("ci")

# the workers of pytest-xdist share the cores: more threads than that only get in each other's way
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_browser() -> Iterator[None]:
    """The browser of this process is ended with it."""
    from reference import browser

    yield
    browser.close()


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
