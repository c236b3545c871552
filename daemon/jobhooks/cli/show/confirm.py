"""Asks before a change that cannot be undone."""

import sys

import typer

from jobhooks.cli.show.output import print_message
from jobhooks.errors import Refused


def confirm(action: str, consequence: str = "", *, yes: bool) -> None:
    """Ask whether to do ``action``, such as "retry 3 deliveries"; ``yes``: the command line confirms it.

    ``consequence``: printed before the question.

    Raises:
        Refused: there is no terminal to ask on.
        typer.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"will not {action} without confirmation", "--yes")
    if consequence:
        print_message(consequence)
    typer.confirm(f"{action[0].upper()}{action[1:]}?", abort=True, err=True)


def number(count: int, noun: str, plural: str) -> str:
    """A number with its noun, such as "3 deliveries"."""
    return f"1 {noun}" if count == 1 else f"{count} {plural}"
