"""``normscope theory``: what an infinitely wide layer does to a batch, exactly."""

from __future__ import annotations

import importlib
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normscope.cli.failure import Failure, failing
from normscope.cli.given import Vain, refuse_vain
from normscope.cli.progress import progress_bar
from normscope.cli.results import print_result, width

if TYPE_CHECKING:
    from normscope.theory.activations.kernel import Array
    from normscope.theory.answering.request import Answer

Option = typer.Option

_MOST_FOLLOWED = 256  # points of a batch, whose n² distances go through up to 3000 layers


def theory(
    context: typer.Context,
    n: Annotated[int, Option(help="Batch size, up to 10⁶.")] = 32,
    recenter: Annotated[bool, Option("--recenter/--no-recenter", help="Subtract the mean over the batch.")] = True,
    rescale: Annotated[bool, Option("--rescale/--no-rescale", help="Divide by the scale over the batch.")] = True,
    activation: Annotated[
        str, Option(help="relu, leaky_relu:SLOPE, abs, linear, erf; tanh, gelu, … with --no-rescale.")
    ] = "relu",
    slope: Annotated[float | None, Option(help="Leaky ReLU of this slope for x < 0.")] = None,
    sizes: Annotated[
        str | None, Option(metavar="4,28", help="Sizes of groups of exchangeable points to search, instead of all.")
    ] = None,
    phase: Annotated[
        bool, Option("--phase", help="Over batch sizes and all on/off combinations, and where what attracts changes.")
    ] = False,
    basins: Annotated[
        int | None, Option(metavar="BATCHES", help="How many of so many batches end at each fixed point.")
    ] = None,
    dimension: Annotated[int, Option(help="Of the Gaussian points of --basins.")] = 10,
    digits: Annotated[bool, Option("--digits", help="--basins of images of digits, not Gaussian points.")] = False,
    seed: Annotated[int, Option(help="Seed of --basins.")] = 0,
    json: Annotated[bool, Option("--json", help="Print the numbers as JSON.")] = False,
    latex: Annotated[bool, Option("--latex", help="Print a LaTeX table (package booktabs).")] = False,
    plot: Annotated[str | None, Option(metavar="FILE", help="Draw into a .png, .svg or .pdf file.")] = None,
) -> None:
    """Fixed points of recentering, rescaling and non-linearity in wide layers: which exist, what attracts.

    Exact, without data or weights. The defaults are those of batch normalization with ReLU.
    """
    from normscope.theory.answering.request import Request, parse_sizes

    with failing(ValueError, OSError, ImportError, too_large="out of memory: lower --basins or --n"):
        if json and latex:
            raise Failure("--json and --latex: choose one of them")
        sloped = slope is not None and activation == "relu"  # the default, which a slope turns into a leaky one
        _refuse_vain(context, phase=phase, basins=basins is not None, digits=digits, sloped=sloped)
        if basins is not None and n > _MOST_FOLLOWED:
            raise Failure(f"--basins follows whole Gram matrices: --n is at most {_MOST_FOLLOWED} with it, got {n}")
        if latex and basins is not None:
            raise Failure("--latex has no table of --basins: leave out one of them")
        request = Request(n, recenter, rescale, activation, slope, parse_sizes(sizes), phase)
        if not phase:
            _ = request.question  # what is wrong with it is said before anything is drawn or loaded
        if plot is not None:
            _check_figure(plot)
        grams, law = (None, "") if basins is None else _batches(n, basins, dimension, digits, seed)
        with progress_bar(afterwards="vanishes") as progress:
            answer = request.answer(progress, grams, law)
        if json:
            result = json_format.dumps(answer.numbers(), indent=2, allow_nan=False)
        else:
            result = "\n".join(answer.latex() if latex else answer.text(width()))
        print_result(result)  # first: where there is nothing to draw there is an answer all the same
        if plot is not None:
            _draw(answer, plot)
    if plot is not None and not json and not latex:
        print_result(f"\nWrote {Path(plot).resolve()}.")


def _refuse_vain(context: typer.Context, *, phase: bool, basins: bool, digits: bool, sloped: bool) -> None:
    own = "--phase goes over batch sizes, groups and combinations of its own: leave out {option}"
    of_basins = "{option} is about the batches of --basins: give --basins BATCHES too"
    of_points = "{option} is that of Gaussian points, and --digits are images: leave out one of them"
    refuse_vain(
        context,
        Vain(phase, ("n", "recenter", "rescale", "sizes", "basins"), own),
        Vain(not basins, ("dimension", "digits", "seed"), of_basins),
        Vain(digits, ("dimension",), of_points),
        Vain(sloped, ("activation",), "{option} beside --slope, which means a leaky ReLU: leave out one of them"),
    )


def _batches(n: int, batches: int, dimension: int, digits: bool, seed: int) -> tuple[Array, str]:
    """Gram matrices, and where they come from."""
    if digits:
        from normscope.report.theory_digits import digit_grams

        return digit_grams(n, batches, seed), f"{batches} batches of {n} images of digits, seed {seed}"
    from normscope.theory.phases.basins import gaussian_grams

    law = f"{batches} batches of {n} standard normal points in {dimension} dimensions, seed {seed}"
    return gaussian_grams(n, dimension, batches, seed), law


def _check_figure(path: str) -> None:
    """Whether a figure can be drawn and written there.

    Raises:
        Failure: it is of no format that is known.
        OSError: the place cannot be written.
        ImportError: matplotlib is not there.
    """
    from normscope.theory.answering.request import FORMATS

    if Path(path).suffix.lower() not in FORMATS:
        raise Failure(f"--plot {path}: a figure is a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file")
    # before there is work to lose: this says how to get matplotlib where it is missing
    importlib.import_module("normscope.theory.phases.figures")
    from normscope.system import ensure_writable

    ensure_writable(path)


def _draw(answer: Answer, path: str) -> None:
    from normscope.system import written_whole

    figure = answer.figure()
    with written_whole(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150, bbox_inches="tight")
