"""Finding the changes of one object by its key, in rows as the log has them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobhooks.errors import Refused, WrongUsage
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import Columns, columns, columns_called
from jobhooks.store.undecodable_text import call_readable


@dataclass(frozen=True)
class ObjectKey:
    """The values of key columns as a person wrote them; the column None is the only one that the key has."""

    values: Mapping[str | None, str]

    def changes_among(self, conn: SyncConnection, change_ids: list[int]) -> set[int]:
        """Return which of the changes are of this object: before the change or after it."""
        # As it stands in JSON, whatever its type. The database passes over what does not hold it at all.
        longest = max((json.dumps(value, ensure_ascii=False)[1:-1] for value in self.values.values()), key=len)
        rows = call_readable(conn, "changes_that_say", ids=change_ids, text=longest)
        return {change_id for change_id, key_columns, *rest in rows if self._is_in(key_columns, *rest)}

    def check(self, conn: SyncConnection, content_type_ids: Collection[int] | None) -> None:
        """Check that there is a table whose key has these columns.

        Raises:
            Refused: there is none, among those of ``content_type_ids`` if given.
        """
        keys: list[list[str]] = [
            key for id_, key in call(conn, "key_columns") if content_type_ids is None or id_ in content_type_ids
        ]
        if any(self._fits(key) for key in keys):
            return
        known = "; ".join(sorted({", ".join(key) for key in keys if key})) or "there is none"
        if None in self.values:
            raise Refused(f"no table that is meant has a key of one column: say COLUMN=VALUE (keys: {known})")
        named = ", ".join(filter(None, self.values))
        raise Refused(f"no table that is meant has {named} in its key (keys: {known})")

    def _fits(self, key_columns: Sequence[str]) -> bool:
        return len(key_columns) == 1 if None in self.values else self.values.keys() <= set(key_columns)

    def _is_in(self, key_columns: Sequence[str], written_key: str | None, *images: str | None) -> bool:
        if not self._fits(key_columns):
            return False
        wanted = {name or key_columns[0]: value for name, value in self.values.items()}
        keys = [key_of(key_columns, written_key, image) for image in images]
        return any(all(_means(key.get(name), value) for name, value in wanted.items()) for key in keys)


def object_key(texts: Sequence[str]) -> ObjectKey | None:
    """Return what is meant by ``17``, or ``id=17``, or several such; None for none.

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
    """Return the key of a row: as it was written where the row could not be, else from the row."""
    key = columns(written_key) or columns_called(image, key_columns)
    return {name: key[name] for name in key_columns if name in key}


def _means(literal: str | None, value: str) -> bool:
    """Return whether JSON stands for what a person wrote: 17, or "17", or null."""
    if literal is None:
        return False
    return literal == value or (literal.startswith('"') and json.loads(literal) == value)
