"""One captured row change, as a receiver gets it."""

import datetime
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import msgspec
from msgspec.structs import astuple

from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.log import clean_text
from jobhooks.contract.nautobot.exact_number import json_ready
from jobhooks.contract.run import ChangeReader, DeliveryIdentity, current_run
from jobhooks.contract.snapshots import Row, Snapshots, decode_row, differences

# A string, or a separator of JSON. Possessive, so that a string of megabytes needs no extra memory.
LONGEST_KEY = 100  # characters of a key's value in a text
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]')


@dataclass(frozen=True, repr=False)
class Change:
    """One captured row change: the action, the row before and after, the time, the user and the transaction.

    ``session_role``: the role that the session logged in as, which the application cannot choose, unlike ``user_name``.
    ``message``: what the application said of the change, beside these. ``partition``: the truncated one, if only a
    partition was truncated. ``related``: the change of a child table, such as one of a many-to-many, that made this
    one: an update of the parent, without rows; ``part`` numbers the parents of one table that one change updates.
    ``depth``: 0 if an application made the change, else how many runs lie between it and such a change. The snapshots
    are decoded on first use, so a change without a matching hook costs nothing.
    """

    id: int
    transaction_id: int
    time: datetime.datetime
    content_type: ContentType
    action: ObjectChangeActionChoices
    user_name: str
    request_id: str | None
    prechange_json: str | None
    postchange_json: str | None
    object_key_json: str | None = None
    snapshot_error: str | None = None
    partition: str | None = None
    session_role: str = ""
    caused_by: DeliveryIdentity | None = None
    related: "Change | None" = None
    part: int = 0
    message: str | None = None
    depth: int = 0

    @cached_property
    def prechange(self) -> Row | None:
        """The row before the change. Create and truncate have no such row."""
        return None if self.prechange_json is None else decode_row(self.prechange_json)

    @cached_property
    def postchange(self) -> Row | None:
        """The row after the change. Delete and truncate have no such row."""
        return None if self.postchange_json is None else decode_row(self.postchange_json)

    def __str__(self) -> str:
        """The object, the action and the user, as in ``public.device 7 update by alice``: never the row."""
        return f"{self.object_repr} {self.action} by {self.user_name}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self}>"

    @property
    def pk(self) -> int:
        """The same as ``id``."""
        return self.id

    @property
    def object_repr(self) -> str:
        """The table and the key of the object, as in ``public.device 7``."""
        key = self.object_key()
        values = [] if key is None else [clean_text(value, LONGEST_KEY) for value in key.values()]
        return " ".join([self.content_type.name, ", ".join(values)]).rstrip()

    @property
    def object_data(self) -> Row | None:
        """The row after the change; before it, if the change deleted it. Its numbers are as in ``get_snapshots``."""
        return json_ready(self.prechange if self.postchange_json is None else self.postchange)

    @property
    def object_data_v2(self) -> Row | None:
        """The same as ``object_data``."""
        return self.object_data

    @property
    def change_context(self) -> str:
        """``job-hook`` for a change that a run made, else ``orm``: words of Nautobot's."""
        return "orm" if self.caused_by is None else "job-hook"

    @property
    def change_context_detail(self) -> str:
        """The run that made the change, as change, hook and attempt; if no run did, the message or an empty text."""
        return self.message or "" if self.caused_by is None else self.caused_by.mark

    @property
    def size(self) -> int:
        """The number of characters of the rows as JSON."""
        return len(self.prechange_json or "") + len(self.postchange_json or "")

    @property
    def changed_object_type(self) -> str:
        """The table, as ``schema.table``."""
        return self.content_type.name

    @property
    def changed_object_id(self) -> object:
        """The current key of the object: a value, or a dict for a key of several columns; null without a key."""
        key = self.object_key()
        return next(iter(key.values())) if key is not None and len(key) == 1 else key

    def previous(self) -> Any:
        """The previous change of this object; null if it is not found. Await it in an ``async def`` receiver.

        A create has no previous change, even if an earlier object had its key. The search covers the 100,000 changes of
        all tables before this one, if the log still has them, and uses the receiver's connection. For an update that a
        change of a child made, it is the previous change of the child.

        Raises:
            RuntimeError: no receiver runs.
        """
        return self._reader("previous()").previous(self.id, self._logged_type)

    @property
    def changed_object(self) -> Any:
        """The live row, read now; null if it no longer exists. Await it in an ``async def`` receiver.

        The argument ``changed_object`` of the receiver is the row as it was read before the call.
        """
        return self._reader("changed_object").changed_object(self)

    def get_prev_change(self, user: object = None) -> Any:  # noqa: ARG002 - Nautobot's
        """The same as ``previous``. ``user`` has no effect."""
        return self.previous()

    def get_next_change(self, user: object = None) -> Any:  # noqa: ARG002 - as there
        """The next change of this object, if it has one already. Await it in an ``async def`` receiver.

        The search covers the 20,000 changes of all tables after this one. ``user`` has no effect.
        """
        return self._reader("get_next_change()").next(self.id, self._logged_type)

    def get_related_changes(self, user: object = None, permission: str = "view") -> Any:  # noqa: ARG002 - as there
        """The other changes of this object, the oldest first: up to 1,000 before it and 1,000 after it.

        Await it in an ``async def`` receiver. The search covers the 20,000 changes of all tables before this one, and
        the 20,000 after it. ``user`` and ``permission`` have no effect.
        """
        return self._reader("get_related_changes()").related(self.id, self._logged_type)

    @property
    def _logged_type(self) -> ContentType:
        """The table whose change the log has: that of the child, if a change of a child made this one."""
        return (self.related or self).content_type

    def _reader(self, name: str) -> ChangeReader:
        run = current_run.get()
        if run is None or run.reader is None:
            raise RuntimeError(f"{name} is for receivers: it reads through the connection of a run")
        return run.reader

    def get_snapshots(self) -> Snapshots:
        """The row before, the row after, and the top-level columns that differ, removed and added.

        An update that a change of a child made has no rows and no differences: see ``related``. Numbers with a fraction
        are digits that act as Decimals, so that ``json.dumps`` writes them without loss.
        """
        if self.related is not None and self.prechange_json is self.postchange_json is None:
            return {"prechange": None, "postchange": None, "differences": {"removed": {}, "added": {}}}
        unequal = differences(self.prechange, self.postchange, self.content_type.ignored_columns)
        return {
            "prechange": json_ready(self.prechange),
            "postchange": json_ready(self.postchange),
            "differences": {"removed": json_ready(unequal["removed"]), "added": json_ready(unequal["added"])},
        }

    def object_key(self) -> Row | None:
        """The current key of the row: the new one after an update.

        Null if the table has no key, or if a key column was renamed or dropped since the table was watched.
        """
        row = self.postchange or self.prechange
        if row is None and self.object_key_json is not None:
            row = decode_row(self.object_key_json)
        columns = self.content_type.key_columns
        if row is None or not columns or not row.keys() >= set(columns):
            return None
        return {name: row[name] for name in columns}

    def lane_keys(self, columns: tuple[str, ...] | None = None) -> tuple[bytes, ...] | None:
        """The key before as JSON, and the key after if it differs. By default of the key columns, else of ``columns``.

        Null for a truncate, and for a row that lost a key column. All changes of a table without key columns share one
        key: it has no objects to distinguish.
        """
        if self.action is ObjectChangeActionChoices.ACTION_TRUNCATE:
            return None
        if columns is None:
            columns = self.content_type.key_columns
        if not columns:
            return (b"",)
        before, after = self.prechange_json, self.postchange_json
        if before is None or after is None:
            row = before or after or self.object_key_json
            key = None if row is None else _key(columns, row)
            return None if key is None else (key,)
        former, key = _key(columns, before), _key(columns, after)
        if former is None or key is None:
            return None
        return (former,) if former == key else (former, key)


