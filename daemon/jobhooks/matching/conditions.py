"""Conditions: an expression in CEL, Google's Common Expression Language, that a change must satisfy. No I/O.

CEL loops only over lists, for at most 10,000 rounds per evaluation; its regular expressions are RE2's; and it refuses
more than 32 levels of nesting. Other expensive expressions are refused here: for example three nested lists, ``map``,
with which a short expression could fill the memory, and loops over much text. So every condition ends quickly, for any
author.
"""

import json
import re
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

import msgspec
from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs] - it has types, and does not say so

from jobhooks.contract.change import Change, raw_values
from jobhooks.errors import InvalidConditions
from jobhooks.matching.cel_cost import uses_of, work_of
from jobhooks.matching.cel_errors import evaluation_failure, pointed, where_and_why
from jobhooks.matching.changed_columns import any_changed, reader_of

LONGEST = 10_000  # characters of an expression
DEEPEST = 200  # levels of lists and objects in a column: the evaluator's stack holds some thousands
MOST_STEPS = 50_000  # that an expression may take, as far as it can be guessed; each is a tenth of a microsecond
LARGEST = 20_000_000  # rounds over lists, times characters and values in the columns: each round could copy all of them
MOST_NAMES = 8  # of columns that one changed() takes
KEPT = 2_000  # compiled expressions
INTEGERS = range(-(2**63), 2**63)  # that CEL has
TOO_DEEP = f"a column is nested deeper than {DEEPEST} levels"
TOO_MUCH = "invalid conditions: they go through lists too often, or ask too much of each element"
NUL = "\\u0000"  # as JSON has it
NO_TEXT = re.compile("[\0\ud800-\udfff]")
NOT_WRITTEN = "the rows of this change could not be written down"


class ConditionFailed(Exception):
    """Conditions could not be evaluated for a change. ``public``: why, without anything that a row holds."""

    def __init__(self, reason: str, public: str) -> None:
        super().__init__(reason)
        self.public = public


def check_conditions(text: str) -> None:
    """Find out whether conditions can be taken.

    Raises:
        InvalidConditions: they cannot. The first line of its message says where and why, two more point there.
    """
    compiled(text)


@lru_cache(KEPT)
def why_invalid(text: str) -> str | None:
    """Why conditions do not compile, on one line; null: they compile.

    Kept, since the daemon looks at invalid conditions again and again.
    """
    try:
        compiled(text)
    except InvalidConditions as exc:
        return exc.message.partition("\n")[0]
    return None


@lru_cache(KEPT)
def compiled(text: str) -> "Conditions":
    """Compile conditions.

    Raises:
        InvalidConditions: they are no expression that is true or false.
    """
    return Conditions(text)


