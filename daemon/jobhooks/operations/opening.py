"""Opening the connection that operations work on."""

import contextlib
from collections.abc import Generator

from jobhooks.errors import Forbidden
from jobhooks.runtime.settings import Settings
from jobhooks.schema.grants import with_missing_grant
from jobhooks.schema.install import check_installed, check_owners
from jobhooks.store.connections import SyncConnection, connect


@contextlib.contextmanager
def connection(
    chosen: Settings, *, installed: bool = True, trusted_owner: str | None = None
) -> Generator[SyncConnection]:
    """Open a connection for the duration of a command, and check that it finds this program's SQL there.

    ``trusted_owner``: a role whose code a superuser may run.
    """
    with contextlib.closing(connect(chosen.database_url)) as conn:
        check_owners(conn, trusted_owner)
        if installed:
            check_installed(conn)
        try:
            yield conn
        except Forbidden as exc:
            raise with_missing_grant(conn, exc) from exc
