"""Lists, shows and changes job hooks. The database checks them, except for their conditions."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psycopg

from jobhooks.errors import Refused
from jobhooks.matching.hook_settings import RULES, HookSettings
from jobhooks.operations.configuration.condition_checks import check_on_tables
from jobhooks.operations.configuration.hook_checks import HookChecks
from jobhooks.operations.lookup.names import unknown_hook
from jobhooks.operations.lookup.table_names import name_or_full_name
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.locking import attempt_with_lock

BLANK = HookSettings("", [], "", [])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHook(HookSettings):
    """A hook with its state. ``runs``: changes lead to runs; ``why_not``: the obstacle, for all or one of its tables.

    ``loaded``: the daemon that leads has loaded the receiver; null if no daemon leads, so that ``runs`` holds for when
    one does. ``condition_state``: valid, invalid, or unchecked if no program has compiled the conditions; null without
    any. ``condition_failures``: about how many changes they could not be evaluated for; ``condition_error``: the latest
    reason. ``keys_at_rate``: how many keys have used their share of its rate, at most one if they share it;
    ``next_at``: when the next delivery of one of them may begin. ``data_state``, ``data_error``: the state of the data,
    null without any that are wrong. ``chain_ends``: about how many changes were too deep in a chain for it, and
    ``chain_end_change_id`` is the last of them.
    """

    runs: bool
    why_not: str | None
    condition_state: str | None
    condition_failures: int
    condition_error: str | None
    keys_at_rate: int = 0
    next_at: datetime.datetime | None = None
    data_state: str | None = None
    data_error: str | None = None
    loaded: bool | None = None
    chain_ends: int = 0
    chain_end_change_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookDetails(JobHook):
    """A hook with its number of pending deliveries, by state."""

    deliveries: dict[str, int]


def hooks(conn: SyncConnection) -> list[JobHook]:
    """All job hooks, by descending priority, then by name."""
    return [JobHook(**_columns(row)) for row in call(conn, "hooks")]


def hook_details(conn: SyncConnection, name: str) -> HookDetails:
    """Everything about one hook.

    Raises:
        UnknownHook: there is no hook of that name.
    """
    rows = call(conn, "hook_shown", name=name)
    if not rows:
        raise unknown_hook(conn, name)
    return HookDetails(**_columns(rows[0]), deliveries=deliveries_of(conn, name))


def deliveries_of(conn: SyncConnection, name: str) -> dict[str, int]:
    """The number of pending deliveries of a hook, by state."""
    return dict(call(conn, "deliveries_of_hook", name=name))


def add_hook(conn: SyncConnection, settings: HookSettings, *, data_checked: bool = False) -> None:
    """Add a job hook. ``data_checked``: its receiver has taken its data.

    Raises:
        InvalidConditions, InvalidHookData, UnknownJob, UnknownEvent, NotWatched, HookExists, InvalidName, HookConflict,
            UnknownColumn, JobIsOff: as the message says; nothing was changed.
    """
    HookChecks().check(None, settings)
    check_on_tables(conn, None, settings)
    _save(conn, None, {setting: getattr(settings, setting) for setting in RULES}, settings if data_checked else None)


def edit_hook(
    conn: SyncConnection, name: str, changes: Mapping[str, Any], *, data_checked: HookSettings | None = None
) -> None:
    """Change some settings of a hook, by the fields of ``HookSettings``.

    ``data_checked``: the hook as it will be, if its receiver has taken its data.

    Raises:
        UnknownHook, and the errors of ``add_hook``: nothing was changed.
    """
    HookChecks().check(None, replace(BLANK, **{"name": name, **changes}))
    if {"conditions", "content_types"} & changes.keys():
        before = hook_details(conn, name)
        check_on_tables(conn, before, replace(before, **changes))
    _save(conn, name, changes, data_checked)


def enable_hook(conn: SyncConnection, name: str, *, enabled: bool = True) -> None:
    """Enable or disable a hook.

    Raises:
        UnknownHook, JobIsOff: as the message says; nothing was changed.
    """
    call(conn, "enable_hook", name=name, enabled=enabled)


def pause_hooks(conn: SyncConnection, names: Sequence[str], *, paused: bool = True) -> None:
    """Pause or resume hooks, all or none. A paused hook keeps its position in the log and its pending deliveries.

    Raises:
        UnknownHook: as the message says; nothing was changed.
    """
    with conn.transaction():
        for name in names:
            call(conn, "pause_hook", name=name, paused=paused)


def delete_hook(conn: SyncConnection, name: str) -> int:
    """Delete a hook, and discard its pending deliveries; the result is their number.

    Raises:
        UnknownHook, LockNotAvailable: nothing was changed.
    """
    ((discarded,),) = call(conn, "delete_hook", name=name)
    return discarded


def table_names(conn: SyncConnection, names: Sequence[str]) -> list[str]:
    """Tables by their listed names, sorted; a name of no table stays the same."""
    return sorted({name_or_full_name(conn, name) for name in names})


def change_all(
    conn: SyncConnection, seen: Sequence[JobHook], steps: Sequence[Callable[[], object]], *, keep: bool = True
) -> None:
    """Take all steps in one transaction, if the hooks are still those ``seen`` by the author of the steps.

    Without ``keep`` the transaction is rolled back, which tells only whether the steps succeed.

    Raises:
        Refused: the hooks have changed since.
        LockNotAvailable: another session is changing hooks.
        JobhooksError: of a step, or of a check at the end of all steps; nothing was changed.
    """

    def changed() -> None:
        # No session can change hooks between this comparison and the commit.
        call(conn, "lock_hooks")
        if list(map(_settings, hooks(conn))) != list(map(_settings, seen)):
            raise Refused(
                "another session has changed the hooks since, so nothing was changed", "the same command again"
            )
        for step in steps:
            step()
        call(conn, "check_now")
        if not keep:
            raise psycopg.Rollback

    attempt_with_lock(conn, changed)


def _save(
    conn: SyncConnection, name: str | None, settings: Mapping[str, object], data_checked: HookSettings | None
) -> None:
    """Save a hook, and record that its conditions compile and that its receiver takes its data."""
    call(
        conn,
        "save_hook",
        name=name,
        settings=msgspec.json.encode(settings).decode(),
        compiled=settings.get("conditions") or None,
        job=None if data_checked is None else data_checked.job,
        data=None if data_checked is None else msgspec.json.encode(data_checked.data).decode(),
    )


def _settings(hook: JobHook) -> dict[str, Any]:
    """The settings of a hook, without its state, which a daemon may change at any moment."""
    return {setting: getattr(hook, setting) for setting in RULES}


def _columns(row: tuple[Any, ...]) -> dict[str, Any]:
    settings_json, runs, loaded, why_not, state, failures, error, data_state, data_error, *more = row
    keys_at_rate, next_at, chain_ends, chain_end_change_id = more
    settings = msgspec.json.decode(settings_json, type=HookSettings)
    return {
        **{setting: getattr(settings, setting) for setting in RULES},
        "runs": runs,
        "loaded": loaded,
        "why_not": why_not,
        "condition_state": state,
        "condition_failures": failures,
        "condition_error": error,
        "keys_at_rate": keys_at_rate,
        "next_at": next_at,
        "data_state": data_state,
        "data_error": data_error,
        "chain_ends": chain_ends,
        "chain_end_change_id": chain_end_change_id,
    }
