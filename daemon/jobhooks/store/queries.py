"""The files of sql/: migrations, functions, grants and named queries."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# A symbolic link in a checkout, a folder in an installed wheel.
SQL = Path(__file__).parent.parent / "sql"
QUERY_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
# Everything in SQL that can hold a colon. A dollar-quoted body is code, not a string: parameters in it count.
TOKEN = re.compile(
    r"""
      --[^\n]*                                      # comments
    | /\*.*?\*/
    | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'               # a string with escapes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | ::                                            # a cast
    | (?<![\w\])]):(?P<parameter>[a-z][a-z0-9_]*)   # not the upper bound of a slice, as in value[1:last]
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query of sql/queries/: its parameters have names there, and numbers where it is sent.

    ``text`` has $1, $2, ... in the order of ``parameters``; ``encoded`` is the same for psycopg. ``template`` is the
    text as a format with the parameters' names.
    """

    name: str
    text: str
    encoded: bytes
    parameters: tuple[str, ...]
    template: str

    def arguments(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """Put the values of the parameters into the order of their numbers.

        Raises:
            TypeError: a parameter has no value, or a value belongs to no parameter.
        """
        if len(values) == len(self.parameters):
            try:
                return tuple(map(values.__getitem__, self.parameters))
            except KeyError:
                pass
        raise TypeError(_mismatch(self, values))

    def filled(self, values: Mapping[str, str]) -> str:
        """Put ``values``, which are SQL, in the places of the parameters.

        Raises:
            TypeError: a parameter has no value, or a value belongs to no parameter.
        """
        if len(values) == len(self.parameters):
            try:
                return self.template % values
            except KeyError:
                pass
        raise TypeError(_mismatch(self, values))


def parse(name: str, text: str) -> Query:
    """Find the parameters of a query, :like_this, and number them in order of appearance. Comments are not sent."""
    numbers: dict[str, str] = {}
    sent = template = ""
    end = 0
    for token in TOKEN.finditer(text):
        parameter = token["parameter"]
        if parameter is None and not token[0].startswith("--"):
            continue
        before = text[end : token.start()]
        sent += before
        template += before.replace("%", "%%")
        end = token.end()
        if parameter is not None:
            sent += numbers.setdefault(parameter, f"${len(numbers) + 1}")
            template += f"%({parameter})s"
    rest = text[end:]
    sent = (sent + rest).strip()
    return Query(name, sent, sent.encode(), tuple(numbers), (template + rest.replace("%", "%%")).strip())


def _mismatch(query: Query, values: Mapping[str, object]) -> str:
    missing = [f"no value for :{name}" for name in query.parameters if name not in values]
    unknown = [f"no parameter :{name}" for name in values if name not in query.parameters]
    return f"query {query.name}: {', '.join(missing + unknown)}"


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in order."""
    paths = sorted((SQL / "migrations").glob("*.sql"))
    return tuple(Migration(int(path.name[:4]), path.stem[5:], path.read_text("utf-8")) for path in paths)


@cache
def repeatable() -> str:
    """The SQL of every installation, in order."""
    functions = sorted((SQL / "functions").rglob("*.sql"), key=lambda path: path.name)
    before = [SQL / "retired.sql", SQL / "roles.sql"]
    after = [SQL / name for name in ("comments.sql", "rows.sql", "segments.sql", "ownership.sql", "grants.sql")]
    paths = [*before, *functions, *sorted((SQL / "views").glob("*.sql")), *after]
    return "\n".join(path.read_text("utf-8") for path in paths)


def functions_digest() -> str:
    """A digest of these functions, views and grants: other versions have another one."""
    return hashlib.sha256(repeatable().encode()).hexdigest()[:16]


@cache
def query_texts() -> dict[str, str]:
    """Read the texts of all queries, by name."""
    named: dict[str, str] = {}
    for path in sorted((SQL / "queries").rglob("*.sql")):
        _, *parts = QUERY_NAME.split(path.read_text("utf-8"))
        named.update(zip(parts[::2], parts[1::2], strict=True))
    return named


@cache
def find_query(name: str) -> Query:
    """Find a query. It is parsed at its first use: a command uses few of them."""
    return parse(name, query_texts()[name].strip())


def query(name: str) -> str:
    """The text of a query, with $1, $2, ... for its parameters."""
    return find_query(name).text


def filled(name: str, /, **parts: str) -> str:
    """The text of a query with ``parts``, which are SQL, in the places of its parameters."""
    return find_query(name).filled(parts)
