"""``normscope partition``: exact pictures of how a network folds its input space."""

from __future__ import annotations

import json as json_format
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from normscope.cli.failure import Failure, failing, tell
from normscope.cli.given import Vain, refuse_vain
from normscope.cli.keywords import OF_DATA, keywords
from normscope.cli.progress import progress_bar
from normscope.cli.results import print_result, width, wrote

Option = typer.Option

_TOO_LARGE = "out of memory: lower {options} --batch or --max-regions, or take a smaller window with --extent"
_INCOMPLETE = 1


def partition(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="pkg.module:name or path/model.py:name of a factory, nn.Module class or instance; "
            "by default a reference network with random weights."
        ),
    ] = None,
    kw: Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="Argument of the factory; repeat.")] = None,
    weights: Annotated[str | None, Option(metavar="FILE", help="Checkpoint: .pt, .pth or .safetensors.")] = None,
    data: Annotated[
        str, Option(help="two_moons, digits, cifar10, a file of arrays, a folder of images, file.py:loader.")
    ] = "two_moons",
    data_kw: Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="Option of the data; repeat.")] = None,
    batch: Annotated[
        int | None,
        Option(help="How many samples: the dots, and what batch statistics are of. Up to 200 by default."),
    ] = None,
    samples: Annotated[
        str | None,
        Option(metavar="I,J,K", help="The picture is of the plane through these samples, numbered from 0."),
    ] = None,
    norm: Annotated[
        str | None,
        Option(
            metavar="batch,none,…",
            help="Parts of batch norm that are left, a picture each, side by side: batch (both), recenter, rescale, "
            "none. By default batch,none; of a model of yours, the model as it is.",
        ),
    ] = None,
    units: Annotated[int, Option("--width", help="Reference network: units in each hidden layer.")] = 6,
    depth: Annotated[int, Option(help="Reference network: hidden layers.")] = 4,
    activation: Annotated[str, Option(help="Reference network: leaky_relu, relu or abs.")] = "leaky_relu",
    offsets: Annotated[float, Option(help="Reference network: standard deviation of its random offsets.")] = 0.5,
    statistics: Annotated[
        str | None,
        Option(
            help="batch: batch norms use the statistics of the data; running: of the model, as in eval mode. By "
            "default batch for the reference network, running for yours."
        ),
    ] = None,
    extent: Annotated[
        str | None,
        Option(metavar="XMIN,XMAX,YMIN,YMAX", help="The window, in the plane; the data and some space by default."),
    ] = None,
    max_regions: Annotated[int, Option(help="Stop before the layer that makes more regions in a picture.")] = 200_000,
    seed: Annotated[int, Option(help="Seed of weights, offsets and data.")] = 0,
    output: Annotated[str, Option(metavar="PATH", help="Where the page goes.")] = "partition.html",
    page: Annotated[bool, Option("--page/--no-page", help="Whether to write the page.")] = True,
    plot: Annotated[str | None, Option(metavar="FILE", help="Write a figure too: .png, .svg or .pdf.")] = None,
    by: Annotated[
        str, Option(help="What --plot shows: layers (one panel each), layer, active, class or depth.")
    ] = "layers",
    animate: Annotated[str | None, Option(metavar="FILE", help="Write an animation too: .gif.")] = None,
    json: Annotated[bool, Option("--json", help="Print the numbers as JSON on stdout, not as text.")] = False,
) -> None:
    """Draw the regions on which a network is affine, and the folds between them: exactly, layer by layer.

    Writes one self-contained HTML page. Exit code 1 where a picture is not complete: after Ctrl-C, or where there are
    more regions than --max-regions; what is done is drawn. Exit code 2 where it could not run.
    """  # fmt: skip
    # before `failing`: until then Ctrl-C ends the process on the spot, whatever imports would make of an exception
    from normscope.report import (
        PartitionSettings,
        parse_numbers,
        partition_facts,
        partition_lines,
        partition_numbers,
        require_figures,
        run_partition,
        write_animation,
        write_figure,
        write_partition_page,
    )

    command = shlex.join(["normscope", *sys.argv[1:]])
    written: list[str] = []
    too_large = _TOO_LARGE.format(options="--width, --depth," if model is None else "")
    with failing(ValueError, OSError, interrupted="interrupted: nothing was written", too_large=too_large):
        _refuse_vain(context, plot=plot is not None, own=model is not None, page=page)
        require_figures(plot, by, animate)
        _ensure_writable({"--output": output if page else None, "--plot": plot, "--animate": animate})
        chosen: Any = statistics  # the settings check it
        settings = PartitionSettings(
            model,
            keywords("--kw", kw),
            weights,
            data,
            keywords("--data-kw", data_kw, OF_DATA),
            batch,
            None if samples is None else parse_numbers("--samples", samples, int, "I,J,K"),
            None if norm is None else tuple(part.strip() for part in norm.split(",")),
            units,
            depth,
            activation,
            offsets,
            chosen,
            None if extent is None else parse_numbers("--extent", extent, float, "XMIN,XMAX,YMIN,YMAX"),
            max_regions,
            seed,
            None if plot is None else by,
        )
        # stdout is for results: what the user's own code prints goes to stderr
        with progress_bar(afterwards="vanishes") as progress, redirect_stdout(sys.stderr):
            partitioned = run_partition(settings, progress)
        facts = [partition_facts(panel) for panel in partitioned.panels]
    with failing(ValueError, OSError, interrupted="interrupted while writing", too_large=too_large):
        if page:
            write_partition_page(partitioned, facts, output, command)
            written.append(output)
        if plot is not None:
            write_figure(partitioned, plot, by)
            written.append(plot)
        if animate is not None:
            write_animation(partitioned, animate)
            written.append(animate)
    if json:
        files = {"page": output if page else None, "plot": plot, "animation": animate}
        found = {**files, **partition_numbers(partitioned, facts, command)}
        print_result(json_format.dumps(found, indent=2, allow_nan=False))
    else:
        print_result("\n".join(partition_lines(partitioned, facts, width())))
        if written:
            print_result("".join(f"\n{wrote(path)}" for path in written))
    if partitioned.stopped:
        tell(f"not complete: {partitioned.stopped}")
        raise typer.Exit(_INCOMPLETE)


def _ensure_writable(files: dict[str, str | None]) -> None:
    """Find out before there is work to lose whether all files can be written, each to a place of its own."""
    from normscope.report import ensure_writable

    places: dict[Path, str] = {}
    for option, path in files.items():
        if path is not None:
            ensure_writable(path)
            place = Path(path).resolve()
            if place in places:
                raise Failure(f"{places[place]} and {option} name the same file, {path}: one would overwrite the other")
            places[place] = option


def _refuse_vain(context: typer.Context, *, plot: bool, own: bool, page: bool) -> None:
    of_reference = "{option} is that of the reference network, and there is a model of yours: leave out {option}"
    refuse_vain(
        context,
        Vain(not plot, ("by",), "{option} is about the figure that --plot writes: give --plot FILE too"),
        Vain(own, ("units", "depth", "activation", "offsets"), of_reference),
        Vain(not page, ("output",), "{option} says where the page goes, and --no-page writes none: leave out one"),
    )
