"""Matches the names of tables with patterns, such as ``public.dcim_*``."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

WILDCARDS = frozenset("*?[")
PARTS = re.compile(r'"((?:[^"]|"")*)"|([^"])')  # in double quotes, or one character


@dataclass(frozen=True)
class NamePattern:
    """A pattern for a name, in the syntax of a shell. ``folded``: with its capitals outside of quotes made small.

    Both match: a shell may have taken away double quotes.
    """

    exact: str = ""
    folded: str = ""

    def matches(self, name: str) -> bool:
        """Whether a name matches."""
        return fnmatchcase(name, self.exact) or fnmatchcase(name, self.folded)

    def extended(self, quoted: str, plain: str) -> "NamePattern":
        """The pattern with more text in double quotes, or with more outside of them."""
        literal = _literally(quoted.replace('""', '"'))
        return NamePattern(self.exact + literal + plain, self.folded + literal + plain.lower())


@dataclass(frozen=True)
class TablePattern:
    """A pattern for the schema, if it has one, and one for the table."""

    schema: NamePattern | None
    table: NamePattern

    def matches(self, schema: str, table: str) -> bool:
        """Whether a table matches. A pattern without a schema matches in each."""
        return (self.schema is None or self.schema.matches(schema)) and self.table.matches(table)


def is_pattern(name: str) -> bool:
    """Whether a name has a wildcard outside of double quotes."""
    return any(plain in WILDCARDS for _, plain in PARTS.findall(name))


def table_pattern(text: str) -> TablePattern:
    """Parse ``public.dcim_*``, ``dcim_*`` or ``public."Odd *"``, where the star in quotes is part of the name."""
    parts = [NamePattern()]
    for quoted, plain in PARTS.findall(text):
        if plain == "." and len(parts) == 1:
            parts.append(NamePattern())
        else:
            parts[-1] = parts[-1].extended(quoted, plain)
    return TablePattern(None, parts[0]) if len(parts) == 1 else TablePattern(*parts)


def _literally(name: str) -> str:
    return "".join(f"[{letter}]" if letter in WILDCARDS else letter for letter in name)
