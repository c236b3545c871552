"""The tree of commands, which the program runs and the reference describes.

A command's module is imported when the command is called, completed or shown in a help text, so that no command waits
for drivers and settings that it does not use.
"""

import importlib
import re
from collections.abc import Iterator, MutableMapping
from functools import cache
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

Command = Any  # typer's own, which is click's in some versions of typer, and a copy of it in others

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
MODULES = {  # the module below jobhooks.cli of each command and group, in the order of the help
    "install": "commands.install",
    "uninstall": "commands.install",
    "adopt": "commands.install",
    "replay": "commands.replay",
    "run": "commands.run",
    "status": "commands.status",
    "doctor": "commands.doctor",
    "dev": "dev.command",
    "demo": "demo.command",
    "version": "commands.version",
    "table": "commands.tables.table",
    "job": "commands.job",
    "hook": "commands.hook",
    "receiver": "commands.receiver",
    "change": "commands.change",
    "delivery": "commands.delivery",
    "result": "commands.result",
    "explain": "explain.command",
}


class LazyGroup(TyperGroup):
    """The root of the tree, whose members are in modules that are not imported yet."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LazyCommands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - part of the signature
        """The names, without importing the modules."""
        return list(MODULES)


class _LazyCommands(MutableMapping[str, Command]):
    """The commands by name; looking one up imports its module."""

    def __getitem__(self, name: str) -> Command:
        return _commands_of(MODULES[name])[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)

    def __setitem__(self, name: str, command: Command) -> None:
        raise TypeError("commands are added to MODULES")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are removed from MODULES")


@cache
def _commands_of(module: str) -> dict[str, Command]:
    app = typer.Typer(context_settings=HELP_OPTIONS)
    importlib.import_module(f"jobhooks.cli.{module}").add_to(app)
    group = get_group(app)
    for context in contexts(group):
        _make_help_readable(context)
    return dict(group.commands)


def command_tree(app: typer.Typer) -> Command:
    """The root command."""
    root = get_command(app)
    _make_help_readable(typer.Context(root, info_name="jobhooks", **root.context_settings))
    return root


def contexts(root: Command) -> Iterator[typer.Context]:
    """Yield a context for each group and command, in order of definition; its path says how the command is called."""
    return _contexts(root, "jobhooks", None)


def commands(root: Command) -> Iterator[typer.Context]:
    """Yield a context for each command that is not a group."""
    return (context for context in contexts(root) if not _members(context.command))


def _contexts(command: Command, name: str, parent: typer.Context | None) -> Iterator[typer.Context]:
    context = typer.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context
    for member_name, member in _members(command).items():
        yield from _contexts(member, member_name, context)


def _members(command: Command) -> MutableMapping[str, Command]:
    return getattr(command, "commands", {})


def _make_help_readable(context: typer.Context) -> None:
    command: Command = context.command
    command.help = _on_long_lines(command.help or "")
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # otherwise a flag looks like an option that takes a value


def _on_long_lines(text: str) -> str:
    """Put each paragraph on one line; the terminal breaks lines."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
