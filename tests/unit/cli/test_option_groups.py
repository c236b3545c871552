"""Groups of options: typer sees single options, the command gets the group."""

import inspect
from dataclasses import dataclass
from typing import Annotated, get_type_hints

import pytest
import typer

from jobhooks.cli.option_groups import with_option_groups


@dataclass(frozen=True)
class Chosen:
    """A group of two options."""

    name: Annotated[list[str] | None, typer.Option("--name")] = None
    limit: Annotated[int, typer.Option()] = 5


def command(before: Annotated[str, typer.Argument()], chosen: Chosen, last: bool = False) -> None:
    """Raise its arguments, to compare them."""
    raise AssertionError((before, chosen, last))


def test_a_group_stands_for_its_options_in_their_place() -> None:
    parameters = inspect.signature(with_option_groups(command)).parameters
    assert list(parameters) == ["before", "name", "limit", "last"]
    assert (parameters["limit"].default, parameters["last"].default) == (5, False)
    assert parameters["name"].annotation == get_type_hints(Chosen, include_extras=True)["name"]


def test_the_command_gets_the_group() -> None:
    with pytest.raises(AssertionError) as caught:
        with_option_groups(command)(before="x", name=["a"], limit=7, last=True)
    assert caught.value.args[0] == ("x", Chosen(["a"], 7), True)
