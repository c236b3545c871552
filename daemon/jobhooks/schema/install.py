"""Installing sql/ in a database, and checking that a database has this program's SQL."""

from jobhooks.errors import CopiedDatabase, Forbidden, LockNotAvailable, OtherPlace, SqlMismatch
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.connections import SyncConnection, call, translated_errors
from jobhooks.store.locking import retried
from jobhooks.store.queries import functions_digest, migrations, repeatable


def install(conn: SyncConnection) -> list[str]:
    """Apply the missing migrations, then functions and grants; return the names of those migrations.

    All in one transaction, under a lock: a concurrent installation waits, and finds nothing left to do.

    Raises:
        SqlMismatch: the database has migrations that this program does not know.
        Forbidden: the role may not create the objects.
        LockNotAvailable: other sessions held a table of jobhooks in every attempt.
    """
    try:
        return retried(lambda: _install(conn))
    except Forbidden as exc:
        raise Forbidden(f"cannot install as the role {conn.info.user}: {exc.message}", right_to_install(conn)) from exc
    except LockNotAvailable as exc:
        for pid, role, application_name in call(conn, "other_installations"):
            raise LockNotAvailable(
                f'cannot install: session {pid} "{application_name}" of the role {role} is installing at this time',
                f"the same command again after it; if it hangs: select pg_terminate_backend({pid})",
            ) from exc
        raise


def right_to_install(conn: SyncConnection) -> str:
    """The missing right to install and uninstall: a grant, or the role to use."""
    ((remedy,),) = call(conn, "right_to_install")
    return remedy


def _install(conn: SyncConnection) -> list[str]:
    with translated_errors(), conn.transaction():
        call(conn, "lock_installation")
        installed, recorded = _installed_version(conn)
        _refuse_newer(installed)
        if not recorded:
            _refuse_unknown_version(conn, installed)
        missing = [migration for migration in migrations() if migration.version > installed]
        for migration in migrations():
            if migration in missing:
                conn.execute(migration.text.encode())
            if migration in missing or not recorded:
                call(conn, "record_migration", version=migration.version, name=migration.name)
        conn.execute(repeatable().encode())
        call(conn, "record_installation", program_version=PROGRAM_VERSION, functions_digest=functions_digest())
    return [f"{migration.version:04d}_{migration.name}" for migration in missing]


def check_owners(conn: SyncConnection, trusted: str | None = None) -> None:
    """Check that a superuser runs no code of another role, other than ``trusted``, by using the schema.

    Raises:
        Forbidden: it would, with the rights of a superuser.
    """
    owners = [owner for (owner,) in call(conn, "foreign_owners") if owner != trusted]
    if owners:
        raise Forbidden(
            f"will not use the schema jobhooks in the database {conn.info.dbname} as the superuser {conn.info.user}:"
            f" functions or tables in it belong to {', '.join(owners)}, whose code would run as a superuser",
            f"the same command as the role {owners[0]}; or, to give all to jobhooks_owner if you trust that role,"
            f" jobhooks install --trust-owner {owners[0]}",
        )


def check_roles(conn: SyncConnection) -> None:
    """Check that the roles of jobhooks, which may exist already, have no rights that an installation does not give.

    Raises:
        Forbidden: the message names the first one; the remedy repairs it.
    """
    for role, excess, remedy in call(conn, "unsafe_roles"):
        raise Forbidden(f"cannot install with the role {role}, which exists already: it {excess}", remedy)


def capture_is_confined(conn: SyncConnection) -> bool:
    """Whether the capture functions belong to the role that can only write to the log."""
    ((confined,),) = call(conn, "capture_is_confined")
    return confined


def check_installed(conn: SyncConnection) -> None:
    """Check that the database has this program's SQL, completely.

    Raises:
        SqlMismatch: it has no SQL of jobhooks, or that of an older or newer program, or was restored without data.
    """
    check_schema(conn)
    installed, recorded = _installed_version(conn)
    _refuse_newer(installed)
    installation = call(conn, "installation")
    if not recorded or not installation:
        raise _without_rows(conn)
    ((by_version, digest),) = installation
    if installed < migrations()[-1].version or digest != functions_digest():
        raise SqlMismatch(_mismatch(by_version, installed), "jobhooks install")
    ((has_rows, sequence_is_past_log),) = call(conn, "has_rows")
    if not has_rows:
        raise _without_rows(conn)
    if not sequence_is_past_log:
        raise SqlMismatch(
            f"the log in the database {conn.info.dbname} has changes, results or positions above the number of its"
            " sequence, as after a restore without sequences",
            "jobhooks install",
        )


