"""Wrong usage as one line in the form of all errors; typer would print a box."""

import re
from typing import Any

import typer

from jobhooks.errors import with_remedy

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # pyright: ignore[reportAssignmentType]

# typer's suggestions, for a command and for an option
SUGGESTED = re.compile(r"(?:\. Did you mean (.*)\?| \(Possible options: (.*)\))$")


def line_of(error: Any) -> str:
    """One line for one of typer's usage errors, which are click's in some versions of typer, with the help to read."""
    context = getattr(error, "ctx", None)
    remedy = f"{context.command_path} --help" if context else None
    return with_remedy(_message(error), remedy)


def _message(error: Any) -> str:
    validation = error.__cause__
    if hasattr(validation, "errors"):  # pydantic's, which typer converts values with
        return f"wrong value for {_parameter(error)}: {_reason(validation)}"
    if hasattr(error, "param_hint") and not error.param and not error.param_hint:
        return error.message  # raised by a command of jobhooks
    text = SUGGESTED.sub(_suggestion, " ".join(error.format_message().split()))
    text = text.replace("Invalid value for ", "wrong value for ")
    return text[:1].lower() + text[1:].removesuffix(".")


def _suggestion(found: re.Match[str]) -> str:
    names = (found[1] or found[2]).replace("'", "").split(", ")
    quoted = " or ".join(f'"{name}"' for name in names)
    return f". Did you mean {quoted}?"


def _parameter(error: Any) -> str:
    if error.param and error.param.param_type_name == "option":
        names: list[str] = error.param.opts
        return max(names, key=len)
    return error.format_message().partition(":")[0].removeprefix("Invalid value for ")


def _reason(validation: Any) -> str:
    from jobhooks.runtime.invalid_values import reason

    return reason(validation.errors()[0])
