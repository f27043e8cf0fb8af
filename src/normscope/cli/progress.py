"""A progress bar with an estimate, on stderr: stdout is for results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal


@contextmanager
def progress_bar(
    *, afterwards: Literal["stays", "vanishes"] = "stays"
) -> Iterator[Callable[[float, float, str], None]]:
    """A bar for the time of a block, and the function that moves it: (work done, all work, what is running).

    Args:
        afterwards: ``"stays"`` or ``"vanishes"``: whether the finished bar is left on the screen (and, where stderr is
            no terminal, its last state printed).
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
    disabled = vanishes and not console.is_terminal  # rich would leave an empty line
    with Progress(*columns, *left, console=console, transient=vanishes, disable=disabled) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
