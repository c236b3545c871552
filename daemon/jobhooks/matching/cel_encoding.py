"""The encoding of a compiled expression in CEL.

That is a ``google.protobuf.Any`` which holds a ``cel.expr.CheckedExpr``; the numbers of the fields are those of
github.com/google/cel-spec, proto/cel/expr/syntax.proto and checked.proto. Of the encoding no more is read than occurs.
"""

from collections import defaultdict

# Fields of an Expr.
EXPR_ID, CONSTANT, IDENTIFIER, SELECT, CALL, LIST, STRUCT, COMPREHENSION = 2, 3, 4, 5, 6, 7, 8, 9
NULL, BOOLEAN, INTEGER, UNSIGNED, DOUBLE, STRING, BYTE_STRING = 1, 2, 3, 4, 5, 6, 7  # of a Constant
# Parts of a Comprehension: the variable, the list, the result so far and its initial value, the step for each element,
# and the end.
VARIABLE, RANGE, ACCUMULATED, ACCUMULATOR, LOOP, RESULT = 1, 2, 3, 4, (5, 6), 7
VARINT, FIXED64, BYTES = 0, 1, 2  # of the encoding

Message = dict[int, list[bytes]]


def expression_of(compiled: bytes) -> bytes:
    """The root of a compiled expression."""
    return fields_of(fields_of(compiled)[2][0])[4][0]


def positions_of(compiled: bytes) -> dict[int, int]:
    """The places of the parts of a compiled expression, by their ids: how many characters of its text are before."""
    found: dict[int, int] = {}
    for source in fields_of(fields_of(compiled)[2][0])[5]:
        for entry in map(fields_of, fields_of(source)[4]):
            found[number_of(entry[1])] = number_of(entry[2])
    return found


def fields_of(message: bytes) -> Message:
    """The fields of a message by their numbers; those that are numbers are still encoded."""
    fields: Message = defaultdict(list)
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == BYTES:
            length, position = _varint(message, position)
        elif kind == VARINT:
            length = _varint(message, position)[1] - position
        else:
            length = 8 if kind == FIXED64 else 4
        fields[number].append(message[position : position + length])
        position += length
    return fields


def constant_of(expression: bytes) -> Message:
    """The fields of a constant; no fields for another expression."""
    constant = fields_of(expression)[CONSTANT]
    return fields_of(constant[0]) if constant else defaultdict(list)


def text_of(values: list[bytes]) -> str:
    """The text of a field; a message leaves out empty fields."""
    return values[0].decode() if values else ""


def number_of(values: list[bytes]) -> int:
    """The number of a field, which is not negative; a message leaves out zeros."""
    return _varint(values[0], 0)[0] if values else 0


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
