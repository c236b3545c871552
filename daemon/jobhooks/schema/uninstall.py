"""Removing jobhooks from a database: triggers, schemas, privileges, and roles that no other database uses."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from jobhooks.errors import Forbidden, JobhooksError, LockNotAvailable, Refused, SqlMismatch
from jobhooks.schema.install import right_to_install
from jobhooks.store.connections import SyncConnection, call, execute, translated_errors
from jobhooks.store.locking import attempt_with_lock

SCHEMAS = ["jobhooks", "jobhooks_capture"]
ROLES = [f"jobhooks_{what}" for what in ("owner", "capture", "daemon", "receiver", "viewer", "operator")]
COUNT_LIMIT = 1_000_000  # changes are counted up to this


@dataclass(frozen=True)
class Installed:
    """The objects to remove. ``sessions``: other sessions of jobhooks in this database, such as the daemon's."""

    tables: int
    changes: int
    sessions: int


@dataclass(frozen=True)
class Removed:
    """The roles that were dropped, those that were kept and why, and how to drop these."""

    dropped_roles: list[str]
    kept_roles: list[str]
    why_kept: str = ""
    remedy: str = ""


def what_is_installed(conn: SyncConnection) -> Installed:
    """List the objects that ``uninstall`` would remove; ``changes`` is at most ``COUNT_LIMIT`` + 1.

    Raises:
        SqlMismatch: jobhooks is not installed.
        Refused: it would also remove objects of others.
        Forbidden: the role may not remove it.
    """
    ((has_schema,),) = call(conn, "has_schema")
    if not has_schema:
        raise SqlMismatch(
            f"jobhooks is not installed in the database {conn.info.dbname}: there is nothing to uninstall"
        )
    if foreign := [name for (name,) in call(conn, "not_owned_schemas")]:
        raise Forbidden(
            f"cannot uninstall: the role {conn.info.user} does not own the schema {' or '.join(foreign)}",
            right_to_install(conn),
        )
    if dependents := [name for (name,) in call(conn, "dependents", schemas=SCHEMAS, roles=ROLES)]:
        raise Refused(f"cannot uninstall: {'; '.join(dependents)}", "drop it, or give it to another role")
    return Installed(*call(conn, "what_is_installed")[0])


def uninstall(conn: SyncConnection) -> Removed:
    """Remove everything. The triggers go first, table by table, so that no writer waits long; then the rest in one
    step.

    Raises:
        LockNotAvailable: other sessions hold a table; the finished ones stay done, and the next attempt continues.
    """
    for relation, schema, table, names in call(conn, "own_triggers"):
        _drop_triggers(conn, relation, sql.Identifier(schema, table), names)
    try:
        attempt_with_lock(conn, lambda: call(conn, "drop_schemas"))
    except LockNotAvailable as exc:
        raise LockNotAvailable(
            "the triggers are dropped, but other sessions use the tables of jobhooks itself",
            "stop the daemon and all readers of the log, then jobhooks uninstall",
        ) from exc
    return _drop_roles(conn)


def _drop_triggers(conn: SyncConnection, relation: int, table: sql.Identifier, names: list[str]) -> None:
    def drop() -> None:
        with translated_errors():
            for name in names:
                execute(conn, sql.SQL("drop trigger {} on {}").format(sql.Identifier(name), table))
        call(conn, "note_unwatched", relation=relation)

    try:
        attempt_with_lock(conn, drop)
    except LockNotAvailable as exc:
        raise LockNotAvailable(
            f"cannot drop the triggers of {table.as_string()}: other sessions use it; the tables before it are done",
            "jobhooks uninstall",
        ) from exc


def _drop_roles(conn: SyncConnection) -> Removed:
    """Drop the roles, all or none of them: another database that uses one may later use the others."""
    roles = call(conn, "own_roles", roles=ROLES)
    names = [name for name, _, _ in roles]
    if not names:
        return Removed([], [])
    if any(used_elsewhere for _, used_elsewhere, _ in roles):
        _revoke_here(conn, names)
        return Removed([], names, "other databases of this server use them")
    identifiers = sql.SQL(", ").join(map(sql.Identifier, names))
    try:
        with translated_errors(), conn.transaction():
            for name, _, may_use in roles:
                if (
                    not may_use
                ):  # the creator of a role is not automatically a member, and only members may drop its objects
                    execute(conn, sql.SQL("grant {} to current_user").format(sql.Identifier(name)))
            execute(conn, sql.SQL("drop owned by {} cascade").format(identifiers))
            execute(conn, sql.SQL("drop role {}").format(identifiers))
    except JobhooksError as exc:
        remedy = sql.SQL("drop owned by {} cascade; drop role {};").format(identifiers, identifiers).as_string()
        return Removed([], names, exc.message, f"as a superuser, in this database: {remedy}")
    return Removed(names, [])


def _revoke_here(conn: SyncConnection, names: list[str]) -> None:
    """Revoke their privileges on this database; those in the schemas were dropped with the schemas.

    Not by "drop owned", which also revokes their privileges on other databases.
    """
    statement = sql.SQL("revoke all on database {} from {}").format(
        sql.Identifier(conn.info.dbname), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    try:
        execute(conn, statement)
    except psycopg.errors.InsufficientPrivilege:
        return  # only a warning in most versions: then it was not ours to give either
