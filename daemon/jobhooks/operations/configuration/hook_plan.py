"""Plans changes of hooks, and carries a plan out in one transaction. Every hook that an operator saves passes here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from jobhooks.contract.hook_data import normalized
from jobhooks.matching.hook_settings import HookSettings, setting_named
from jobhooks.operations.configuration import hooks
from jobhooks.operations.configuration.hook_checks import FindReceivers, HookChecks
from jobhooks.operations.configuration.hook_file import entry
from jobhooks.operations.configuration.hooks import BLANK, JobHook
from jobhooks.operations.lookup.table_names import check_is_not_another, name_or_full_name
from jobhooks.store.connections import SyncConnection


class StepKind(Enum):
    """The effect of a step on a hook."""

    ADD = "add"
    EDIT = "edit"
    DELETE = "delete"


@dataclass(frozen=True)
class Difference:
    """A setting of a hook before and after, by the names and values of a hook file."""

    setting: str
    before: object
    after: object


@dataclass(frozen=True)
class Step:
    """A change of one hook. ``deliveries``: how many pending deliveries a deletion discards.

    ``data_checked``: the receiver has taken the data that the hook will have.
    """

    kind: StepKind
    name: str
    differences: list[Difference]
    deliveries: int
    wanted: HookSettings | None
    data_checked: bool = False


def plan(
    conn: SyncConnection,
    before: Sequence[JobHook],
    after: Sequence[HookSettings],
    find: FindReceivers | None = None,
) -> list[Step]:
    """The steps that turn the hooks ``before`` into ``after``, deletions first. ``find``: see ``HookChecks``.

    Raises:
        InvalidConditions, InvalidHookData: of a wanted hook; the message names it.
    """
    checks = HookChecks(conn, find)
    wanted, there = {hook.name: hook for hook in after}, {hook.name: hook for hook in before}
    gone = [hook for name, hook in there.items() if name not in wanted]
    deleted = [
        Step(StepKind.DELETE, hook.name, [], sum(hooks.deliveries_of(conn, hook.name).values()), None) for hook in gone
    ]
    edited = [saving(there[name], hook, checks) for name, hook in wanted.items() if name in there]
    added = [saving(None, hook, checks) for name, hook in wanted.items() if name not in there]
    return [*deleted, *(step for step in edited if step.differences), *added]


def saving(before: JobHook | None, after: HookSettings, checks: HookChecks | None = None) -> Step:
    """The step that adds a hook, or edits one; an edit may have no differences.

    Raises:
        InvalidConditions, InvalidHookData: as the message says, which names the hook.
    """
    data_checked = (checks or HookChecks()).check(before, after)
    after = replace(after, data=normalized(after.data))
    kind, name = (StepKind.ADD, after.name) if before is None else (StepKind.EDIT, before.name)
    return Step(kind, name, differences(before, after), 0, after, data_checked)


def adding(conn: SyncConnection, wanted: HookSettings, find: FindReceivers | None = None) -> Step:
    """The step that adds a hook. Tables may be written as PostgreSQL takes them: ``device`` for ``public.device``.

    ``find``: see ``HookChecks``.

    Raises:
        InvalidConditions, InvalidHookData: see ``saving``.
    """
    return saving(None, with_listed_names(conn, wanted), HookChecks(conn, find))


def editing(
    conn: SyncConnection,
    name: str,
    changes: Mapping[str, Any],
    find: FindReceivers | None = None,
    *,
    more_data: Mapping[str, Any] | None = None,
) -> Step:
    """The step that changes settings of a hook, by the fields of ``HookSettings``; it may have no differences.

    ``find``: see ``HookChecks``. ``more_data``: keys that are added to the data, or replace those of the same name.

    Raises:
        UnknownHook: there is no hook of that name.
        InvalidConditions, InvalidHookData: see ``saving``.
    """
    before = hooks.hook_details(conn, name)
    wanted = replace(before, **changes)
    if more_data:
        wanted = replace(wanted, data={**wanted.data, **more_data})
    # A table of the hook that was dropped is no longer found by its listed name, and stays as it is.
    wanted = with_listed_names(conn, wanted) if "content_types" in changes else wanted
    return saving(before, wanted, HookChecks(conn, find))


def deleting(conn: SyncConnection, name: str) -> Step:
    """The step that deletes a hook."""
    return Step(StepKind.DELETE, name, [], sum(hooks.deliveries_of(conn, name).values()), None)


def differences(before: HookSettings | None, after: HookSettings) -> list[Difference]:
    """The settings that differ; for a new hook, those that differ from the defaults."""
    old, new = entry(before or BLANK), entry(after)
    return [Difference(name, old[name], value) for name, value in new.items() if old[name] != value]


def carry_out(
    conn: SyncConnection,
    seen: Sequence[JobHook],
    steps: Sequence[Step],
    *,
    keep: bool = True,
    first: Callable[[], object] = lambda: None,
) -> None:
    """Take the steps, all of them or no step. Without ``keep`` roll back, to find out whether they succeed.

    ``first``: called in the same transaction, before them.

    Raises:
        Refused: the hooks changed since they were ``seen``, or a step failed; nothing was changed.
    """
    hooks.change_all(conn, seen, [first, *(_action(conn, step) for step in steps)], keep=keep)


def take(conn: SyncConnection, step: Step) -> None:
    """Take one step.

    Raises:
        Refused: see ``hooks.add_hook``; nothing was changed.
    """
    _action(conn, step)()


def with_listed_names(conn: SyncConnection, hook: HookSettings) -> HookSettings:
    """The hook with its tables by the names that ``table list`` shows; other names stay the same."""
    return replace(hook, content_types=hooks.table_names(conn, hook.content_types))


def in_file(conn: SyncConnection, hook: HookSettings) -> HookSettings:
    """A hook of a file with its tables by the names that ``table list`` shows.

    Raises:
        UnknownTable: a name without a schema means another table than before.
    """
    for name in hook.content_types:
        check_is_not_another(conn, name, name_or_full_name(conn, name))
    return with_listed_names(conn, hook)


def _action(conn: SyncConnection, step: Step) -> Callable[[], object]:
    wanted = step.wanted
    if wanted is None:
        return lambda: hooks.delete_hook(conn, step.name)
    if step.kind is StepKind.ADD:
        return lambda: hooks.add_hook(conn, wanted, data_checked=step.data_checked)
    changed = [setting_named(item.setting) for item in step.differences]
    return lambda: hooks.edit_hook(
        conn,
        step.name,
        {name: getattr(wanted, name) for name in changed},
        data_checked=wanted if step.data_checked else None,
    )
