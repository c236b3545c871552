"""Checks of a hook that the database cannot make: conditions are compiled, and the receiver's code reads the data."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from jobhooks.contract.hook_data import normalized
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.errors import Refused
from jobhooks.matching.conditions import check_conditions
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.store.connections import SyncConnection, call

FindReceivers = Callable[[], ReceiverRegistry]


@dataclass
class HookChecks:
    """Checks hooks before they are saved.

    ``find``: imports the receivers that this program can see. It is called once, for the first hook that has data or
    whose receiver takes some. Without it, or without the receiver, the data are left to the daemon.
    """

    conn: SyncConnection | None = None
    find: FindReceivers | None = None
    _found: ReceiverRegistry | None = None

    def check(self, before: HookSettings | None, after: HookSettings) -> bool:
        """Check a hook that is added (``before`` is null) or changed. Whether its receiver has taken its data.

        Raises:
            InvalidConditions, InvalidHookData: the message names the hook.
        """
        try:
            if after.conditions:
                check_conditions(after.conditions)
            normalized(after.data)
            return self._check_data(before, after)
        except Refused as exc:
            raise exc.about(f'cannot save hook "{after.name}"') from exc

    def _check_data(self, before: HookSettings | None, after: HookSettings) -> bool:
        if before is not None and (before.job, before.data) == (after.job, after.data):
            return False
        if self.find is None or not (after.data or self._takes_data(after.job)):
            return False
        if self._found is None:
            self._found = self.find()
        found = self._found.receivers.get(after.job)
        return found is not None and found.check_data(msgspec.json.encode(after.data).decode())

    def _takes_data(self, job: str) -> bool:
        rows = [] if self.conn is None else call(self.conn, "data_schema_of_job", class_path=job)
        return bool(rows) and rows[0][0] is not None
