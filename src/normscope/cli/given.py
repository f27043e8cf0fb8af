"""Which options a user gave; those that would change nothing are refused, not passed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import typer

from normscope.cli.failure import Failure


class Vain(NamedTuple):
    """Options that change nothing under a condition.

    Attributes:
        holds: whether the condition holds.
        parameters: names of the command's parameters.
        why: what is told; ``{option}`` is the one that was given.
    """

    holds: bool
    parameters: Sequence[str]
    why: str


def given(context: typer.Context, parameter: str) -> str | None:
    """The option of a parameter as it was written, ``--no-page`` for a switch turned off; None: it was not given."""
    source = context.get_parameter_source(parameter)
    if source is None or source.name != "COMMANDLINE":
        return None
    option = next(option for option in context.command.params if option.name == parameter)
    off = option.secondary_opts and context.params[parameter] is False
    return str((option.secondary_opts if off else option.opts)[0])


def refuse_vain(context: typer.Context, *cases: Vain) -> None:
    """Refuse options that were given in vain, and those that were given no text: ``--output "$UNSET"``.

    Raises:
        Failure: there is one; says which, and why.
    """
    for parameter, value in context.params.items():
        option = given(context, parameter)
        if option is not None and value == "":
            raise Failure(f"{option} '': it is empty")
    for case in cases:
        if not case.holds:
            continue
        for option in (given(context, parameter) for parameter in case.parameters):
            if option is not None:
                raise Failure(case.why.format(option=option))
