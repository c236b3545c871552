"""The closed sets of words that changes, results and log lines use. Each is the string that the database holds."""

from enum import StrEnum


class ObjectChangeActionChoices(StrEnum):
    """What happened to a row; a truncate happened to the whole table. Each equals its plain string."""

    ACTION_CREATE = "create"
    ACTION_UPDATE = "update"
    ACTION_DELETE = "delete"
    ACTION_TRUNCATE = "truncate"


class JobResultStatus(StrEnum):
    """How an attempt at a delivery ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"


class FailurePolicy(StrEnum):
    """What the later changes of an object do while one of them has failed: wait for it, or go on."""

    BLOCK = "block"
    SKIP = "skip"


class Ordering(StrEnum):
    """Which changes a receiver gets one after the other: of an object, of a table, or in no order."""

    OBJECT = "object"
    TABLE = "table"
    NONE = "none"


class LogLevel(StrEnum):
    """The levels of a receiver's log lines; a line of ``FAILURE`` makes the run a failure."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
