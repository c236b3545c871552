"""The public names for authors of receivers, which the package ``jobhooks`` offers."""

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject
from jobhooks.contract.choices import JobResultStatus, ObjectChangeActionChoices
from jobhooks.contract.control import Discard, LoggedFailure, Retry, SoftTimeLimitExceeded, TimeLimitExceeded
from jobhooks.contract.nautobot.registering import get_task_logger, register_jobs
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.contract.run import DeliveryIdentity, HookIdentity
from jobhooks.contract.snapshots import Differences, Snapshots
from jobhooks.errors import MarkRefused, StaleObject

ObjectChange = Change  # as Nautobot calls it

__all__ = [
    "AsyncChangedObject",
    "Change",
    "ChangedObject",
    "DeliveryIdentity",
    "Differences",
    "Discard",
    "HookIdentity",
    "JobHookReceiver",
    "JobResultStatus",
    "LoggedFailure",
    "MarkRefused",
    "ObjectChange",
    "ObjectChangeActionChoices",
    "Retry",
    "Snapshots",
    "SoftTimeLimitExceeded",
    "StaleObject",
    "TimeLimitExceeded",
    "get_task_logger",
    "register_jobs",
]
