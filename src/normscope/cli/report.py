"""``normscope report``: the main job."""

from __future__ import annotations

import json as json_format
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from normscope.cli.failure import Failure, failing
from normscope.cli.given import Vain, refuse_vain
from normscope.cli.progress import progress_bar
from normscope.cli.results import print_result, wrote

if TYPE_CHECKING:
    from normscope.report import Settings

Option = typer.Option

_TOO_LARGE = "out of memory: lower --batch, --depth, --width or --resnet-depth"
_OPTIONS = {"models": "--model", "norms": "--norm", "resnet_depth": "--resnet-depth"}  # fields that have other names


def report(
    context: typer.Context,
    seed: Annotated[int, Option(help="Seed of the batch and of the weights.")] = 0,
    batch: Annotated[int, Option(help="How many digits travel through the networks.")] = 64,
    depth: Annotated[int, Option(help="Hidden layers of the plain network.")] = 300,
    width: Annotated[int, Option(help="Units in each of them.")] = 256,
    resnet_depth: Annotated[int, Option(help="Layers of the residual network: 6 m + 2.")] = 110,
    model: Annotated[list[str] | None, Option(help="mlp or resnet; repeat for several. All by default.")] = None,
    norm: Annotated[
        list[str] | None, Option(help="batch, recenter, rescale or none; repeat for several. All by default.")
    ] = None,
    claims: Annotated[
        str | None, Option(metavar="DIR", help="Show the verdicts that normscope verify kept there; it runs none.")
    ] = None,
    output: Annotated[str, Option(metavar="PATH", help="Where the page goes.")] = "report.html",
    json: Annotated[bool, Option("--json", help="Print the numbers as JSON on stdout.")] = False,
) -> None:
    """Watch a batch of digits travel through networks with, without and with half of batch normalization.

    Writes one self-contained HTML page: what each part of batch normalization does to the batch, layer by layer.
    """
    from normscope.report import (
        SettingError,
        Settings,
        ensure_fits,
        ensure_writable,
        numbers,
        read_claims,
        run_study,
        write_page,
    )

    told = f"interrupted: {output} was not written"
    with failing(ValueError, OSError, interrupted=told, too_large=_TOO_LARGE):
        chosen = {name: tuple(names) for name, names in (("models", model), ("norms", norm)) if names}
        try:
            settings = Settings(seed, batch, depth, width, resnet_depth, **chosen)
        except SettingError as error:
            raise Failure(f"{_OPTIONS.get(error.name, f'--{error.name}')} {error.problem}") from error
        _refuse_vain(context, settings)
        ensure_writable(output)
        shown = None if claims is None else read_claims(claims)
        ensure_fits(settings)
        with progress_bar() as progress:
            study = run_study(settings, progress)
        write_page(study, output, _command(settings, claims), shown)
        if json:
            verdicts = {} if shown is None else {"claims": [verdict.to_json() for verdict in shown.verdicts]}
            result = json_format.dumps({"report": output, **numbers(study), **verdicts}, indent=2, allow_nan=False)
        else:
            result = f"{wrote(output)}. Open it in a browser."
    print_result(result)


def _refuse_vain(context: typer.Context, settings: Settings) -> None:
    why = "{option} is that of the %s, which --model leaves out: leave out {option}, or add --model %s"
    refuse_vain(
        context,
        Vain("mlp" not in settings.models, ("depth", "width"), why % ("plain network", "mlp")),
        Vain("resnet" not in settings.models, ("resnet_depth",), why % ("residual network", "resnet")),
    )


def _command(settings: Settings, claims: str | None) -> str:
    """The command that makes the same study again."""
    words = [f"--seed {settings.seed}", f"--batch {settings.batch}"]
    words += [f"--depth {settings.depth}", f"--width {settings.width}"] if "mlp" in settings.models else []
    words += [f"--resnet-depth {settings.resnet_depth}"] if "resnet" in settings.models else []
    words += [f"--model {shlex.quote(name)}" for name in settings.models]
    words += [f"--norm {shlex.quote(name)}" for name in settings.norms]
    words += [] if claims is None else [f"--claims {shlex.quote(claims)}"]
    return " ".join(["normscope report", *words])
