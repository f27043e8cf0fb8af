"""``normscope verify``: the claims of the papers, run."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from normscope.cli.failure import Failure, failing
from normscope.cli.given import Vain, refuse_vain
from normscope.cli.progress import progress_bar
from normscope.cli.results import print_result, width

Option = typer.Option


def verify(
    context: typer.Context,
    claims: Annotated[
        list[str] | None,
        typer.Argument(metavar="CLAIM", help="Ids, papers or patterns: nachum2024, '*.gradient*'. All by default."),
    ] = None,
    scale: Annotated[
        str,
        Option(help="quick (minutes), full (under an hour) or paper (the papers' sizes, or our largest)."),
    ] = "quick",
    output: Annotated[
        str, Option(metavar="DIR", help="Where verdicts, numbers and figures are kept; a run goes on from there.")
    ] = "claims",
    jobs: Annotated[int | None, Option(help="Processes at once. As many as there are cores by default.")] = None,
    seed: Annotated[int, Option(help="Seed of everything that is drawn.")] = 0,
    fresh: Annotated[bool, Option("--fresh", help="Run again what was already finished.")] = False,
    json: Annotated[bool, Option("--json", help="Print the verdicts as JSON on stdout, not as a table.")] = False,
    listed: Annotated[bool, Option("--list", help="Print which claims there are, and run none.")] = False,
) -> None:
    """Run the claims of the papers: measured, expected, and whether they were reproduced.

    Exit code 0 where all that ran were reproduced, 1 where one was not, 2 where one could not run. A claim that needs
    more than this machine is told and counts neither way; where nothing else is left, the code is 2.
    """
    # before `failing`: until then Ctrl-C ends the process on the spot, whatever imports would make of an exception
    from normscope.claims import can_draw, can_write_parquet, exit_code, select
    from normscope.claims import verify as run_claims
    from normscope.report import claim_lines, verdict_lines

    which = claims or "all"
    told = f"interrupted: what was finished is in {output}; the same command goes on from there"
    of_runs = "{option} is about a run, and --list runs nothing: leave out one of them"
    with failing(ValueError, OSError, interrupted=told):
        refuse_vain(context, Vain(listed, ("scale", "output", "jobs", "seed", "fresh", "json"), of_runs))
        if listed:
            print_result("\n".join(claim_lines(select(which), width())))
            return
        with progress_bar(afterwards="vanishes") as progress:
            scaled: Any = scale  # `verify` checks it
            verdicts = run_claims(which, scaled, seed=seed, jobs=jobs, output=output, fresh=fresh, progress=progress)
    if json:
        plain = [verdict.to_json() for verdict in verdicts]
        print_result(json_format.dumps({"output": output, "verdicts": plain}, allow_nan=False, indent=2))
    else:
        print_result("\n".join(verdict_lines(verdicts, width())))
        missing = [extra for extra, there in (("plot", can_draw()), ("parquet", can_write_parquet())) if not there]
        hint = f" For figures and parquet: pip install 'normscope[{','.join(missing)}]'." if missing else ""
        print_result(f"Kept in {Path(output).resolve()}.{hint}")
    code = exit_code(verdicts)
    if code == 2:
        failed = [v.id for v in verdicts if v.status == "could not run"]
        raise Failure(f"could not run: {', '.join(failed)}" if failed else "no claim could run on this machine")
    raise typer.Exit(code)
