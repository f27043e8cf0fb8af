"""Progress where stderr is no terminal."""

from __future__ import annotations

import pytest

from normscope.cli import progress as module
from normscope.cli.progress import progress_bar


def test_long_work_tells_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress_bar(afterwards="vanishes") as progress:
        for second in range(1, 41):
            now[0] = 100.0 + second
            progress(second, 80, "claim [bold]x")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["claim [bold]x: 19% after 15 s", "claim [bold]x: 38% after 30 s"]
