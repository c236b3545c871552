"""The kinds of the values of expressions in CEL, and of the results of its functions. No I/O."""

from collections.abc import Iterable, Mapping, Sequence

from jobhooks.matching.cel_cost import EQUALS, ROWS
from jobhooks.matching.cel_encoding import BOOLEAN, BYTE_STRING, DOUBLE, INTEGER, NULL, STRING, UNSIGNED

Kinds = frozenset[str]

NOTHING, BOOL, NUMBER, TEXT, OCTETS, ITEMS, MAP, TIME, DURATION, TYPE = (
    frozenset({kind})
    for kind in ("null", "bool", "number", "text", "bytes", "list", "map", "timestamp", "duration", "type")
)
ANY = NOTHING | BOOL | NUMBER | TEXT | OCTETS | ITEMS | MAP | TIME | DURATION | TYPE
ORDERED = BOOL | NUMBER | TEXT | OCTETS | TIME | DURATION
OF_VARIABLES: Mapping[str, Kinds] = {
    **dict.fromkeys(ROWS, MAP | NOTHING),
    **dict.fromkeys(("action", "role", "table", "user"), TEXT),
    "request_id": TEXT | NOTHING,
}
OF_CONSTANTS: Mapping[int, Kinds] = {
    NULL: NOTHING,
    BOOLEAN: BOOL,
    **dict.fromkeys((INTEGER, UNSIGNED, DOUBLE), NUMBER),
    STRING: TEXT,
    BYTE_STRING: OCTETS,
}
# The arguments that a function takes, and its result; any other function takes and gives anything.
ASKS_OF_COLUMNS = ("changed", "unchanged")
FUNCTIONS: Mapping[str, tuple[tuple[Kinds, ...], Kinds]] = {
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches"), ((TEXT, TEXT), BOOL)),
    **dict.fromkeys(("_&&_", "_||_"), ((BOOL, BOOL), BOOL)),
    **dict.fromkeys(ASKS_OF_COLUMNS, ((), BOOL)),
    **dict.fromkeys(("_*_", "_/_", "_%_"), ((NUMBER, NUMBER), NUMBER)),
    **dict.fromkeys(("int", "uint", "double"), ((ANY,), NUMBER)),
    "-_": ((NUMBER | DURATION,), NUMBER | DURATION),
    "!_": ((BOOL,), BOOL),
    "@not_strictly_false": ((ANY,), BOOL),
    "size": ((TEXT | OCTETS | ITEMS | MAP,), NUMBER),
    "string": ((ANY,), TEXT),
    "bytes": ((ANY,), OCTETS),
    "bool": ((ANY,), BOOL),
    "timestamp": ((TEXT | NUMBER | TIME,), TIME),
    "duration": ((TEXT | NUMBER | DURATION,), DURATION),
    "type": ((ANY,), TYPE),
    **dict.fromkeys(
        (
            *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
            *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
        ),
        ((TIME | DURATION,), NUMBER),
    ),
}
SUMS: Mapping[str, tuple[tuple[Kinds, Kinds, Kinds], ...]] = {
    "_+_": (
        *((kind, kind, kind) for kind in (NUMBER, TEXT, OCTETS, ITEMS, DURATION)),
        (TIME, DURATION, TIME),
        (DURATION, TIME, TIME),
    ),
    "_-_": (
        (NUMBER, NUMBER, NUMBER),
        (DURATION, DURATION, DURATION),
        (TIME, TIME, DURATION),
        (TIME, DURATION, TIME),
    ),
}
ORDERS = ("_<_", "_<=_", "_>_", "_>=_")


def joined(sets: Iterable[Kinds]) -> Kinds:
    """The kinds of a value that one of several expressions makes."""
    return frozenset[str]().union(*sets)


def result_of(function: str, kinds: Sequence[Kinds]) -> Kinds | None:
    """The kinds of a function's result; null: it takes no such arguments, or they are never equal."""
    if function == "_?_:_":
        return kinds[1] | kinds[2] if kinds[0] & BOOL else None
    if function in EQUALS:
        return BOOL if kinds[0] & kinds[1] else None
    if function in ORDERS:
        return BOOL if kinds[0] & kinds[1] & ORDERED else None
    if function in SUMS:
        return joined(result for left, right, result in SUMS[function] if kinds[0] & left and kinds[1] & right) or None
    if function == "@in":
        return BOOL if kinds[1] & (ITEMS | MAP) else None
    if function == "_[_]":
        return ANY if kinds[0] & (ITEMS | MAP) else None
    takes, result = FUNCTIONS.get(function, ((), ANY))
    return result if all(given & taken for given, taken in zip(kinds, takes, strict=False)) else None
