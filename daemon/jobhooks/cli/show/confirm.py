"""Asking before something is done that a person may not have meant."""

import sys

import typer

from jobhooks.cli.show.output import say
from jobhooks.errors import Refused


def confirm(what: str, consequence: str, *, yes: bool) -> None:
    """Ask whether to do ``what``, such as "retry 3 deliveries"; ``yes``: it was said on the command line already.

    Raises:
        Refused: there is nobody to ask.
        typer.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"will not {what} without confirmation", "--yes")
    say(consequence)
    typer.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)


def number(count: int, noun: str, plural: str) -> str:
    """Return so many of something, in words."""
    return f"1 {noun}" if count == 1 else f"{count} {plural}"
