"""The command line: parses, calls, prints. Each command is a module of its own, and holds no logic."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of ``normscope``; exit code 2 and one line on stderr where it could not run."""
    # Threads that spin while they wait cost a busy machine tenfold; torch reads this when it is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from normscope.cli.app import run  # typer loads when a command is run, not when the room is imported

    sys.exit(run(sys.argv[1:]))
