"""What does not fit into memory is refused before it runs."""

from __future__ import annotations

import pytest

from normscope.report import Settings, ensure_fits, run_study
from normscope.report.study import memory


def test_a_study_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(batch=8, depth=3, width=8, models=("mlp",))
    needed = memory.needed_bytes(settings)
    monkeypatch.setattr(memory, "free_bytes", lambda: needed)
    run_study(settings)
    monkeypatch.setattr(memory, "free_bytes", lambda: needed - 1)
    with pytest.raises(MemoryError, match=r"about .* GB of memory and .* are free: lower batch, depth, width"):
        run_study(settings)
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    ensure_fits(settings)


def test_needed_bytes_by_hand() -> None:
    grams, floats = 8 * 100**2, 4
    one = Settings(batch=100, depth=10, width=50, models=("mlp",), norms=("batch",))
    weights, features = 50 * (64 + 10 + 9 * 50), 3 * 50 * 10
    largest = floats * (2 * weights + 100 * features) + 2 * 10 * grams
    assert memory.needed_bytes(one) == 10 * grams + largest
    two = Settings(batch=100, depth=10, width=50, models=("mlp",), norms=("batch", "none"))
    assert memory.needed_bytes(two) == 2 * 10 * grams + largest
    residual = Settings(batch=100, resnet_depth=8, models=("resnet",), norms=("batch",))
    features = 7 * (16 * 32 * 32 + 32 * 16 * 16 + 64 * 8 * 8)
    weights = 2 * 9 * (16**2 + 32**2 + 64**2)
    assert memory.needed_bytes(residual) == 4 * grams + floats * (2 * weights + 100 * features) + 2 * 4 * grams
