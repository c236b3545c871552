"""Rows of the log as JSON, taken apart without parsing values: each value stays as written. Pure functions.

For showing them. A json column may hold text that no reader accepts: half a surrogate pair, ten thousand brackets.
"""

import json
import re
from collections.abc import Collection, Iterator

Columns = dict[str, str]

# A string, a bracket or a separator, a number or a word. A string goes from escape to escape, which is quick.
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def columns(row: str | None) -> Columns:
    """Read the columns of a row that is a JSON object, each value as its JSON text; empty without a row."""
    return dict(_members(row)) if row else {}


def columns_called(row: str | None, names: Collection[str]) -> Columns:
    """Return only these columns; where they come first, as keys do, the rest is not looked at."""
    found: Columns = {}
    if row and names:
        for name, value in _members(row):
            if name in names:
                found[name] = value
                if len(found) == len(names):
                    break
    return found


def as_json(chosen: Columns | None) -> str:
    """Return these columns as a JSON object again, or null."""
    if chosen is None:
        return "null"
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in chosen.items()) + "}"


def difference(before: Columns, after: Columns, ignored: Collection[str]) -> tuple[Columns, Columns]:
    """Return the columns that an update removed and added: those that differ, and are not ignored."""
    pairs = {name: (before.get(name, "null"), after.get(name, "null")) for name in {**before, **after}}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in ignored}
    return {name: old for name, (old, _) in changed.items()}, {name: new for name, (_, new) in changed.items()}


def _members(row: str) -> Iterator[tuple[str, str]]:
    depth, name, start, end = 0, None, 0, 0
    for token in TOKEN.finditer(row):
        text = token[0]
        if depth == 1 and text in ",}" and name is not None:
            yield name, row[start:end]
            name = None
        elif depth == 1 and name is None and text.startswith('"'):
            name, start = str(json.loads(text)), 0
        elif depth == 1 and text == ":":
            start = 0
        elif start == 0:
            start = token.start()
        depth += (text in "{[") - (text in "}]")
        end = token.end()
