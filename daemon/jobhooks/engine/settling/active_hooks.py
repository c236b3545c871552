"""Loading the active hooks: those that are enabled, of jobs that are enabled."""

import asyncpg

from jobhooks.contract.choices import FailurePolicy, ObjectChangeActionChoices, Ordering
from jobhooks.matching.hook_table import Hook, HookTable, Told
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.snapshot import Snapshot


async def load_active_hooks(conn: AsyncConnection, note_failure: Told) -> HookTable:
    """Load the active hooks; ``note_failure`` gets each failure to evaluate their conditions.

    The version is read first, so that the hooks are of this version or of a newer one, and never older than the version
    that the table carries.
    """
    ((version,),) = await call_async(conn, "configuration_version")
    hooks = [_hook(row) for row in await call_async(conn, "active_hooks")]
    return HookTable(version, hooks, note_failure)


def _hook(row: asyncpg.Record) -> Hook:
    return Hook(
        id=row["id"],
        name=row["name"],
        job_id=row["job_id"],
        class_path=row["class_path"],
        content_type_ids=frozenset(row["content_type_ids"]),
        events=frozenset(map(ObjectChangeActionChoices, row["events"])),
        enabled_since=Snapshot.parse(row["enabled_since"]),
        soft_time_limit=row["soft_time_limit_s"],
        time_limit=row["time_limit_s"],
        max_attempts=row["max_attempts"],
        backoff=row["backoff_s"],
        blocks=row["on_failure"] == FailurePolicy.BLOCK,
        concurrency=row["concurrency"],
        installed=row["installed"],
        has_sensitive_variables=row["has_sensitive_variables"],
        queue=row["queue"],
        queue_limit=row["queue_limit"],
        is_singleton=row["is_singleton"],
        order_by=Ordering(row["order_by"]),
        order_columns=tuple(row["order_columns"]),
        batch_size=row["batch_size"],
        batch_wait_s=row["batch_wait_s"],
        columns=frozenset(row["columns"]),
        conditions=row["conditions"],
        coalesce_s=row["coalesce_s"],
    )
