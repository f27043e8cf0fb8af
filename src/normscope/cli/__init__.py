"""The command line: parses, calls, prints. Each command is a module of its own, and holds no logic."""

from __future__ import annotations

import os
import sys

from normscope.cli.failure import ignore_interrupt, leave_on_interrupt

__all__ = ["main"]


def main() -> None:
    """Entry point of ``normscope``; exit code 2 and one line on stderr where it could not run."""
    leave_on_interrupt()
    # Threads that spin while they wait cost a busy machine tenfold; torch reads this when it is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from normscope.cli.app import run  # typer loads when a command is run, not when the room is imported

    code = run(sys.argv[1:])
    ignore_interrupt()  # all is written and said
    sys.exit(code)
