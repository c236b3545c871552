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
from jobhooks.contract.run import current_run
from jobhooks.contract.snapshots import Row, Snapshots, decode_row, differences

# A string, or a separator of JSON. Possessive, so that a string of megabytes needs no extra memory.
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]')


@dataclass(frozen=True)
class Change:
    """One captured row change: the action, the row before and after, the time, the user and the transaction.

    ``session_role``: the role that the session logged in as, which the application cannot choose, unlike ``user_name``.
    ``partition``: the truncated one, if only a partition was truncated. The snapshots are decoded on first use, so a
    change without a matching hook costs nothing.
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

    @cached_property
    def prechange(self) -> Row | None:
        """The row before the change. Create and truncate have no such row."""
        return None if self.prechange_json is None else decode_row(self.prechange_json)

    @cached_property
    def postchange(self) -> Row | None:
        """The row after the change. Delete and truncate have no such row."""
        return None if self.postchange_json is None else decode_row(self.postchange_json)

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
        all tables before this one, if the log still has them, and uses the receiver's connection.

        Raises:
            RuntimeError: no receiver runs.
        """
        run = current_run.get()
        if run is None or run.previous is None:
            raise RuntimeError("previous() is for receivers: it reads through the connection of a run")
        return run.previous(self.id, self.content_type)

    def get_snapshots(self) -> Snapshots:
        """The row before, the row after, and the top-level columns that differ, removed and added."""
        return {
            "prechange": self.prechange,
            "postchange": self.postchange,
            "differences": differences(self.prechange, self.postchange, self.content_type.ignored_columns),
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
