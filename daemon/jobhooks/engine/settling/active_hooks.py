"""Loading the active hooks: those that are enabled, of jobs that are enabled."""

from jobhooks.matching.hook_table import HookTable, OnFailure, hook_of
from jobhooks.store.connections import AsyncConnection, call_async


async def load_active_hooks(conn: AsyncConnection, note_failure: OnFailure) -> HookTable:
    """Load the active hooks; ``note_failure`` gets each failure to evaluate their conditions.

    The version is read first, so that the hooks are of this version or of a newer one, and never older than the version
    that the table carries.
    """
    ((version,),) = await call_async(conn, "configuration_version")
    hooks = [hook_of(*row) for row in await call_async(conn, "active_hooks")]
    return HookTable(version, hooks, note_failure)
