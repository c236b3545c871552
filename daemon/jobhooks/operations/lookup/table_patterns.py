"""Matches the names of tables with patterns, such as ``public.dcim_*``."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

WILDCARDS = frozenset("*?[")
PARTS = re.compile(r'"((?:[^"]|"")*)"|([^"])')  # in double quotes, or one character


@dataclass(frozen=True)
class TablePattern:
    """A pattern for the schema, if it has one, and one for the table, in the syntax of a shell."""

    schema: str | None
    table: str

    def matches(self, schema: str, table: str) -> bool:
        """Whether a table matches. A pattern without a schema matches in each."""
        return (self.schema is None or _matches(self.schema, schema)) and _matches(self.table, table)


def is_pattern(name: str) -> bool:
    """Whether a name has a wildcard outside of double quotes."""
    return any(plain in WILDCARDS for _, plain in PARTS.findall(name))


def table_pattern(text: str) -> TablePattern:
    """Parse ``public.dcim_*``, ``dcim_*`` or ``public."Odd *"``, where the star in quotes is part of the name."""
    parts = [""]
    for quoted, plain in PARTS.findall(text):
        if plain == "." and len(parts) == 1:
            parts.append("")
        else:
            parts[-1] += plain or _literally(quoted.replace('""', '"'))
    return TablePattern(None, parts[0]) if len(parts) == 1 else TablePattern(*parts)


def _literally(name: str) -> str:
    return "".join(f"[{letter}]" if letter in WILDCARDS else letter for letter in name)


def _matches(pattern: str, name: str) -> bool:
    """Capitals match as they are, and as PostgreSQL folds them: a shell takes away double quotes."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.lower())
