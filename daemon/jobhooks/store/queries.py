"""The files of sql/: migrations, functions, grants and named queries."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# A symbolic link in a checkout, a folder in an installed wheel.
SQL = Path(__file__).parent.parent / "sql"
PARAMETER = re.compile(r"\$(\d)")
QUERY_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    text: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations in order."""
    paths = sorted((SQL / "migrations").glob("*.sql"))
    return tuple(Migration(int(path.name[:4]), path.stem[5:], path.read_text("utf-8")) for path in paths)


@cache
def repeatable() -> str:
    """Return what is applied at every installation: the functions, the views, comments, then the grants."""
    functions = sorted((SQL / "functions").glob("*/*.sql"), key=lambda path: path.name)
    paths = [*functions, *sorted((SQL / "views").glob("*.sql")), SQL / "comments.sql", SQL / "grants.sql"]
    return "\n".join(path.read_text("utf-8") for path in paths)


def functions_digest() -> str:
    """Return what tells these functions and grants from those of another version."""
    return hashlib.sha256(repeatable().encode()).hexdigest()[:16]


@cache
def _queries() -> dict[str, str]:
    named: dict[str, str] = {}
    for path in sorted((SQL / "queries").glob("*.sql")):
        _, *parts = QUERY_NAME.split(path.read_text("utf-8"))
        named.update(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
    return named


def query(name: str) -> str:
    """Return the statement that a file of sql/queries/ calls ``name``; its parameters are $1, $2, ..."""
    return _queries()[name]


def filled(name: str, *parts: str) -> str:
    """Return the query called ``name`` with ``parts``, which are SQL, in the places of its parameters."""
    texts, numbers = _split(name)
    return "".join([text + parts[number] for text, number in zip(texts, numbers, strict=False)]) + texts[-1]


@cache
def _split(name: str) -> tuple[list[str], list[int]]:
    """Return what is around the parameters of a query, and which parameter is where."""
    pieces = PARAMETER.split(query(name))
    return pieces[::2], [int(number) - 1 for number in pieces[1::2]]
