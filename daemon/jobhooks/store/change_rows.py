"""Changes and watched tables as the engine and replay read them from the database."""

from typing import Any

import asyncpg
import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.store.connections import AsyncConnection
from jobhooks.store.undecodable_text import call_readable_async

ACTIONS = {action.value: action for action in ObjectChangeActionChoices}
NOTHING: dict[str, Any] = {}
COLUMNS = 9  # of a change, in read_page and backlog_changes
ContentTypes = dict[int, ContentType]


async def load_content_types(conn: AsyncConnection) -> ContentTypes:
    """The watched tables as they are now, by id."""
    return {
        row["id"]: ContentType(
            id=row["id"],
            name=row["name"],
            schema=row["schema"],
            table=row["table"],
            key_columns=tuple(row["key_columns"]),
            key_types=tuple(row["key_types"]),
            ignored_columns=frozenset(row["ignore"]),
        )
        for row in await call_readable_async(conn, "content_types")
    }


def change_of(row: asyncpg.Record, content_types: ContentTypes) -> Change:
    """Make a change of a row that begins with the columns of ``read_page``."""
    change_id, transaction_id, time, content_type_id, action, role, context, prechange, postchange = row[:COLUMNS]
    rare = msgspec.json.decode(context) if context is not None else NOTHING
    object_key = rare.get("object_key")
    change = object.__new__(Change)
    # The effect of Change(...), without a call for each field: this runs once for every change.
    fields = {
        "id": change_id,
        "transaction_id": transaction_id,
        "time": time,
        "content_type": content_types[content_type_id],
        "action": ACTIONS[action],
        "user_name": rare.get("user_name") or role,
        "request_id": rare.get("request_id"),
        "prechange_json": prechange,
        "postchange_json": postchange,
        "object_key_json": None if object_key is None else msgspec.json.encode(object_key).decode(),
        "snapshot_error": rare.get("snapshot_error"),
        "partition": rare.get("partition"),
        "session_role": role,
    }
    if cause := rare.get("caused_by"):
        fields["caused_by"] = DeliveryIdentity(cause["change"], cause["hook"], cause["attempt"])
    object.__setattr__(change, "__dict__", fields)
    return change
