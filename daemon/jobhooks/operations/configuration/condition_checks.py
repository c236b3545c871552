"""Compares the conditions of hooks with the columns of their tables, before a hook is saved and afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jobhooks.errors import Refused
from jobhooks.matching.condition_kinds import check_kinds, why_wrong
from jobhooks.matching.conditions import why_invalid
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.matching.logged_columns import logged_columns
from jobhooks.operations.lookup.table_names import name_or_full_name
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable


@dataclass(frozen=True)
class BrokenConditions:
    """Conditions that compile, and cannot be right for the tables as they are now. ``reason``: why, on one line."""

    hook: str
    reason: str


def check_on_tables(conn: SyncConnection, before: HookSettings | None, after: HookSettings) -> None:
    """Check the conditions of a hook that is added (``before`` is null) or changed, as they are or with its tables.

    A hook whose conditions a later change of its tables broke can be changed in other ways: disabled, for example.

    Raises:
        InvalidConditions: the message names the hook.
    """
    if not after.conditions:
        return
    if before is not None and (before.conditions, set(before.content_types)) == (
        after.conditions,
        set(after.content_types),
    ):
        return
    tables = [name_or_full_name(conn, name) for name in after.content_types]
    columns = logged_columns(tables, call(conn, "logged_columns", tables=tables))
    try:
        if columns is not None:
            check_kinds(after.conditions, columns)
    except Refused as exc:
        raise exc.about(f'cannot save hook "{after.name}"') from exc


def broken_conditions(conn: SyncConnection) -> list[BrokenConditions]:
    """The enabled hooks with conditions that a change of their tables broke, or that were saved without this check."""
    hooks = [msgspec.json.decode(row[0], type=HookSettings) for row in call_readable(conn, "hooks_with_conditions")]
    rows = call_readable(conn, "logged_columns", tables=sorted({name for hook in hooks for name in hook.content_types}))
    return list(_broken(hooks, rows))


def _broken(hooks: Iterable[HookSettings], rows: Sequence[tuple[Any, ...]]) -> Iterable[BrokenConditions]:
    for hook in hooks:
        columns = logged_columns(hook.content_types, rows)
        if columns is None or why_invalid(hook.conditions) is not None:
            continue  # the lists and other problems have these
        reason = why_wrong(hook.conditions, columns)
        if reason is not None:
            yield BrokenConditions(hook.name, reason)
