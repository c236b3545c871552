"""Finds the changes of one object by its key, in the JSON rows of the log."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobhooks.errors import Refused, WrongUsage
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import Columns, columns, columns_called
from jobhooks.store.undecodable_text import call_readable


@dataclass(frozen=True)
class ObjectKey:
    """Values of key columns as a person writes them. A null column stands for the only column of a key."""

    values: Mapping[str | None, str]

    def changes_among(self, conn: SyncConnection, change_ids: list[int]) -> set[int]:
        """The changes whose row had this key before or after the change."""
        # The text of the value in JSON, for any type. The database skips rows that do not contain it.
        longest = max((json.dumps(value, ensure_ascii=False)[1:-1] for value in self.values.values()), key=len)
        rows = call_readable(conn, "changes_that_say", ids=change_ids, text=longest)
        return {change_id for change_id, key_columns, *rest in rows if self._is_in(key_columns, *rest)}

    def check(self, conn: SyncConnection, content_type_ids: Collection[int] | None) -> None:
        """Check that a table has these columns in its key.

        Raises:
            Refused: no table has, or no table of ``content_type_ids`` if given.
        """
        keys: list[list[str]] = [
            key for id_, key in call(conn, "key_columns") if content_type_ids is None or id_ in content_type_ids
        ]
        if any(self._fits(key) for key in keys):
            return
        known = "; ".join(sorted({", ".join(key) for key in keys if key})) or "no table has a key"
        if None in self.values:
            raise Refused(f"no such table has a key of one column (keys: {known})", "--object COLUMN=VALUE")
        named = ", ".join(filter(None, self.values))
        raise Refused(f"no such table has {named} in its key (keys: {known})")

    def _fits(self, key_columns: Sequence[str]) -> bool:
        return len(key_columns) == 1 if None in self.values else self.values.keys() <= set(key_columns)

    def _is_in(self, key_columns: Sequence[str], written_key: str | None, *images: str | None) -> bool:
        if not self._fits(key_columns):
            return False
        wanted = {name or key_columns[0]: value for name, value in self.values.items()}
        keys = [key_of(key_columns, written_key, image) for image in images]
        return any(all(_means(key.get(name), value) for name, value in wanted.items()) for key in keys)


def object_key(texts: Sequence[str]) -> ObjectKey | None:
    """Parse ``17``, or ``id=17``, or several of these for a key of several columns; null for no texts.

    Raises:
        WrongUsage: a column is named twice, or one value names its column and another does not.
    """
    values: dict[str | None, str] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        name = column.strip() if equals else None
        if name == "" or name in values or (values and (name is None or None in values)):
            raise WrongUsage(f"cannot tell the key columns of {' and '.join(texts)}: write each as COLUMN=VALUE")
        values[name] = value if equals else text
    return ObjectKey(values) if values else None


def key_of(key_columns: Sequence[str], written_key: str | None, image: str | None) -> Columns:
    """The key of a row: as recorded, for a row that could not be recorded, otherwise from the row itself."""
    key = columns(written_key) or columns_called(image, key_columns)
    return {name: key[name] for name in key_columns if name in key}


def _means(literal: str | None, value: str) -> bool:
    """Whether a JSON value equals a text: 17 and "17" both equal ``17``."""
    if literal is None:
        return False
    return literal == value or (literal.startswith('"') and json.loads(literal) == value)
