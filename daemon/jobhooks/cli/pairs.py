"""Arguments of the form NAME=VALUE."""

from collections.abc import Callable, Iterable

import typer


def pairs(texts: Iterable[str], form: str, option: str, name_of: Callable[[str], str] = str) -> dict[str, str]:
    """The values by their names, each of which is given once. ``name_of``: the name that a text stands for.

    Raises:
        typer.BadParameter: a text is not of this form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        name = name_of(key)
        if not name or not equals:
            raise typer.BadParameter(f"{text} is not {form}", param_hint=option)
        if name in found:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        found[name] = value
    return found
