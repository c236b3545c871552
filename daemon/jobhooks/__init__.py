"""Job Hooks for any PostgreSQL database: what the author of a receiver imports, and nothing else."""

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.control import Discard, Retry, SoftTimeLimitExceeded
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.errors import MarkRefused, StaleObject

__all__ = [
    "AsyncChangedObject",
    "Change",
    "ChangedObject",
    "Discard",
    "JobHookReceiver",
    "MarkRefused",
    "ObjectChangeActionChoices",
    "Retry",
    "SoftTimeLimitExceeded",
    "StaleObject",
]
