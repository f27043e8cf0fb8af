"""``normscope inspect``: one network of the user's, layer by layer."""

from __future__ import annotations

import json as json_format
import shlex
import sys
from contextlib import redirect_stdout
from typing import Annotated, Literal

import typer

from normscope.cli.failure import Failure, failing
from normscope.cli.given import Vain, refuse_vain
from normscope.cli.keywords import OF_DATA, keywords
from normscope.cli.progress import progress_bar
from normscope.cli.results import print_result, width, wrote

Option = typer.Option

_TOO_LARGE = "out of memory: lower --batch"


def inspect(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="pkg.module:name or path/model.py:name of a factory, nn.Module class or instance.")
    ],
    kw: Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="Argument of the factory; repeat.")] = None,
    weights: Annotated[str | None, Option(metavar="FILE", help="Checkpoint: .pt, .pth or .safetensors.")] = None,
    data: Annotated[
        str | None, Option(help="digits, cifar10, cifar100, a file of arrays, a folder of images, file.py:loader.")
    ] = None,
    data_kw: Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="Option of the data; repeat.")] = None,
    input_shape: Annotated[
        str | None, Option(metavar="3x224x224", help="Shape of one sample of random normal input, instead of data.")
    ] = None,
    vocab: Annotated[int | None, Option(help="Random input is token ids 0 to VOCAB − 1.")] = None,
    batch: Annotated[int | None, Option(help="How many samples. Up to 32 by default.")] = None,
    batch_dim: Annotated[int, Option(help="Which dimension of the model's tensors is the batch.")] = 0,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    train: Annotated[bool | None, Option("--train/--eval", help="Mode; as the model was made by default.")] = None,
    loss: Annotated[
        str | None, Option(help="cross_entropy, mse or file.py:loss; measures gradients, against the data's targets.")
    ] = None,
    random_targets: Annotated[
        bool, Option("--random-targets", help="Draw the targets of cross_entropy or mse from the seed.")
    ] = False,
    layers: Annotated[
        list[str] | None, Option(metavar="GLOB", help="Only these layers, such as 'layer3.*'; repeat.")
    ] = None,
    capture: Annotated[str, Option(help="modules, or ops: functional operations (F.relu, +) too.")] = "modules",
    seed: Annotated[int, Option(help="Seed of weights, data, random input and dropout.")] = 0,
    compare: Annotated[
        str | None,
        Option(help="none, recenter, rescale or batch: with those parts of batch norm only; or another factory."),
    ] = None,
    compare_kw: Annotated[
        list[str] | None, Option(metavar="KEY=VALUE", help="Argument of the other factory; repeat.")
    ] = None,
    sort: Annotated[str | None, Option(metavar="COLUMN", help="Largest first; -COLUMN: smallest first.")] = None,
    worst: Annotated[
        bool,
        Option(
            "--worst",
            help="Worst layers first: by the largest of not finite (1), dead channels, mean cosine, odd-point score, "
            "and a tenth of the decades that output or gradient size lies from the median layer's.",
        ),
    ] = False,
    rows: Annotated[int | None, Option(min=0, help="How many rows are printed; 0: all.")] = None,
    json: Annotated[bool, Option("--json", help="Print the numbers as JSON on stdout, not the table.")] = False,
    output: Annotated[str, Option(metavar="PATH", help="Where the page goes.")] = "inspect.html",
    page: Annotated[bool, Option("--page/--no-page", help="Whether to write the page.")] = True,
) -> None:
    """Watch a batch travel through a network of yours: what changes, layer by layer.

    Prints a table and writes one self-contained HTML page. Exit code 2 where it could not run, and where something in
    the network is not finite.
    """
    # before `failing`: until then Ctrl-C ends the process on the spot, whatever imports would make of an exception
    from normscope.report import (
        Inspection,
        ensure_writable,
        inspected_numbers,
        parse_shape,
        run_inspection,
        terminal_lines,
        write_trace_page,
    )

    told = f"interrupted: {output} was not written" if page else "interrupted"
    with failing(ValueError, OSError, interrupted=told, too_large=_TOO_LARGE):
        refuse_vain(
            context,
            Vain(not page, ("output",), "{option} says where the page goes, and --no-page writes none: leave out one"),
            Vain(json, ("sort", "worst", "rows"), "{option} is about the table, and --json prints none: leave out one"),
            Vain(worst, ("sort",), "{option} and --worst are two orders of one table: choose one of them"),
        )
        if page:
            ensure_writable(output)
        mode: dict[bool | None, Literal["train", "eval", "as made"]] = {True: "train", False: "eval", None: "as made"}
        settings = Inspection(
            model,
            keywords("--kw", kw),
            weights,
            data,
            keywords("--data-kw", data_kw, OF_DATA),
            None if input_shape is None else parse_shape(input_shape),
            vocab,
            batch,
            batch_dim,
            device,
            mode[train],
            loss,
            random_targets,
            tuple(layers or ["*"]),
            capture,
            seed,
            compare,
            keywords("--compare-kw", compare_kw),
        )
        # stdout is for results: what the user's own code prints goes to stderr
        with progress_bar(afterwards="vanishes") as progress, redirect_stdout(sys.stderr):
            inspected = run_inspection(settings, progress)
        result = (
            json_format.dumps({"report": output if page else None, **inspected_numbers(inspected)}, indent=2)
            if json
            else "\n".join(terminal_lines(inspected, width(), sort=sort, worst=worst, rows=rows))
        )
        if page:
            write_trace_page(inspected, output, shlex.join(["normscope", *sys.argv[1:]]))
    print_result(result)
    if page and not json:
        print_result(f"\n{wrote(output)}. Open it in a browser.")
    if inspected.broken:
        raise Failure(inspected.broken)
