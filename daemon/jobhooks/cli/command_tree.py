"""The commands as a tree, with their help made readable: what runs, and what the reference is made of."""

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

Command = Any  # typer's own, which is click's in some versions of typer, and a copy of it in others


def command_tree(app: typer.Typer) -> Command:
    """Return the root command."""
    root = get_command(app)
    for context in contexts(root):
        context.command.help = _on_long_lines(context.command.help or "")
        for parameter in context.command.get_params(context):
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""  # else a flag looks as if it took a value
    return root


def contexts(root: Command) -> Iterator[typer.Context]:
    """Yield a context of each group and command, in order of their definition; its path says how it is called."""
    return _contexts(root, "jobhooks", None)


def commands(root: Command) -> Iterator[typer.Context]:
    """Yield a context of each command that is no group."""
    return (context for context in contexts(root) if not _members(context.command))


def _contexts(command: Command, name: str, parent: typer.Context | None) -> Iterator[typer.Context]:
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context
    for member_name, member in _members(command).items():
        yield from _contexts(member, member_name, context)


def _members(command: Command) -> dict[str, Command]:
    return getattr(command, "commands", {})


def _on_long_lines(text: str) -> str:
    """Return each paragraph on one line: it is the terminal that breaks lines."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
