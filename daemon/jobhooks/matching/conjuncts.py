"""The parts of conditions that ``&&`` joins, each with its outcome for a change and the values that it saw. Pure.

CEL evaluates ``a && b`` to false if either is false, even if the other fails. So one part that is false explains the
whole, and a part that fails explains it only if no part is false.
"""

import re
from dataclasses import dataclass

import msgspec

from jobhooks.contract.change import Change
from jobhooks.errors import InvalidConditions
from jobhooks.matching.conditions import ConditionFailed, compiled

# Texts, comments, brackets and operators; of the rest, names and numbers mean nothing here.
TOKEN = re.compile(
    r"""
    (?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:'{3}|"{3}|'|"))
    | //[^\n]*
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<and>&&) | (?P<looser>\|\||\?)
    """,
    re.VERBOSE,
)
LONGEST_VALUE = 60  # characters


@dataclass(frozen=True)
class Conjunct:
    """A part of conditions. ``outcome``: null if it could not be evaluated, which ``error`` explains.

    ``saw``: the values that it names, as JSON, by ``new.column`` or ``user``. A row that the change does not have is
    null.
    """

    text: str
    outcome: bool | None
    error: str | None
    saw: dict[str, str]


def conjuncts(text: str, change: Change) -> list[Conjunct]:
    """The parts of conditions that compile, in order; the whole of them if it has no parts."""
    parts = split(text)
    try:
        return [_evaluated(part, change) for part in parts]
    except InvalidConditions:  # it is only right together with the others, for example by its size
        return [_evaluated(text, change)]


def _evaluated(text: str, change: Change) -> Conjunct:
    conditions = compiled(text)
    try:
        saw = {name: _short(value) for name, value in conditions.named_values(change).items()}
    except ValueError:  # a column that CEL cannot represent, which also fails the conditions
        saw = {}
    try:
        return Conjunct(text, conditions.hold(change), None, saw)
    except ConditionFailed as exc:
        return Conjunct(text, None, str(exc), saw)


def _short(value: object) -> str:
    encoded = msgspec.json.encode(value).decode()
    return encoded if len(encoded) <= LONGEST_VALUE else f"{encoded[: LONGEST_VALUE - 3]}..."


def split(text: str) -> list[str]:
    """Split an expression at the ``&&`` that bind its parts; one part if anything binds less, or brackets do not match.

    An expression in brackets is split inside of them.
    """
    marks = _marks(text)
    if marks is None:
        return [text.strip()]
    ands, whole = marks
    if not ands:
        inner = text.strip()[1:-1].strip()
        return split(inner) if whole and inner else [text.strip()]
    starts, ends = [0, *(end for _, end in ands)], [*(start for start, _ in ands), len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _marks(text: str) -> tuple[list[tuple[int, int]], bool] | None:
    """Where the ``&&`` outside of brackets are, and whether one pair of round brackets is around everything.

    Null if an operator that binds less is beside them, or if this is no expression.
    """
    depth, place = 0, 0
    ands: list[tuple[int, int]] = []
    closed: list[int] = []
    while (match := TOKEN.search(text, place)) is not None:
        place = match.end()
        if opening := match["text"]:
            end = _end_of_text(text, place, opening)
            if end is None:
                return None
            place = end
        elif match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
            if not depth:
                closed.append(place)
        elif not depth and match["and"]:
            ands.append(match.span())
        elif not depth and match["looser"]:
            return None
    stripped = text.strip()
    whole = stripped.startswith("(") and closed == [len(text.rstrip())]
    return None if depth else (ands, whole)


def _end_of_text(text: str, place: int, opening: str) -> int | None:
    prefix = opening.rstrip("'\"")
    quotes = opening[len(prefix) :]
    escaped = "r" not in prefix.lower()
    while place < len(text):
        if escaped and text[place] == "\\":
            place += 2
        elif text.startswith(quotes, place):
            return place + len(quotes)
        else:
            place += 1
    return None
