"""Which columns of rows an expression in CEL names, and how much it may have to do: read from the compiled expression.

See ``cel_encoding`` for the encoding.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobhooks.matching.cel_encoding import (
    ACCUMULATOR,
    CALL,
    COMPREHENSION,
    IDENTIFIER,
    LIST,
    LOOP,
    NULL,
    RANGE,
    RESULT,
    SELECT,
    STRING,
    STRUCT,
    Message,
    constant_of,
    fields_of,
    text_of,
)

ROWS = ("old", "new")
EQUALS = ("_==_", "_!=_")
LENGTH = 20  # assumed length of a list without known length
WEIGHTS = {"_+_": 100, "string": 100, "bytes": 100, "matches": 20}  # steps; the first three copy texts


@dataclass(frozen=True)
class Uses:
    """The needs of an expression. ``columns``: by variable, the columns it names; None: it needs the whole row.

    ``loops``: it goes over lists.
    """

    variables: frozenset[str]
    columns: dict[str, frozenset[str] | None]
    loops: bool


def uses_of(compiled: bytes) -> Uses:
    """Find the needs of a compiled expression; an upper bound."""
    variables: set[str] = set()
    columns: dict[str, set[str]] = {name: set() for name in ROWS}
    whole: set[str] = set()
    checked = fields_of(fields_of(compiled)[2][0])
    expressions = [checked[4][0]]
    loops = False
    while expressions:
        expression = fields_of(expressions.pop())
        loops = loops or COMPREHENSION in expression
        row, column = _column(expression)
        if row is None:
            name = _identifier(expression)
            if name is not None:
                variables.add(name)
                whole.add(name)
            expressions += _parts(expression)
        else:
            variables.add(row)
            if column is not None:
                columns[row].add(column)
    return Uses(
        frozenset(variables),
        {row: None if row in whole else frozenset(columns[row]) for row in ROWS if row in variables},
        loops,
    )


@dataclass(frozen=True)
class Work:
    """How much an expression has to do.

    ``written``: elements of lists that are written in it. ``steps``: about how many it takes where other lists have
    ``LENGTH`` elements. ``rounds``: the same of rounds over lists where those have one; 0: it goes through no list.
    """

    written: int
    steps: int
    rounds: int


def work_of(compiled: bytes) -> Work:
    """The cost of a compiled expression."""
    return _work(fields_of(fields_of(compiled)[2][0])[4][0])


def _work(message: bytes) -> Work:
    """Recursive; a compiled expression is not nested deeply."""
    expression = fields_of(message)
    if COMPREHENSION in expression:
        return _work_of_loop(fields_of(expression[COMPREHENSION][0]))
    works = [_work(part) for part in _parts(expression)]
    weight = WEIGHTS.get(text_of(fields_of(expression[CALL][0])[2]), 1) if CALL in expression else 1
    written = len(works) if LIST in expression or STRUCT in expression else 0
    return _sum([Work(written, weight, 0), *works])


def _work_of_loop(comprehension: Message) -> Work:
    over = _sum(map(_work, comprehension[RANGE]))
    once = _sum([_work(part) for number in (ACCUMULATOR, RESULT) for part in comprehension[number]])
    each = _sum([_work(part) for number in LOOP for part in comprehension[number]])
    looping = Work(0, each.steps * max(LENGTH, over.written), max(1, each.rounds) * max(1, over.written))
    return _sum([over, once, looping])


def _sum(works: Iterable[Work]) -> Work:
    numbers = [(work.written, work.steps, work.rounds) for work in works]
    return Work(*map(sum, zip(*numbers, strict=True)))


def _column(expression: Message) -> tuple[str | None, str | None]:
    """The row and the column that an expression reads: ``new.serial``, ``new["serial"]``.

    The row alone if it only asks whether there is one: ``new == null``. Else neither.
    """
    if SELECT in expression:
        select = fields_of(expression[SELECT][0])
        row = _row(select[1][0])
        return (row, text_of(select[2])) if row is not None else (None, None)
    if CALL in expression:
        call = fields_of(expression[CALL][0])
        function, arguments = text_of(call[2]), call[3]
        if len(arguments) == 2 and (function == "_[_]" or function in EQUALS):
            row, constant = _row(arguments[0]), constant_of(arguments[1])
            if row is None and function in EQUALS:
                row, constant = _row(arguments[1]), constant_of(arguments[0])
            if row is not None and function in EQUALS and NULL in constant:
                return row, None
            if row is not None and function == "_[_]" and STRING in constant:
                return row, text_of(constant[STRING])
    return None, None


def _parts(expression: Message) -> list[bytes]:
    """The parts of an expression."""
    if SELECT in expression:
        return fields_of(expression[SELECT][0])[1]
    if CALL in expression:
        call = fields_of(expression[CALL][0])
        return call[1] + call[3]
    if LIST in expression:
        return fields_of(expression[LIST][0])[1]
    if STRUCT in expression:
        entries = [fields_of(entry) for entry in fields_of(expression[STRUCT][0])[2]]
        return [part for entry in entries for part in entry[3] + entry[4]]
    if COMPREHENSION in expression:
        comprehension = fields_of(expression[COMPREHENSION][0])
        return [part for number in (RANGE, ACCUMULATOR, *LOOP, RESULT) for part in comprehension[number]]
    return []


def _row(expression: bytes) -> str | None:
    name = _identifier(fields_of(expression))
    return name if name in ROWS else None


def _identifier(expression: Message) -> str | None:
    """The name of a variable; ``.new`` is ``new``, where something else of that name would hide it."""
    return text_of(fields_of(expression[IDENTIFIER][0])[1]).lstrip(".") if IDENTIFIER in expression else None
