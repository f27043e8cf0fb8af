"""``normscope report``: the main job."""

from __future__ import annotations

import json as json_format
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normscope.cli.failure import failing

if TYPE_CHECKING:
    from normscope.report import Settings

Option = typer.Option


def report(
    seed: Annotated[int, Option(help="Seed of the batch and of the weights.")] = 0,
    batch: Annotated[int, Option(help="How many digits travel through the networks.")] = 64,
    depth: Annotated[int, Option(help="Hidden layers of the plain network.")] = 300,
    width: Annotated[int, Option(help="Units in each of them.")] = 256,
    resnet_depth: Annotated[int, Option(help="Layers of the residual network: 6 m + 2.")] = 110,
    model: Annotated[list[str] | None, Option(help="mlp or resnet; repeat for several. All by default.")] = None,
    norm: Annotated[
        list[str] | None, Option(help="batch, recenter, rescale or none; repeat for several. All by default.")
    ] = None,
    output: Annotated[Path, Option(help="Where the page goes.")] = Path("report.html"),
    json: Annotated[bool, Option("--json", help="Print the numbers as JSON on stdout.")] = False,
) -> None:
    """Watch a batch of digits travel through networks with, without and with half of batch normalization.

    Writes one self-contained HTML page: what each part of batch normalization does to the batch, layer by layer.
    """
    with failing(ValueError, OSError, interrupted=f"interrupted: {output} was not written"):
        from normscope.report import Settings, ensure_writable, numbers, run_study, write_page

        ensure_writable(output)
        chosen = {name: tuple(names) for name, names in (("models", model), ("norms", norm)) if names}
        settings = Settings(seed, batch, depth, width, resnet_depth, **chosen)
        with _progress() as progress:
            study = run_study(settings, progress)
        write_page(study, output, _command(settings))
        if json:
            print(json_format.dumps({"report": str(output), **numbers(study)}, indent=2, allow_nan=False))
        else:
            print(f"Wrote {output.resolve()} ({os.path.getsize(output) / 1e6:.1f} MB). Open it in a browser.")


def _command(settings: Settings) -> str:
    """The command that makes the same study again."""
    plain = (("seed", settings.seed), ("batch", settings.batch), ("depth", settings.depth), ("width", settings.width))
    words = [f"--{name} {value}" for name, value in (*plain, ("resnet-depth", settings.resnet_depth))]
    words += [f"--model {shlex.quote(name)}" for name in settings.models]
    words += [f"--norm {shlex.quote(name)}" for name in settings.norms]
    return " ".join(["normscope report", *words])


@contextmanager
def _progress() -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar with an estimate, on stderr: stdout is for results."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    left = (TextColumn("· left"), TimeRemainingColumn(elapsed_when_finished=False))
    with Progress(*columns, *left, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