def _key(columns: tuple[str, ...], row_json: str) -> bytes | None:
    """Read the key of a row, as the JSON of its columns, without decoding the rest of the row."""
    try:
        return b",".join(astuple(_key_decoder(columns).decode(row_json)))
    except (msgspec.DecodeError, RecursionError, ValueError):
        # The faster reader refuses half a surrogate pair, some hundred levels of nesting, and quotes in names.
        values = raw_values(row_json)
        return b",".join([values[name] for name in columns]) if values.keys() >= set(columns) else None


def raw_values(row_json: str) -> dict[str, bytes]:
    """Read the columns of a row, each as its JSON text, at any depth of nesting."""
    values: dict[str, bytes] = {}
    name = None
    start = depth = 0
    for token in TOKEN.finditer(row_json):
        text = token[0]
        if text in "}]":
            depth -= 1
        if text == ":" and depth == 1:
            name, start = json.loads(row_json[start : token.start()]), token.end()
        elif name is not None and (not depth or (text == "," and depth == 1)):
            values[name] = row_json[start : token.start()].strip().encode()
            start = token.end()
        if text in "{[":
            depth += 1
            start = token.end() if depth == 1 else start
    return values


@cache
def _key_decoder(columns: tuple[str, ...]) -> msgspec.json.Decoder[msgspec.Struct]:
    names = [f"column_{number}" for number in range(len(columns))]
    key = msgspec.defstruct(
        "Key", [(name, msgspec.Raw) for name in names], rename=dict(zip(names, columns, strict=True))
    )
    return msgspec.json.Decoder(key)
