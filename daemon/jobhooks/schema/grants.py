"""Which grant a role lacks when the database denies it something of jobhooks."""

from psycopg.pq import TransactionStatus

from jobhooks.errors import Forbidden, JobhooksError
from jobhooks.store.connections import SyncConnection, call


def with_missing_grant(conn: SyncConnection, error: Forbidden) -> Forbidden:
    """The same error, and as its remedy the grant that is missing, if that is one of jobhooks' roles."""
    if error.remedy or conn.info.transaction_status != TransactionStatus.IDLE:
        return error
    # "permission denied for function enable_job": in most languages the object's name comes last, as it is
    denied = error.message.split()[-1].strip("\"'")
    try:
        granted = call(conn, "missing_grant", name=denied)
    except JobhooksError:
        return error
    return Forbidden(error.message, granted[0][0]) if granted else error
