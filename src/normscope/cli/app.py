"""The application: which commands there are, and how failure is told."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from normscope.cli.failure import Failure
from normscope.cli.report import report

CANNOT_RUN = 2

app = typer.Typer(
    name="normscope",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(report)


def _print_version(wanted: bool) -> None:
    if wanted:
        from normscope import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def normscope(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Shows what normalization does to a neural network."""


def run(arguments: list[str]) -> int:
    """Run a command line.

    Returns:
        The exit code: that of the command, or 2 with one line on stderr if it could not run.
    """
    try:
        code = app(arguments, standalone_mode=False)
    except Failure as failure:
        return _tell(str(failure))
    except typer.Abort:
        return _tell("interrupted")
    except Exception as error:
        # usage errors of the parser: public only by what they can do, and of another base class in older releases
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _tell(f"{_one_line(message())} (normscope --help tells the options)")
    return code if isinstance(code, int) else 0


def _tell(message: str) -> int:
    print(f"normscope: {_one_line(message)}", file=sys.stderr)
    return CANNOT_RUN


def _one_line(text: str) -> str:
    return " ".join(text.split())
