"""One small study for all tests of the room, and one in which the phenomena have room."""

from __future__ import annotations

import pytest

from normscope.report import Settings, Study, run_study


@pytest.fixture(scope="session")
def study() -> Study:
    return run_study(Settings(seed=1, batch=12, depth=6, width=24, resnet_depth=8))


@pytest.fixture(scope="session")
def deep() -> Study:
    return run_study(Settings(seed=0, batch=32, depth=200, width=128, models=("mlp",)))
