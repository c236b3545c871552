"""Arranges a database for ``jobhooks dev``: all tables are watched, all receivers hooked, failures tried again."""

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobhooks.errors import Refused
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import watching
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.hooks import JobHook
from jobhooks.operations.configuration.jobs import Job
from jobhooks.operations.delivering import deliveries
from jobhooks.operations.delivering.deliveries import DeliveryFilter
from jobhooks.operations.lookup.table_patterns import table_pattern
from jobhooks.operations.watching import Outcome, TableStep, WatchOptions
from jobhooks.store.connections import SyncConnection, call

PREFIX = "dev: "  # of the names of hooks
EVENTS = ["create", "update", "delete"]
PRODUCTION = re.compile(r"(?:^|[^a-z])(?:prod|production|live)(?:$|[^a-z])")


@dataclass(frozen=True)
class Unhooked:
    """A receiver that could not be enabled or hooked, and why."""

    job: str
    error: Refused


@dataclass(frozen=True)
class Arranged:
    """Changes to the setup: newly watched tables, enabled jobs, and hooks that were made or got other tables."""

    watched: list[str] = field(default_factory=list[str])
    refused: list[TableStep] = field(default_factory=list[TableStep])
    enabled: list[str] = field(default_factory=list[str])
    hooked: list[str] = field(default_factory=list[str])
    unhooked: list[Unhooked] = field(default_factory=list[Unhooked])


def modules_in(directories: Sequence[Path]) -> set[str]:
    """The top-level modules in directories of receivers, without those that come with jobhooks."""
    return {
        path.stem
        for directory in directories
        if directory.is_dir()
        for path in directory.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def unwatched(conn: SyncConnection, excepted: Sequence[str]) -> list[str]:
    """The tables that are not watched yet and could be."""
    return [step.table for step in _steps(conn, excepted) if step.outcome is Outcome.WATCHED]


def arrange(conn: SyncConnection, modules: Collection[str], excepted: Sequence[str] = ()) -> Arranged:
    """Watch the tables that are not watched, and enable and hook the jobs of these modules.

    A table without a primary key is watched without a key. A job that has a hook keeps it, and gets no other one.
    """
    arranged = Arranged()
    for step in watching.carry_out(conn, [one for one in _steps(conn, excepted) if one.outcome is Outcome.WATCHED]):
        if step.outcome is Outcome.REFUSED:
            arranged.refused.append(step)
        else:
            arranged.watched.append(step.table)
    tables = [one.table for one in watching.candidates(conn) if one.watched and not _is_excepted(one, excepted)]
    if not tables:
        return arranged
    existing = {hook.name: hook for hook in hooks.hooks(conn)}
    for job in jobs.jobs(conn):
        if job.installed and job.job.partition(".")[0] in modules:
            try:
                _hook(conn, job, tables, existing, arranged)
            except Refused as exc:  # for example, no table has the columns that it is ordered by
                arranged.unhooked.append(Unhooked(job.job, exc))
    return arranged


def retry_failures(conn: SyncConnection, changed: Collection[str]) -> list[int]:
    """Attempt the dead and failed deliveries of changed receivers again, now; returns the ids of their changes."""
    names = {hook.name for hook in hooks.hooks(conn)} & {f"{PREFIX}{job}" for job in changed}
    chosen = DeliveryFilter(hooks=sorted(names), states=["dead", "retrying"])
    keys = deliveries.delivery_keys(conn, chosen) if names else []
    if keys:
        deliveries.retry(conn, deliveries.plan_of(keys, chosen))
    return sorted({key.change_id for key in keys})


def why_it_looks_like_production(conn: SyncConnection, environment: str) -> str | None:
    """Why a database could be one that matters; null if nothing says so."""
    for what, text in (
        ("the setting environment", environment),
        ("its name", conn.info.dbname),
        ("the name of its host", conn.info.host),
        ("the name of the role", conn.info.user),
    ):
        if PRODUCTION.search(text.lower()):
            return f"{what} is {text}"
    if _is_public(conn.info.hostaddr):
        return f"its server {conn.info.host} has a public address"
    return None


def check_nobody_leads(conn: SyncConnection) -> None:
    """Check that no daemon delivers changes here.

    Raises:
        Refused: one leads.
    """
    rows = call(conn, "leader_at_work")
    if rows:
        message = "a daemon delivers the changes of this database already"
        raise Refused(message, "stop it first; jobhooks status names it")


def _hook(
    conn: SyncConnection, job: Job, tables: list[str], existing: Mapping[str, JobHook], arranged: Arranged
) -> None:
    """Enable a job and hook it to these tables, unless it has a hook of the user.

    Raises:
        Refused: the database takes no such hook, or the role may not change hooks.
    """
    name = f"{PREFIX}{job.job}"
    if name not in existing and any(hook.job == job.job for hook in existing.values()):
        return
    if not job.enabled:
        jobs.enable_job(conn, job.job)
        arranged.enabled.append(job.job)
    if name not in existing:
        hooks.add_hook(conn, HookSettings(name, tables, job.job, EVENTS))
        arranged.hooked.append(name)
    elif sorted(existing[name].content_types) != sorted(tables):
        hooks.edit_hook(conn, name, {"content_types": tables})
        arranged.hooked.append(name)


def _steps(conn: SyncConnection, excepted: Sequence[str]) -> list[TableStep]:
    return [
        watching.step(one, WatchOptions(keyless=True))
        for one in watching.candidates(conn)
        if one.root is None and not one.is_of_extension and not one.watched and not _is_excepted(one, excepted)
    ]


def _is_excepted(one: watching.Candidate, excepted: Sequence[str]) -> bool:
    return any(table_pattern(text).matches(one.schema, one.name) for text in excepted)


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:  # a socket has no host
        return False
