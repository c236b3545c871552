"""Changes and watched tables as the engine and replay read them from the database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.content_type import ContentType, Parent
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.store.connections import AsyncConnection
from jobhooks.store.undecodable_text import call_readable_async

ACTIONS = {action.value: action for action in ObjectChangeActionChoices}
NOTHING: dict[str, Any] = {}
NO_PARENTS = "[]"
COLUMNS = 9  # of a change, in read_page and backlog_changes
ContentTypes = dict[int, ContentType]


async def load_content_types(conn: AsyncConnection) -> ContentTypes:
    """The watched tables as they are now, by id."""
    return content_types_of(await call_readable_async(conn, "content_types"))


def content_types_of(rows: Iterable[Any]) -> ContentTypes:
    """The tables of the rows of ``content_types``, by id."""
    found: ContentTypes = {}
    links: dict[int, list[tuple[int, list[str], bool]]] = {}
    for id_, name, schema, table, key_columns, ignored, key_types, parents in rows:
        found[id_] = ContentType(id_, name, schema, table, tuple(key_columns), tuple(key_types), frozenset(ignored))
        if parents != NO_PARENTS:
            links[id_] = msgspec.json.decode(parents)
    return _with_parents(found, links) if links else found


def _with_parents(content_types: ContentTypes, links: Mapping[int, list[tuple[int, list[str], bool]]]) -> ContentTypes:
    active = {parent_id for parents in links.values() for parent_id, _, is_active in parents if is_active}
    marked = {id_: replace(each, is_parent=id_ in active) for id_, each in content_types.items()}
    return {
        id_: replace(
            each,
            parents=tuple(
                Parent(marked[parent_id], tuple(columns), is_active)
                for parent_id, columns, is_active in links.get(id_, ())
            ),
        )
        for id_, each in marked.items()
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
    if rare is not NOTHING:
        if cause := rare.get("caused_by"):
            fields["caused_by"] = DeliveryIdentity(cause["change"], cause["hook"], cause["attempt"])
            fields["depth"] = cause.get("depth", 1)
        if message := rare.get("message"):
            fields["message"] = message
    object.__setattr__(change, "__dict__", fields)
    return change
