"""Lays out a table. In a pipe each row is one line, however long; on a terminal it fits the width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP = 2  # characters between two columns
READABLE = 30  # characters that the last column, usually the longest, needs beside the others
NARROW = 60  # a terminal below this width shows a record per row
BELOW = "    "  # before a last column that is below its row
EMPTY = ("", "-")

Row = Sequence[str]


@dataclass(frozen=True)
class _Layout:
    """The width of each column; ``below``: the last column is not among them and gets lines below its row."""

    widths: list[int]
    below: bool


def unbounded(headings: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each row."""
    widths = _natural_widths(headings, rows)
    for row in (headings, *rows):
        yield _joined(row, widths)


def fitted(headings: Row, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Yield lines of at most ``width`` characters: a table, or a record for each row if no column can be narrower."""
    layout = _layout(headings, rows, width)
    if layout is None:
        yield from _records(headings, rows, width)
        return
    shown = len(layout.widths)
    yield from (Text(line, "bold") for line in _wrapped(headings[:shown], layout.widths))
    for row in rows:
        yield from map(Text, _wrapped(row[:shown], layout.widths))
        if layout.below and row[-1] not in EMPTY:
            yield from (Text(BELOW + line, "dim") for line in _lines(row[-1], width - len(BELOW)))


def _layout(headings: Row, rows: Sequence[Row], width: int) -> _Layout | None:
    """The layout of a table that fits; None if it would break words."""
    widths = _natural_widths(headings, rows)
    if _total(widths) <= width:
        return _Layout(widths, below=False)
    if width < NARROW:
        return None
    least = [max(map(_longest_word, column)) for column in zip(headings, *rows, strict=True)]
    rest = width - _total([*widths[:-1], 0])
    if rest >= max(READABLE, least[-1]):
        return _Layout([*widths[:-1], rest], below=False)
    below = widths[-1] > READABLE
    kept = len(headings) - below
    narrowed = _narrowed(widths[:kept], least[:kept], width)
    return _Layout(narrowed, below) if _total(narrowed) <= width else None


def _narrowed(widths: list[int], least: list[int], width: int) -> list[int]:
    """Make the widest columns narrower until all fit ``width``, each at least as wide as in ``least``."""
    narrowed = list(widths)
    while _total(narrowed) > width:
        flexible = [position for position in range(len(narrowed)) if narrowed[position] > least[position]]
        if not flexible:
            break
        narrowed[max(flexible, key=narrowed.__getitem__)] -= 1
    return narrowed


def _longest_word(cell: str) -> int:
    """The width below which a cell cannot be wrapped; a time stays on one line, since it has no letters."""
    if not any(map(str.isalpha, cell)):
        return cell_len(cell)
    return max(map(cell_len, cell.split()), default=0)


def _records(headings: Row, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Yield a line for each value that is not empty, and an empty line between two rows."""
    indent = max(map(cell_len, headings)) + GAP
    for number, row in enumerate(rows):
        if number:
            yield Text()
        for heading, cell in zip(headings, row, strict=True):
            if cell in EMPTY:
                continue
            if _longest_word(cell) > width - indent:
                yield Text(heading, "bold")
                yield from (Text(BELOW + line) for line in _lines(cell, width - len(BELOW)))
                continue
            first, *others = _lines(cell, width - indent)
            yield Text.assemble((set_cell_size(heading, indent), "bold"), first)
            yield from (Text(" " * indent + line) for line in others)


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
