"""The form of every error: the failure and its cause, then the remedy."""

import pickle

import pytest

from jobhooks.errors import (
    CopiedDatabase,
    DatabaseUnreachable,
    Forbidden,
    JobhooksError,
    StatementInterrupted,
    UnknownHook,
    UnknownTable,
    with_remedy,
)
from jobhooks.store.connections import ErrorReport, error_of, lost_by


@pytest.mark.parametrize(
    ("message", "remedy", "line"),
    [
        ("it failed", None, "it failed"),
        ("it failed", "again", "it failed. Try: again"),
        ("it failed.", "again", "it failed. Try: again"),
        ("did you mean this?", "again", "did you mean this? Try: again"),
    ],
)
def test_a_remedy_follows_the_message(message: str, remedy: str | None, line: str) -> None:
    assert with_remedy(message, remedy) == line
    assert str(JobhooksError(message, remedy)) == line


def test_a_class_has_a_default_message_and_remedy() -> None:
    assert str(UnknownHook()) == "There is no such hook. Try: jobhooks hook list"
    assert str(UnknownHook('there is no hook "h"')) == 'there is no hook "h". Try: jobhooks hook list'
    assert CopiedDatabase().remedy == "jobhooks adopt, to start from here"


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    """Pickle calls the class with ``args``, which hold the joined text."""
    error = pickle.loads(pickle.dumps(JobhooksError("it failed", "again")))
    assert (str(error), error.message, error.remedy) == ("it failed. Try: again", "it failed", "again")


@pytest.mark.parametrize(
    ("report", "kind", "words"),
    [
        (ErrorReport("JH029", "no such hook", "jobhooks hook list"), UnknownHook, "no such hook. Try: jobhooks"),
        (ErrorReport("42P01", 'relation "t" does not exist'), UnknownTable, 'relation "t" does not exist'),
        (ErrorReport("42501", "permission denied for table t"), Forbidden, "permission denied for table t"),
        (ErrorReport(None, "server closed", connection_failed=True), DatabaseUnreachable, "lost the connection"),
        (ErrorReport("57P01", "terminating connection"), DatabaseUnreachable, "lost the connection"),
        (ErrorReport("08006", "broken"), DatabaseUnreachable, "lost the connection"),
        (ErrorReport("57014", "canceling statement"), StatementInterrupted, "complete the statement: canceling"),
        (ErrorReport("53200", "out of shared memory"), StatementInterrupted, "Try: a larger max_locks_per_transaction"),
        (ErrorReport("53200", "no memory", "Use more."), StatementInterrupted, "statement: no memory. Try: a larger"),
        (ErrorReport("40001", "could not serialize"), StatementInterrupted, "did not complete the statement"),
        (ErrorReport("58P01", 'could not access file "$libdir/plpgsql"'), JobhooksError, "database failed: could not"),
        (ErrorReport("22012", "division by zero", "Do not."), JobhooksError, "failed: division by zero. Do not."),
    ],
)  # fmt: skip
def test_an_error_of_the_database_is_ours_by_its_sqlstate(
    report: ErrorReport, kind: type[JobhooksError], words: str
) -> None:
    error = error_of(report)
    assert type(error) is kind and words in str(error)


def test_what_may_succeed_later_is_retried_like_a_lost_connection() -> None:
    """The daemon begins again after DatabaseUnreachable; a missing library does not mend itself."""
    assert issubclass(StatementInterrupted, DatabaseUnreachable)
    assert not isinstance(error_of(ErrorReport("58P01", "no library")), DatabaseUnreachable)


def test_only_an_error_that_does_not_say_what_failed_is_a_lost_connection() -> None:
    interrupted = error_of(ErrorReport("53200", "out of shared memory"))
    lost = lost_by(interrupted)
    assert (type(lost), str(lost)) == (StatementInterrupted, str(interrupted))
    closed = lost_by(OSError("closed"))
    assert type(closed) is DatabaseUnreachable and "closed" in closed.message
    assert str(lost_by(closed)) == str(closed)
