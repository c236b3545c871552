"""Opening the connection that operations work on."""

import contextlib
from collections.abc import Generator

from jobhooks.errors import Forbidden
from jobhooks.runtime.settings import Settings
from jobhooks.schema.grants import with_missing_grant
from jobhooks.schema.install import check_installed
from jobhooks.store.connections import SyncConnection, connect


@contextlib.contextmanager
def connection(chosen: Settings, *, installed: bool = True) -> Generator[SyncConnection]:
    """Open a connection for the duration of a command, and check that it finds this program's SQL there."""
    with contextlib.closing(connect(chosen.database_url)) as conn:
        if installed:
            check_installed(conn)
        try:
            yield conn
        except Forbidden as exc:
            raise with_missing_grant(conn, exc) from exc
