"""The closed sets of words for changes, results and log lines. Each is the string in the database."""

from enum import StrEnum


class ObjectChangeActionChoices(StrEnum):
    """The kind of a change of a row; a truncate empties the whole table. Each equals its plain string."""

    ACTION_CREATE = "create"
    ACTION_UPDATE = "update"
    ACTION_DELETE = "delete"
    ACTION_TRUNCATE = "truncate"


class JobResultStatus(StrEnum):
    """The outcome of an attempt at a delivery."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"


class FailurePolicy(StrEnum):
    """The treatment of later changes of an object with a failed one: wait for it, or go on."""

    BLOCK = "block"
    SKIP = "skip"


class Ordering(StrEnum):
    """Which changes a receiver gets one after the other: of an object, of a table, or in no order."""

    OBJECT = "object"
    TABLE = "table"
    NONE = "none"


class LogLevel(StrEnum):
    """The levels of a receiver's log lines, lowest first; a line of ``FAILURE`` makes the run a failure."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    ERROR = "error"
    CRITICAL = "critical"
