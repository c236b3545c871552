"""Loading the active hooks: those that are enabled, of jobs that are enabled."""

from jobhooks.matching.hook_table import HookTable, OnChainEnd, OnFailure, hook_of
from jobhooks.store.connections import AsyncConnection, call_async


async def load_active_hooks(
    conn: AsyncConnection, version: str, note_failure: OnFailure, note_chain_end: OnChainEnd
) -> HookTable:
    """Load the active hooks; the functions get each failure to evaluate conditions, and changes too deep in a chain.

    ``version``: of the configuration, read before, so that the hooks are of this version or of a newer one.
    """
    hooks = [hook_of(*row) for row in await call_async(conn, "active_hooks")]
    return HookTable(version, hooks, note_failure, note_chain_end)
