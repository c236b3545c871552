"""Checks conditions against the columns of a hook's tables: that they exist, and the kinds of their values. No I/O.

Refuses only errors that are certain. An expression gets the set of the kinds that its values can have, and is
refused if no kind in it serves. Every column can be null, and json can be anything.
"""

import difflib
from collections.abc import Mapping

from jobhooks.errors import InvalidConditions
from jobhooks.matching.cel_cost import EQUALS, ROWS
from jobhooks.matching.cel_encoding import (
    ACCUMULATED,
    ACCUMULATOR,
    CALL,
    COMPREHENSION,
    CONSTANT,
    EXPR_ID,
    IDENTIFIER,
    LIST,
    LOOP,
    RANGE,
    RESULT,
    SELECT,
    STRING,
    STRUCT,
    VARIABLE,
    Message,
    constant_of,
    expression_of,
    fields_of,
    number_of,
    positions_of,
    text_of,
)
from jobhooks.matching.cel_errors import pointed
from jobhooks.matching.cel_kinds import (
    ANY,
    ASKS_OF_COLUMNS,
    BOOL,
    ITEMS,
    MAP,
    NOTHING,
    NUMBER,
    OF_CONSTANTS,
    OF_VARIABLES,
    ORDERS,
    TEXT,
    TIME,
    Kinds,
    joined,
    result_of,
)
from jobhooks.matching.conditions import compiled
from jobhooks.matching.logged_columns import LoggedColumns
from jobhooks.matching.written_texts import why_no_action, why_not_taken

Scope = Mapping[str, Kinds]  # the variables of the loops around an expression


def check_kinds(text: str, columns: LoggedColumns) -> None:
    """Refuse conditions that name an unknown column, compare values that are never equal, or are never true or false.

    Raises:
        InvalidConditions: see ``check_conditions``; also if they do not compile.
    """
    serialized = compiled(text).serialized()
    check = _Check(text, columns, positions_of(serialized))
    root = expression_of(serialized)
    kinds = check.kinds(root, {})
    if not kinds & BOOL:
        raise check.refusal(None, f"it is no true or false, but {check.shown(root, kinds, {})}")


def why_wrong(text: str, columns: LoggedColumns) -> str | None:
    """The first line of the error of ``check_kinds``; null without an error."""
    try:
        check_kinds(text, columns)
    except InvalidConditions as exc:
        return exc.message.partition("\n")[0]
    return None


