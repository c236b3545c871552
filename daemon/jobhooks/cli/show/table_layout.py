"""Laying out a table: in a pipe each row is a line however long, on a terminal it fits the width."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP = 2  # characters between two columns
READABLE = 30  # characters that the last column, the longest as a rule, needs beside the others
LEAST = 8  # characters that a column is made narrower down to
RIGID = re.compile(r"[\d:. +-]*")  # numbers and times: they are wrapped never
BELOW = "    "  # before what has no room beside the rest

Row = Sequence[str]


@dataclass(frozen=True)
class _Layout:
    """How wide each column is; ``below``: the last column has a line of its own, and no width."""

    widths: list[int]
    below: bool


def unbounded(headings: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each row."""
    widths = _natural_widths(headings, rows)
    for row in (headings, *rows):
        yield _joined(row, widths)


def fitted(headings: Row, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Yield lines that are at most so wide, if that can be; a row can be several."""
    layout = _layout(headings, rows, width)
    shown = len(layout.widths)
    yield from (Text(line, "bold") for line in _wrapped(headings[:shown], layout.widths))
    for row in rows:
        yield from map(Text, _wrapped(row[:shown], layout.widths))
        if layout.below and row[-1] not in ("", "-"):
            yield from (Text(BELOW + line, "dim") for line in _lines(row[-1], width - len(BELOW)))


def _layout(headings: Row, rows: Sequence[Row], width: int) -> _Layout:
    widths = _natural_widths(headings, rows)
    if _total(widths) <= width:
        return _Layout(widths, below=False)
    rest = width - _total([*widths[:-1], 0])
    if rest >= READABLE:
        return _Layout([*widths[:-1], rest], below=False)
    below = widths[-1] > READABLE
    kept = widths[:-1] if below else widths
    flexible = [position for position in range(len(kept)) if not all(RIGID.fullmatch(row[position]) for row in rows)]
    return _Layout(_narrowed(kept, flexible, width), below=below)


def _narrowed(widths: list[int], flexible: list[int], width: int) -> list[int]:
    """Return the widths with the widest columns made narrower, as far as it takes and goes."""
    narrowed = list(widths)
    while _total(narrowed) > width:
        widest = max(flexible, key=narrowed.__getitem__, default=None)
        if widest is None or narrowed[widest] <= LEAST:
            break
        narrowed[widest] -= 1
    return narrowed


def _wrapped(row: Row, widths: list[int]) -> Iterator[str]:
    cells = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells))):
        yield _joined([cell[number] if number < len(cell) else "" for cell in cells], widths)


def _lines(cell: str, width: int) -> list[str]:
    lines = Text(cell).wrap(Console(), width, overflow="fold")
    return [line.plain.rstrip() for line in lines] or [""]


def _joined(row: Row, widths: list[int]) -> str:
    return (" " * GAP).join(map(set_cell_size, row, widths)).rstrip()


def _natural_widths(headings: Row, rows: Sequence[Row]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
