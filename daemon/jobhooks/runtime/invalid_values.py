"""Why a value of a setting or an option is not valid, in our words: pydantic's name its own types and validators."""

from collections.abc import Mapping
from typing import Any

KINDS = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "path_type": "a path",
    "tuple_type": "a list",
    "datetime_parsing": "a time",
    "datetime_from_date_parsing": "a time",
}
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def reason(error: Mapping[str, Any]) -> str:
    """Why a value is wrong; ``error``: one of the errors of a pydantic ValidationError."""
    kind, context, value = error["type"], error.get("ctx", {}), quoted(error["input"])
    if kind in KINDS:
        return f"{value} is not {KINDS[kind]}"
    if kind in BOUNDS:
        words, bound = BOUNDS[kind]
        return f"{value} is not {words} {context[bound]}"
    if kind == "enum":
        return f"{value} is not one of {context['expected'].replace(' or ', ', ')}"
    return str(context["error"]).removesuffix(".") if "error" in context else f"{value} is not valid: {error['msg']}"


def quoted(value: object) -> str:
    """A value as it stands in a settings file: text in double quotes."""
    return f'"{value}"' if isinstance(value, str) else str(value)
