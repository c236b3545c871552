"""What saving hooks changes: planned, shown, and carried out in one transaction."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import Enum

from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, REMOVED
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import printable
from jobhooks.errors import InvalidConditions
from jobhooks.matching.conditions import check_conditions
from jobhooks.operations import hooks
from jobhooks.operations.hook_file import coalesce, in_order
from jobhooks.operations.hooks import HookSettings, JobHook
from jobhooks.store.connections import SyncConnection

CHANGED = "yellow"


class Doing(Enum):
    """What is done to a hook."""

    ADD = "add"
    EDIT = "edit"
    DELETE = "delete"


@dataclass(frozen=True)
class Difference:
    """A setting of a hook before and after, as people say it."""

    setting: str
    before: object
    after: object


@dataclass(frozen=True)
class Step:
    """What becomes of a hook, and how many deliveries it is owed, which go with it if it is deleted."""

    doing: Doing
    name: str
    differences: list[Difference]
    owed: int
    wanted: HookSettings | None


def plan(conn: SyncConnection, before: Sequence[JobHook], after: Sequence[HookSettings]) -> list[Step]:
    """Return the steps from hooks as they are to those that should be there, deletions first."""
    wanted, there = {hook.name: hook for hook in after}, {hook.name: hook for hook in before}
    gone = [hook for name, hook in there.items() if name not in wanted]
    deleted = [deleting(hook, sum(hooks.owed_to(conn, hook.name).values())) for hook in gone]
    edited = [saving(there[name], hook) for name, hook in wanted.items() if name in there]
    added = [saving(None, hook) for name, hook in wanted.items() if name not in there]
    return [*deleted, *(one for one in edited if one.differences), *added]


def saving(before: JobHook | None, after: HookSettings) -> Step:
    """Return the step that makes a hook, or makes it another one; perhaps with no differences.

    Every hook that is saved passes here, by add, edit or apply. What the database cannot tell is refused here.

    Raises:
        InvalidConditions: its conditions are none; the message names the hook, and shows the place.
    """
    if after.conditions:
        try:
            check_conditions(after.conditions)
        except InvalidConditions as exc:
            raise InvalidConditions(f'cannot save hook "{after.name}": {exc}') from exc
    doing, name = (Doing.ADD, after.name) if before is None else (Doing.EDIT, before.name)
    return Step(doing, name, [*_differences(before, after)], 0, after)


def deleting(before: JobHook, owed: int) -> Step:
    """Return the step that deletes a hook."""
    return Step(Doing.DELETE, before.name, [], owed, None)


def carry_out(conn: SyncConnection, seen: Sequence[JobHook], steps: Sequence[Step], *, keep: bool = True) -> None:
    """Take the steps, all or none; without ``keep`` only to see whether they can be taken.

    Raises:
        Refused: the hooks are not as they were seen, or cannot be what was wanted; nothing was changed.
    """
    hooks.change_all(conn, seen, [_action(conn, one) for one in steps], keep=keep)


def take(conn: SyncConnection, one: Step) -> None:
    """Take one step, by itself.

    Raises:
        Refused: as the message says; nothing was changed.
    """
    _action(conn, one)()


def print_plan(out: Console, steps: Sequence[Step]) -> None:
    """Print what would be done to each hook, with old and new values."""
    for one in steps:
        sign, style = {Doing.ADD: ("+", ADDED), Doing.EDIT: ("~", CHANGED), Doing.DELETE: ("-", REMOVED)}[one.doing]
        owed = f", which is owed {number(one.owed, 'delivery', 'deliveries')}: discarded" if one.owed else ""
        out.print(Text(printable(f'{sign} {one.doing.value} hook "{one.name}"{owed}'), style))
        for difference in one.differences:
            before = "" if one.doing is Doing.ADD else f"{in_words(difference.before)} -> "
            out.print(Text(f"    {difference.setting}: {before}{in_words(difference.after)}"))


def in_words(value: object) -> str:
    """Return a setting on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g} seconds"
    if isinstance(value, list):
        value = ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of texts
    return printable(str(value)).replace("\n", "\\n") if value not in ("", None) else "none"


def _differences(before: HookSettings | None, after: HookSettings) -> Iterator[Difference]:
    default = HookSettings(
        "", [], "", [], enabled=True, priority=0, description="", columns=[], conditions="", coalesce_s=None
    )
    old, new = _said(before or default), _said(after)
    yield from (Difference(name, old[name], value) for name, value in new.items() if old[name] != value)


def _said(hook: HookSettings) -> dict[str, object]:
    """Return the settings of a hook by the names and with the values that a file has, lists in order."""
    said = {field.name: getattr(hook, field.name) for field in fields(HookSettings) if field.name != "coalesce_s"}
    said["content_types"], said["columns"] = sorted(hook.content_types), sorted(hook.columns)
    return {**said, "events": in_order(hook.events), "coalesce": coalesce(hook.coalesce_s)}


def _action(conn: SyncConnection, one: Step) -> Callable[[], object]:
    wanted = one.wanted
    if wanted is None:
        return lambda: hooks.delete_hook(conn, one.name)
    if one.doing is Doing.ADD:
        return lambda: hooks.add_hook(
            conn,
            *(wanted.name, wanted.content_types, wanted.events, wanted.job, wanted.description),
            columns=wanted.columns,
            conditions=wanted.conditions,
            coalesce_s=wanted.coalesce_s,
            enabled=wanted.enabled,
            priority=wanted.priority,
        )
    changed = ["coalesce_s" if item.setting == "coalesce" else item.setting for item in one.differences]
    return lambda: hooks.edit_hook(conn, one.name, {name: getattr(wanted, name) for name in changed})
