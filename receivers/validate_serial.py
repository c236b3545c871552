"""Keeps serial numbers valid: a device that gets a serial its vendor does not know gets its last valid one back.

An example to start from. To use it, enable the job and hook it on a table that has a column ``serial``:

    jobhooks job enable validate_serial.ValidateSerial
    jobhooks hook add "Check serials" --content-type public.device --events create,update \
        --job validate_serial.ValidateSerial
"""

import re

from jobhooks import Change, ChangedObject, JobHookReceiver, ObjectChangeActionChoices

# Two letters of the vendor, four digits of the batch, four to eight of the piece: "FX2024-00017".
VALID_SERIAL = re.compile(r"[A-Z]{2}\d{4}-\d{4,8}")


class ValidateSerial(JobHookReceiver):
    """Checks a changed serial and reverts an invalid one to the last valid one."""

    class Meta:
        name = "Validate serial"
        description = "Revert serials that the vendor does not know"
        soft_time_limit, time_limit = 5, 10  # seconds

    def receive_job_hook(
        self, change: Change, action: ObjectChangeActionChoices, changed_object: ChangedObject | None
    ) -> None:
        """Check the serial if this change set it."""
        if action == ObjectChangeActionChoices.ACTION_DELETE or changed_object is None:
            self.log_info("The device is gone, so there is nothing to check.")
            return

        differences = change.get_snapshots()["differences"]
        removed, added = differences["removed"] or {}, differences["added"] or {}
        if "serial" not in added:
            self.log_info(changed_object, "The serial did not change.")
            return

        old, new = removed.get("serial"), added["serial"]
        self.log_info(changed_object, f"The serial changed from {old or 'nothing'} to {new}.")
        if new is None or VALID_SERIAL.fullmatch(str(new)):
            self.log_success(changed_object, f"The serial {new} is valid.")
            return

        # The change is history. If the serial has changed again, the run for that change decides about it.
        if changed_object.has_moved_on(change, "serial"):
            self.log_info(changed_object, f"The serial {new} is not valid, and has changed since.")
            return

        # The old serial may be one that another run left alone because this change followed it.
        earlier: Change | None = change
        while old is not None and not VALID_SERIAL.fullmatch(str(old)):
            earlier = earlier.previous() if earlier is not None else None
            old = (earlier.prechange or {}).get("serial") if earlier is not None else None

        # This write is recorded with the run that made it, and triggers nothing.
        changed_object.serial = old
        changed_object.save()
        self.log_warning(changed_object, f"The serial {new} is not valid.")
        self.log_success(changed_object, f"Set the serial back to {old or 'nothing'}.")