class Conditions:
    """A compiled expression. It is given the columns that it names, which alone are decoded, or else whole rows.

    ``need_rows``: it names a row, and not ``related``: so it holds for no change without rows of its table.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._expression = _compile(text)
        serialized = self._expression.serialize()
        work = work_of(serialized)
        if work.steps > MOST_STEPS:
            raise InvalidConditions(f"{TOO_MUCH}: {work.steps:,} steps, of which {MOST_STEPS:,} are taken")
        self._rounds = work.rounds
        uses = uses_of(serialized)
        self._columns = {name: None if each is None else sorted(each) for name, each in uses.columns.items()}
        self._variables = [(name, value) for name, value in VALUES.items() if name in uses.variables]
        self._variables += [
            (name, partial(_row, name, _Columns(None if columns is None else tuple(sorted(columns)))))
            for name, columns in uses.columns.items()
        ]
        self.need_rows = bool(uses.columns) and "related" not in uses.variables

    def serialized(self) -> bytes:
        """The compiled expression: see ``cel_encoding``."""
        return self._expression.serialize()

    def named_values(self, change: Change) -> dict[str, object]:
        """The values of a change that it names, of columns by ``new.column``; without rows that it needs as a whole.

        Raises:
            ValueError: a column holds a value that CEL cannot represent.
        """
        named: dict[str, object] = {}
        for name, value in self._variables:
            columns = self._columns.get(name)
            found = value(change)
            if columns is None:
                if name not in ("old", "new", "related"):
                    named[name] = found
            elif found is None:
                named[name] = None
            else:
                row = cast("dict[str, object]", found)
                named.update({f"{name}.{column}": row[column] for column in columns if column in row})
        return named

    def hold(self, change: Change) -> bool:
        """Whether a change satisfies the conditions.

        Raises:
            ConditionFailed: that cannot be said.
        """
        _asked.change = change
        try:
            data = {name: value(change) for name, value in self._variables}
            if self._rounds:
                _refuse_too_much(data, self._rounds)
            result = self._expression.eval(data=data)
        except (RuntimeError, ValueError) as exc:
            raise self._failure(str(exc)) from exc
        finally:
            del _asked.change
        value = result.value()
        if value is True or value is False:
            return value
        if result.type() == cel.Type.ERROR:
            raise self._failure(str(value))
        raise self._failure(f"they are no true or false, but of type {_name(result.type())}")

    def _failure(self, error: str) -> ConditionFailed:
        return ConditionFailed(*evaluation_failure(error, self._text))


class _Columns:
    """Reads columns of rows as CEL values; null stands for all columns.

    Numbers are 64-bit integers, or else the nearest doubles.
    """

    def __init__(self, names: tuple[str, ...] | None) -> None:
        self._names = names
        self._read = msgspec.json.Decoder(dict[str, object]).decode if names is None else reader_of(names, object)

    def read(self, row_json: str) -> dict[str, object]:
        """Read the columns that the row has.

        Raises:
            ValueError: a column holds a value that CEL cannot represent.
        """
        if self._names == ():
            return {}
        try:
            row = self._read_slowly(row_json) if NUL in row_json else self._read(row_json)
        except (msgspec.DecodeError, RecursionError):
            row = self._read_slowly(row_json)
        for name, value in row.items():
            if type(value) in CONVERTED:
                row[name] = _cel_value(value, DEEPEST)
        return row

    def _read_slowly(self, row_json: str) -> dict[str, object]:
        """Read numbers of any size, and check more: a json column may hold invalid text, or deep nesting."""
        values = raw_values(row_json)
        names = values if self._names is None else self._names
        try:
            row = {name: json.loads(values[name], parse_int=_integer) for name in names if name in values}
            if not all(map(_legible, row.values())):
                raise ValueError("a column holds NUL or half of a surrogate pair, which are no text")
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
        return row


def _legible(value: object) -> bool:
    """Check that all texts can be passed on: the evaluator would cut a text at NUL."""
    if isinstance(value, str):
        return not NO_TEXT.search(value)
    if isinstance(value, list):
        return all(map(_legible, cast("list[object]", value)))
    if isinstance(value, dict):
        return all(_legible(name) and _legible(item) for name, item in cast("dict[str, object]", value).items())
    return True


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def _cel_value(value: object, levels: int) -> object:
    if type(value) is int:
        return value if value in INTEGERS else _double(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError(TOO_DEEP)
    if isinstance(value, list):
        return [_cel_value(item, levels - 1) for item in cast("list[object]", value)]
    return {name: _cel_value(item, levels - 1) for name, item in cast("dict[str, object]", value).items()}


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _refuse_too_much(data: dict[str, object], rounds: int) -> None:
    """Refuse to loop over a list with too much data: if every round copied all of it, memory could run out."""
    values, size = _weight(data)
    if rounds * values * size > LARGEST:
        raise ValueError("the columns hold too much to go through lists")


def _weight(value: object) -> tuple[int, int]:
    """The number of values, and of their characters."""
    if isinstance(value, str):
        return 1, 1 + len(value)
    if not isinstance(value, dict | list):
        return 1, 1
    items = cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
    weights = [_weight(item) for item in items]
    return 1 + sum(values for values, _ in weights), 1 + sum(size for _, size in weights)


def _row(name: str, columns: _Columns, change: Change) -> dict[str, object] | None:
    row_json = change.prechange_json if name == "old" else change.postchange_json
    if row_json is not None:
        return columns.read(row_json)
    if change.snapshot_error is not None:
        raise ValueError(NOT_WRITTEN)
    return None


def _related(change: Change) -> dict[str, object] | None:
    related = change.related
    if related is None:
        return None
    rows = {name: _row(name, _WHOLE_ROWS, related) for name in ("old", "new")}
    return {"table": related.content_type.name, "action": related.action.value, **rows}


def _changed(*names: str) -> bool:
    change = _asked.change
    if change.snapshot_error is not None:
        raise ValueError(NOT_WRITTEN)
    return any_changed(change, names, strict=True)


def _unchanged(*names: str) -> bool:
    return not _changed(*names)


class _Asked(threading.local):
    """The change that conditions are evaluated for, which a function of theirs is not handed."""

    change: Change


def _compile(text: str) -> cel.Expression:
    if not text.strip():
        raise InvalidConditions("invalid conditions: they are empty")
    if len(text) > LONGEST:
        raise InvalidConditions(f"invalid conditions: they have {len(text)} characters, of which {LONGEST} are taken")
    for number, line in enumerate(text.split("\n"), 1):
        if strange := NO_TEXT.search(line):
            what = f"U+{ord(strange[0]):04X} is no character of a text"
            raise InvalidConditions(pointed(text, number, strange.start() + 1, what))
    try:
        expression = _environment.compile(text)
    except RuntimeError as exc:
        raise InvalidConditions(where_and_why(text, str(exc))) from None
    type_ = expression.return_type()
    if type_ not in (cel.Type.BOOL, cel.Type.DYN):
        raise InvalidConditions(pointed(text, 1, 1, f"it is no true or false, but of type {_name(type_)}"))
    return expression


def _name(type_: cel.Type) -> str:
    return type_.name().lower()


VALUES: dict[str, Callable[[Change], object]] = {
    "action": lambda change: change.action.value,
    "related": _related,
    "request_id": lambda change: change.request_id,
    "role": lambda change: change.session_role,
    "table": lambda change: change.content_type.name,
    "user": lambda change: change.user_name,
}
CONVERTED = frozenset({int, list, dict})
_WHOLE_ROWS = _Columns(None)
_asked = _Asked()
_environment = cel.NewEnv(
    config=cel.NewEnvConfigFromYaml("stdlib:\n  exclude_macros: [map]\n"),
    variables={
        **dict.fromkeys(("old", "new", "related", "request_id"), cel.Type.DYN),
        **dict.fromkeys(("action", "role", "table", "user"), cel.Type.STRING),
    },
    functions=[
        cel.FunctionDecl(
            name,
            [
                cel.Overload(f"{name}_{count}", cel.Type.BOOL, [cel.Type.STRING] * count, impl=function)
                for count in range(1, MOST_NAMES + 1)
            ],
        )
        for name, function in (("changed", _changed), ("unchanged", _unchanged))
    ],
)