class _Check:
    """Finds the kinds of the parts of an expression."""

    def __init__(self, text: str, columns: LoggedColumns, positions: Mapping[int, int]) -> None:
        self._text = text
        self._columns = columns
        self._positions = positions
        # The kinds of the elements of lists that are written in the conditions. Each part is visited once: to visit the
        # elements of nested lists again would take twice as long for each level.
        self._elements: dict[bytes, Kinds] = {}

    def kinds(self, message: bytes, scope: Scope) -> Kinds:
        """The kinds of the values that an expression can have. Recursive; an expression is not nested deeply."""
        expression = fields_of(message)
        if CONSTANT in expression:
            return next((OF_CONSTANTS[number] for number in constant_of(message) if number in OF_CONSTANTS), ANY)
        if IDENTIFIER in expression:
            name = text_of(fields_of(expression[IDENTIFIER][0])[1])
            return scope[name] if name in scope else OF_VARIABLES.get(name.lstrip("."), ANY)
        if SELECT in expression:
            return self._of_field(message, fields_of(expression[SELECT][0]), scope)
        if CALL in expression:
            return self._of_call(message, fields_of(expression[CALL][0]), scope)
        if LIST in expression:
            elements = fields_of(expression[LIST][0])[1]
            self._elements[message] = joined([self.kinds(element, scope) for element in elements])
            return ITEMS
        if COMPREHENSION in expression:
            return self._of_loop(fields_of(expression[COMPREHENSION][0]), scope)
        if STRUCT in expression:
            for entry in map(fields_of, fields_of(expression[STRUCT][0])[2]):
                for part in entry[3] + entry[4]:
                    self.kinds(part, scope)
            return MAP
        return ANY

    def refusal(self, message: bytes | None, reason: str) -> InvalidConditions:
        """The error about a part of the conditions."""
        place = 0 if message is None else self._positions.get(number_of(fields_of(message)[EXPR_ID]), 0)
        before = self._text[:place]
        return InvalidConditions(
            pointed(self._text, before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1, reason)
        )

    def shown(self, message: bytes, kinds: Kinds, scope: Scope) -> str:
        """An expression in an error: a column with its type, or else the kinds."""
        read = _column_read(message, scope)
        if read is not None and read[1] in self._columns.columns:
            return f"{read[0]}.{read[1]} ({self._columns.columns[read[1]].type})"
        return " or ".join([f"a {kind}" for kind in sorted(kinds - NOTHING)] + ["null"] * bool(kinds & NOTHING))

    def _of_field(self, message: bytes, select: Message, scope: Scope) -> Kinds:
        """``new.status``, ``new.site.name``, ``has(new.data.vlan)``."""
        read = _column_read(message, scope)
        if read is not None:
            kinds = self._of_column(select[1][0], read[1])
        else:
            of = self.kinds(select[1][0], scope)
            if not of & MAP:
                raise self.refusal(
                    message, f"{self.shown(select[1][0], of, scope)} has no fields, so no {text_of(select[2])}"
                )
            kinds = ANY
        return BOOL if select[3] else kinds

    def _of_column(self, place: bytes, name: str) -> Kinds:
        """The kinds of a column, which must exist."""
        column = self._columns.columns.get(name)
        if column is not None:
            return column.kinds
        if name in self._columns.excluded:
            raise self.refusal(place, f"the column {name} is excluded, so the log does not have it")
        near = difflib.get_close_matches(name, self._columns.columns, 1)
        hint = f". Did you mean {near[0]}?" if near else ""
        raise self.refusal(place, f"none of its tables has a column {name}{hint}")

    def _of_call(self, message: bytes, call: Message, scope: Scope) -> Kinds:
        function, arguments = text_of(call[2]), call[1] + call[3]
        read = _column_read(message, scope)
        if read is not None:
            return self._of_column(arguments[0], read[1])
        kinds = [self.kinds(argument, scope) for argument in arguments]
        if function in ASKS_OF_COLUMNS:
            for argument in arguments:
                if STRING in constant_of(argument):
                    self._of_column(argument, text_of(constant_of(argument)[STRING]))
        self._check_texts(function, arguments, scope)
        result = result_of(function, kinds)
        elements = self._elements.get(arguments[1]) if function == "@in" else None
        if elements and not kinds[0] & elements:
            result = None
        if result is None:
            shown = [self.shown(*pair, scope) for pair in zip(arguments, kinds, strict=True)]
            raise self.refusal(message, _reason(function, shown, kinds))
        return result

    def _check_texts(self, function: str, arguments: list[bytes], scope: Scope) -> None:
        """Refuse a text that is no name of an action, or that a function never takes."""
        compared: list[bytes] = []
        if function in EQUALS and any(_is_action(argument, scope) for argument in arguments):
            compared = arguments
        elif function == "@in" and _is_action(arguments[0], scope):
            expression = fields_of(arguments[1])
            compared = fields_of(expression[LIST][0])[1] if LIST in expression else []
        for text in compared:
            if STRING in constant_of(text) and (why := why_no_action(text_of(constant_of(text)[STRING]))):
                raise self.refusal(text, why)
        if arguments and STRING in constant_of(arguments[-1]):
            why = why_not_taken(function, text_of(constant_of(arguments[-1])[STRING]))
            if why is not None:
                raise self.refusal(arguments[-1], why)

    def _of_loop(self, loop: Message, scope: Scope) -> Kinds:
        """``exists``, ``all``, ``exists_one`` and ``filter``: their accumulated value keeps its kind."""
        over = self.kinds(loop[RANGE][0], scope)
        if not over & (ITEMS | MAP):
            raise self.refusal(loop[RANGE][0], f"{self.shown(loop[RANGE][0], over, scope)} is no list to go through")
        inner = {**scope, text_of(loop[VARIABLE]): self._elements.get(loop[RANGE][0]) or ANY}
        inner[text_of(loop[ACCUMULATED])] = self.kinds(loop[ACCUMULATOR][0], scope)
        for number in LOOP:
            self.kinds(loop[number][0], inner)
        return self.kinds(loop[RESULT][0], {**scope, text_of(loop[ACCUMULATED]): inner[text_of(loop[ACCUMULATED])]})


def _column_read(message: bytes, scope: Scope) -> tuple[str, str] | None:
    """The row and the column of ``new.serial`` or ``new["serial"]``; null for anything else."""
    expression = fields_of(message)
    if SELECT in expression:
        select = fields_of(expression[SELECT][0])
        row, name = _row(select[1][0], scope), text_of(select[2])
        return None if row is None else (row, name)
    if CALL in expression:
        call = fields_of(expression[CALL][0])
        if text_of(call[2]) == "_[_]" and STRING in constant_of(call[3][1]):
            row, name = _row(call[3][0], scope), text_of(constant_of(call[3][1])[STRING])
            return None if row is None else (row, name)
    return None


def _variable(message: bytes, scope: Scope) -> str | None:
    """The name of a variable that is not of a loop; null for anything else."""
    expression = fields_of(message)
    name = text_of(fields_of(expression[IDENTIFIER][0])[1]) if IDENTIFIER in expression else ""
    return name.lstrip(".") if name and name not in scope else None


def _is_action(message: bytes, scope: Scope) -> bool:
    return _variable(message, scope) == "action"


def _row(message: bytes, scope: Scope) -> str | None:
    name = _variable(message, scope)
    return name if name in ROWS else None


def _reason(function: str, shown: list[str], kinds: list[Kinds]) -> str:
    name = function.strip("_@")
    if function in EQUALS:
        return f"{shown[0]} never equals {shown[1]}{_hint(kinds)}"
    if function == "@in" and kinds[1] & ITEMS:
        return f"{shown[0]} never equals an element of this list"
    if function == "_[_]":
        return f"{shown[0]} has no elements"
    if function == "_?_:_":
        return f"{shown[0]} before ? is no true or false"
    hint = _hint(kinds) if function in ORDERS else ""
    return f"{name} does not take {' and '.join(shown)}{hint}"


def _hint(kinds: list[Kinds]) -> str:
    """How to compare a text with a time or a number."""
    if len(kinds) == 2 and any(each & TEXT for each in kinds):
        if any(each == TIME for each in kinds):
            return ": timestamp(...) makes a text a time"
        if any(each - NOTHING == NUMBER for each in kinds):
            return ": int(...) and double(...) make a text a number"
    return ""
