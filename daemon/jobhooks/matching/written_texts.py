"""Checks texts that are written in conditions: those that a function never takes, and names of actions. No I/O."""

import difflib
from collections.abc import Mapping
from functools import cache

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs] - it has types, and does not say so

from jobhooks.contract.choices import ObjectChangeActionChoices

ACTIONS = tuple(ObjectChangeActionChoices)
CALLS: Mapping[str, str] = {
    "matches": '"".matches(text)',
    **{name: f"{name}(text)" for name in ("timestamp", "duration", "int", "uint", "double", "bool")},
}
FORMS: Mapping[str, str] = {
    "timestamp": ': a time is written as "2027-01-01T00:00:00Z"',
    "duration": ': a duration is written as "90s" or "1h30m"',
}
_environment = cel.NewEnv(variables={"text": cel.Type.STRING})


def why_not_taken(function: str, text: str) -> str | None:
    """Why a call of ``function`` with this text, for ``matches`` as its pattern, fails for each row; null: it works."""
    if function not in CALLS:
        return None
    result = _call(function).eval(data={"text": text})
    if result.type() != cel.Type.ERROR:
        return None
    if function == "matches":
        return str(result.value()).removeprefix("INVALID_ARGUMENT: ")
    return f'{function} does not take "{text}"{FORMS.get(function, "")}'


def why_no_action(text: str) -> str | None:
    """Why ``action`` never equals this text; null: it can."""
    if text in ACTIONS:
        return None
    near = difflib.get_close_matches(text, ACTIONS, 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(ACTIONS[:-1])} and {ACTIONS[-1]}"
    return f"there is no action {text}. {hint}"


@cache
def _call(function: str) -> cel.Expression:
    return _environment.compile(CALLS[function])
