"""A progress bar with an estimate, on stderr: stdout is for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

_EVERY = 15.0  # seconds between two lines where a bar cannot be drawn


@contextmanager
def progress_bar(
    *, afterwards: Literal["stays", "vanishes"] = "stays"
) -> Iterator[Callable[[float, float, str], None]]:
    """A bar for the time of a block, and the function that moves it: (work done, all work, what is running).

    Args:
        afterwards: ``"stays"`` or ``"vanishes"``: whether the finished bar is left on the screen (and, where stderr is
            no terminal, its last state printed). Where stderr is no terminal, a bar that would vanish is told in
            lines, now and then: quick work prints none.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    what = TextColumn("{task.description}", markup=False)  # names of models are text, not markup
    columns = (what, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    left = (TextColumn("· left"), TimeRemainingColumn(elapsed_when_finished=False))
    console, vanishes = Console(stderr=True), afterwards == "vanishes"
    if vanishes and not console.is_terminal:  # rich would leave an empty line
        yield _lines()
        return
    with Progress(*columns, *left, console=console, transient=vanishes) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)


def _lines() -> Callable[[float, float, str], None]:
    begun = told = time.monotonic()

    def report(done: float, total: float, what: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _EVERY:
            told = now
            print(f"{what}: {done / total if total else 0:.0%} after {now - begun:.0f} s", file=sys.stderr, flush=True)

    return report
