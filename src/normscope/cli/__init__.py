"""The command line: parses, calls, prints. Each command is a module of its own, and holds no logic."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of ``normscope``; exit code 2 and one line on stderr where it could not run."""
    from normscope.cli.app import run  # typer loads when a command is run, not when the room is imported

    sys.exit(run(sys.argv[1:]))
