"""Renders what an adoption keeps or drops."""

from dataclasses import dataclass

from jobhooks.cli.show.output import print_records
from jobhooks.operations.adopting import Adoption, Owed


@dataclass(frozen=True)
class _Row:
    """A row of the table: ``Owed`` for people."""

    hook: str
    unread: str
    waiting: int
    dead: int


def _row(owed: Owed) -> _Row:
    unread = str(owed.unread) if owed.complete else f"over {owed.unread}"
    return _Row(owed.hook, unread, owed.waiting, owed.dead)


def print_owed(plan: Adoption) -> None:
    """Print a table of the hooks and their deliveries."""
    if plan.hooks:
        print_records(_Row, [_row(owed) for owed in plan.hooks], as_json=False)


def if_moved(plan: Adoption) -> str:
    """What --moved does, for a sentence with the database as its subject."""
    kept = f"goes on where it stopped: {_total(plan)} are kept."
    if plan.ids_survived:
        return kept
    return (
        f"{kept} Transaction ids have begun again on this server, so unread changes get new ones. Writers of watched"
        " tables wait until that is done."
    )


def if_copied(plan: Adoption) -> str:
    """What --copy does, likewise."""
    return f"starts afresh: {_total(plan)} are dropped, because they are for the original."


def _total(plan: Adoption) -> str:
    more = "" if all(each.complete for each in plan.hooks) else "over "
    unread = sum(each.unread for each in plan.hooks)
    pending = sum(each.waiting + each.dead for each in plan.hooks)
    return f"{more}{unread} unread and {pending} pending deliveries"
