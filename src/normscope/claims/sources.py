"""Which code a claim's numbers come out of."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parent.parent
_ABOVE: Final = ("claims", "cli", "report", "diagnosis", "sweep")  # rooms that no claim imports, and its own
_ALWAYS: Final = ("identity.py", "execution.py")  # of this room: what derives seeds, and calls


def source_hash(functions: Iterable[Callable[..., Any]]) -> str:
    """A hash of the source behind ``functions`` of a claim.

    That is their modules, what these import from this room, and all rooms below; not other papers' claims, nor what
    prints and draws verdicts.
    """
    files = {Path(file) for file in map(inspect.getsourcefile, functions) if file}
    files |= {_ROOT / "claims" / name for name in _ALWAYS}
    waiting = list(files)
    while waiting:
        new = set(_imported(waiting.pop())) - files
        files |= new
        waiting += new
    return _digest(files) + _rooms_hash()


@cache
def _rooms_hash() -> str:
    return _digest(f for f in _ROOT.rglob("*.py") if f.relative_to(_ROOT).parts[0] not in _ABOVE)


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """The files of this room that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}  # the last may be modules
    places = (_ROOT.joinpath(*name.split(".")[1:]) for name in names if name.startswith("normscope.claims."))
    candidates = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return tuple(file for file in candidates if file.is_file())


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()