def check_schema(conn: SyncConnection) -> None:
    """Check that the database has the SQL of some version, and that this role may use it.

    Raises:
        SqlMismatch: it has no SQL of jobhooks.
        Forbidden: the role may not use it.
    """
    ((has_schema,),) = call(conn, "has_schema")
    if not has_schema:
        raise SqlMismatch(f"jobhooks is not installed in the database {conn.info.dbname}", "jobhooks install")
    ((may_read,),) = call(conn, "may_read_schema")
    if not may_read:
        raise Forbidden(
            f"the role {conn.info.user} has no access to schema jobhooks in the database {conn.info.dbname}",
            f'grant jobhooks_viewer to "{conn.info.user}" (to change hooks: jobhooks_operator; to run the daemon:'
            " jobhooks_daemon and jobhooks_receiver)",
        )


def check_original(conn: SyncConnection) -> None:
    """Check that the cursor is about this very database.

    Raises:
        CopiedDatabase: the database is a copy; its snapshots mean nothing here and its changes are not ours to deliver.
    """
    if not is_original(conn):
        raise CopiedDatabase


def check_place(conn: SyncConnection, configured: str) -> None:
    """Check that a daemon that was configured to connect to this place, as JSON, may deliver here.

    Raises:
        OtherPlace: the daemon that led before was configured for another one, so the database may be a copy.
    """
    ((reason,),) = call(conn, "other_place", configured=configured)
    if reason is not None:
        raise OtherPlace(reason)


def is_original(conn: SyncConnection) -> bool:
    """Whether the cursor is about this very database."""
    ((original,),) = call(conn, "is_original")
    return original


def check_may_mark(conn: SyncConnection) -> None:
    """Check that the database honours this role's marks.

    Raises:
        Forbidden: it does not, so receivers' writes would trigger hooks in an endless loop.
    """
    ((may_mark,),) = call(conn, "may_mark")
    if not may_mark:
        raise _cannot_mark(conn)


def check_will_mark(conn: SyncConnection) -> None:
    """Check that the database will honour this role's marks once the role has installed jobhooks.

    Raises:
        Forbidden: it will not.
    """
    ((will_mark, has_role),) = call(conn, "will_mark")
    if not will_mark:
        raise _cannot_mark(conn, "" if has_role else "create role jobhooks_receiver; ")


def _cannot_mark(conn: SyncConnection, first: str = "") -> Forbidden:
    return Forbidden(
        f"the role {conn.info.user} may not mark the writes of receivers, so they would trigger hooks again",
        f'{first}grant jobhooks_receiver to "{conn.info.user}"',
    )


def _installed_version(conn: SyncConnection) -> tuple[int, bool]:
    """The last migration of the schema, and whether its table of migrations says so; after a restore it is empty."""
    ((has_migrations,),) = call(conn, "has_schema")
    if not has_migrations:
        return 0, True
    ((installed, recorded),) = call(conn, "schema_version")
    return installed, recorded


def _without_rows(conn: SyncConnection) -> SqlMismatch:
    return SqlMismatch(
        f"the tables of jobhooks in the database {conn.info.dbname} lack their rows, as after a restore of a dump"
        " without data: no change is recorded",
        "jobhooks install",
    )


def _refuse_unknown_version(conn: SyncConnection, installed: int) -> None:
    if not installed:
        raise SqlMismatch(
            f"the tables of jobhooks in the database {conn.info.dbname} are empty and of an unknown version, as after a"
            " restore of an old dump without data",
            "jobhooks uninstall, then jobhooks install, and watch the tables again",
        )


def _mismatch(by_version: str, installed: int) -> str:
    if (by_version, installed) == (PROGRAM_VERSION, migrations()[-1].version):
        return f"the SQL in the database is that of another build of jobhooks {PROGRAM_VERSION}"
    return (
        f"the SQL in the database is that of jobhooks {by_version} (schema {installed}); this is jobhooks"
        f" {PROGRAM_VERSION} (schema {migrations()[-1].version})"
    )


def _refuse_newer(installed: int) -> None:
    known = migrations()[-1].version
    if installed > known:
        raise SqlMismatch(
            f"the database has a newer jobhooks (schema {installed}) than this program (jobhooks {PROGRAM_VERSION},"
            f" schema {known})",
            "upgrade the program",
        )
