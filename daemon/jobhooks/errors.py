"""The errors of jobhooks. A class's docstring is its default message; the command line exits with its ``exit_code``."""

from typing import ClassVar


class JobhooksError(Exception):
    """Something went wrong in jobhooks."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").partition("\n")[0])


class SettingsError(JobhooksError):
    """A setting is wrong."""

    exit_code = 6


class DatabaseUnreachable(JobhooksError):
    """The database cannot be reached, or the connection to it was lost."""

    exit_code = 3


class SqlMismatch(JobhooksError):
    """The SQL in the database is missing, or is not this program's."""

    exit_code = 4


class CopiedDatabase(SqlMismatch):
    """This database is a copy of another: its log belongs to the original. To start afresh here: jobhooks adopt"""


class Refused(JobhooksError):
    """The database refused what was asked, because of what is in it."""

    exit_code = 5


class UnwatchableTable(Refused):
    """The table cannot be watched."""


class NotWatched(Refused):
    """The table is not watched."""


class UnknownTable(Refused):
    """There is no such table."""


class UnknownJob(Refused):
    """There is no such job."""


class UnknownHook(Refused):
    """There is no such hook."""


class UnknownEvent(Refused):
    """There is no such event."""


class HookExists(Refused):
    """There is a hook of that name."""


class HookConflict(Refused):
    """Two hooks would run one job for the same event of the same table."""


class UnknownColumn(Refused):
    """None of the hook's tables records such a column."""


class JobIsOff(Refused):
    """The hook cannot be enabled, since its job is not installed, or not enabled."""


class InvalidSetting(Refused):
    """The job or the hook cannot be set so."""


class InvalidHookFile(Refused):
    """The file says what no hook can be."""


class InvalidName(Refused):
    """The name cannot be taken: it takes 1 to 255 characters."""


class InvalidConditions(Refused):
    """The conditions are no expression that is true or false."""


class NothingToAdopt(Refused):
    """This database is no copy."""


class Forbidden(Refused):
    """The database role that is connected may not do this."""


class LockNotAvailable(Refused):
    """A lock could not be had in time, because of what others do with the table. Nothing was changed; try again."""


class WrongUsage(JobhooksError):
    """The request contradicts itself, or leaves out what it needs."""

    exit_code = 2


class InvalidMoment(WrongUsage):
    """The text is neither a duration nor a time."""


class Unreadable(JobhooksError):
    """The database holds bytes that are no characters where text is asked for."""


class AlreadySettled(JobhooksError):
    """The delivery was settled by someone else."""


class LeadsNoMore(JobhooksError):
    """Another daemon leads."""


class TransactionEnded(JobhooksError):
    """The receiver ended the transaction that it was given: what it wrote may be kept although the run failed."""


class MarkRefused(JobhooksError):
    """The connection cannot be marked: it has no transaction open, and what it writes would trigger hooks."""


class StaleObject(JobhooksError):
    """The row was changed or deleted by someone else after the receiver read it."""


class InvalidReceiver(JobhooksError):
    """The receiver is not written as a receiver must be."""

    exit_code = 5


class Untrusted(JobhooksError):
    """Others can write to it, so nothing of it is run."""

    exit_code = 5


# What sql/ raises by a SQLSTATE of its own class, and what PostgreSQL raises when a user names something wrong.
BY_SQLSTATE: dict[str, type[JobhooksError]] = {
    "JH001": UnwatchableTable,
    "JH002": NotWatched,
    "JH010": AlreadySettled,
    "JH011": TransactionEnded,
    "JH012": LeadsNoMore,
    "JH020": UnknownJob,
    "JH021": UnknownEvent,
    "JH022": NotWatched,
    "JH023": HookExists,
    "JH024": InvalidName,
    "JH025": HookConflict,
    "JH026": UnknownColumn,
    "JH027": JobIsOff,
    "JH028": InvalidSetting,
    "JH029": UnknownHook,
    "JH030": NothingToAdopt,
    "22021": Unreadable,
    "22P05": Unreadable,
    "3F000": UnknownTable,
    "42P01": UnknownTable,
    "42602": UnknownTable,
    "42601": UnknownTable,
    "0A000": UnknownTable,
    "42501": Forbidden,
    "55P03": LockNotAvailable,
}
