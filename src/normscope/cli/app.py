"""The application: which commands there are, and how failure is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from normscope.cli.failure import Failure, one_line, tell
from normscope.cli.inspect import inspect
from normscope.cli.partition import partition
from normscope.cli.report import report
from normscope.cli.results import abandon_stdout, print_result
from normscope.cli.theory import theory
from normscope.cli.verify import verify

app = typer.Typer(
    name="normscope",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(report)
app.command()(inspect)
app.command()(partition)
app.command()(theory)
app.command()(verify)


def _print_version(wanted: bool) -> None:
    if wanted:
        from normscope import __version__

        print_result(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def normscope(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Shows what normalization does to a neural network."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(arguments: list[str]) -> int:
    """Run a command line.

    Returns:
        The exit code: that of the command, or 2 with one line on stderr if it could not run.
    """
    try:
        code = app(arguments, standalone_mode=False, prog_name="normscope")
    except Failure as failure:
        return tell(str(failure))
    except OSError as error:  # of the help, which the parser prints
        abandon_stdout()
        return tell(one_line(str(error)))
    except typer.Abort:
        return tell("interrupted")
    except Exception as error:
        # usage errors of the parser: public only by what they can do, and of another base class in older releases
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return tell(f"{one_line(message())} (see {_help_of(arguments)})")
    return code if isinstance(code, int) else 0


def _help_of(arguments: Sequence[str]) -> str:
    """What to type for the help of the command that was meant: not all errors of the parser know theirs."""
    word = next((argument for argument in arguments if not argument.startswith("-")), "")
    names = [command.callback.__name__ for command in app.registered_commands if command.callback is not None]
    return f"normscope {word} --help" if word in names else "normscope --help"
