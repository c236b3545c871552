"""Results, found by filters, listed, shown and exported; and one change with everything that came of it."""

import datetime

import pytest

from conftest import Connection
from jobhooks.errors import NotWatched, Refused, UnknownHook, UnknownJob
from jobhooks.operations.changes import server_time
from jobhooks.operations.configuration.jobs import delete_job
from jobhooks.operations.delivering.change_details import change_details
from jobhooks.operations.delivering.results import (
    ResultFilter,
    all_results,
    newest_lines,
    newest_results,
    results_of_change,
    results_of_delivery,
)
from jobhooks.operations.lookup.object_keys import object_key
from jobhooks.store.connections import SyncConnection
from support.progress import RecordedProgress

FILTERS: list[tuple[ResultFilter, list[str]]] = [
    (ResultFilter(), ["1/1", "1/2", "3/1", "4/1"]),
    (ResultFilter(hooks=["second"]), ["4/1"]),
    (ResultFilter(hooks=["first", "second"], status="failure"), ["1/1", "1/2", "3/1"]),
    (ResultFilter(jobs=["a.B"]), ["1/1", "1/2", "3/1", "4/1"]),
    (ResultFilter(tables=["public.site"]), ["4/1"]),
    (ResultFilter(key=object_key(["id=1"]), tables=["public.device"]), ["1/1", "1/2", "3/1"]),
    (ResultFilter(key=object_key(["7"])), []),
    (ResultFilter(version="0123456789ab"), ["1/1", "1/2"]),
    (ResultFilter(version=f"0123456789AB{'0' * 52}"), ["1/1", "1/2"]),
    (ResultFilter(version="0"), ["1/1", "1/2", "3/1"]),
    (ResultFilter(version="1"), []),
]


@pytest.mark.parametrize(("chosen", "found"), FILTERS)
def test_a_filter_chooses_what_is_listed_and_exported(
    ledger: Connection, admin: SyncConnection, chosen: ResultFilter, found: list[str]
) -> None:
    ledger.execute("update jobhooks.job_result set version = x'0123456789ab'::bigint where change_id = 1")
    ledger.execute("update jobhooks.job_result set version = 7 where change_id = 3")
    assert [f"{result.change_id}/{result.attempt}" for result in newest_results(admin, chosen, 50)] == found
    assert [f"{result.change_id}/{result.attempt}" for result in all_results(admin, chosen)] == found


@pytest.mark.parametrize("version", ["", "1.0", "12345678 9", "g", "0x12", "a" * 65])
def test_a_version_is_the_beginning_of_a_hash(ledger: Connection, admin: SyncConnection, version: str) -> None:
    with pytest.raises(Refused):
        newest_results(admin, ResultFilter(version=version), 50)


def test_a_result_has_the_version_and_package_that_ran(ledger: Connection, admin: SyncConnection) -> None:
    """As far as they are known: results of earlier versions of jobhooks have none, and packages are forgotten."""
    ledger.execute("update jobhooks.job_result set version = change_id")
    ledger.execute("update jobhooks.job_result set version = null where change_id = 4")
    ledger.execute(
        "insert into jobhooks.receiver_version (job_id, version, source_hash, package) values (1, 1, '', 'p 2')"
    )
    expected = [("000000000001", "p 2"), ("000000000001", "p 2"), ("000000000003", None), (None, None)]
    assert [(each.version, each.package) for each in newest_results(admin, ResultFilter(), 50)] == expected
    assert [(each.version, each.package) for each in all_results(admin, ResultFilter())] == expected
    assert ledger.execute("select version, package from jobhooks.results order by change_id").fetchall() == expected


def test_a_result_counts_its_log_lines_per_level(ledger: Connection, admin: SyncConnection) -> None:
    """The most important level first; those of an earlier run that a daemon did not end count as well."""
    ledger.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, message)"
        " select 4, 2, 1, line.n - 3, line.level, now(), ''"
        " from unnest('{debug,error,info,warning,info,success,critical,info}'::text []) "
        " with ordinality as line (level, n)"
    )
    second = {"critical": 1, "error": 1, "warning": 1, "success": 1, "info": 3, "debug": 1}
    expected = [{}, {"failure": 1, "info": 1}, {}, second]
    for found in (newest_results(admin, ResultFilter(), 50), list(all_results(admin, ResultFilter()))):
        assert [each.log_levels for each in found] == expected
        assert list(found[-1].log_levels) == list(second)
    seen = ledger.execute("select log_levels from jobhooks.results order by change_id, attempt").fetchall()
    assert seen == [(levels or None,) for levels in expected]


def test_a_limit_keeps_the_newest(ledger: Connection, admin: SyncConnection) -> None:
    assert [result.change_id for result in newest_results(admin, ResultFilter(), 2)] == [3, 4]


def test_the_last_attempt_says_what_comes_next(ledger: Connection, admin: SyncConnection) -> None:
    """Earlier attempts say nothing; neither does the last one once a retry has ended the delivery."""
    ((due_at,),) = ledger.execute("select due_at from jobhooks.delivery where change_id = 3").fetchall()
    found = {(each.change_id, each.attempt): each for each in newest_results(admin, ResultFilter(), 50)}
    assert {key: (each.dead, each.next_attempt_at) for key, each in found.items()} == {
        (1, 1): (False, None),
        (1, 2): (True, None),
        (3, 1): (False, due_at),
        (4, 1): (False, None),
    }
    ledger.execute("select jobhooks.retry_deliveries('{1}', '{1}')")
    assert [each.dead for each in results_of_change(admin, 1, attempt=2).results] == [False]
    assert results_of_change(admin, 1, attempt=2).results[0].next_attempt_at is not None
    ledger.execute("delete from jobhooks.delivery")
    assert {each.next_attempt_at for each in all_results(admin, ResultFilter())} == {None}


def test_times_are_those_of_the_changes(ledger: Connection, admin: SyncConnection) -> None:
    hour_ago = server_time(admin) - datetime.timedelta(hours=1)
    assert [result.change_id for result in newest_results(admin, ResultFilter(since=hour_ago), 50)] == [3, 4]


def test_lines_are_filtered_by_level(ledger: Connection, admin: SyncConnection) -> None:
    assert [line.message for line in newest_lines(admin, ResultFilter(), 50)] == ["begins", "is bad"]
    (line,) = newest_lines(admin, ResultFilter(hooks=["first"]), 50, "warning")
    assert (line.level, line.object, line.message) == ("failure", "device 1", "is bad")
    assert (line.change_id, line.hook, line.job, line.attempt) == (1, "first", "a.B", 2)
    assert newest_lines(admin, ResultFilter(), 0) == []


def test_an_export_reports_its_progress(ledger: Connection, admin: SyncConnection, progress: RecordedProgress) -> None:
    exported = list(all_results(admin, ResultFilter(), progress))
    assert (exported[1].traceback, len(exported[1].log)) == ("T", 2)
    assert (progress.tasks, progress.done) == ([("exporting", 4)], 4)


def test_results_of_a_change_name_what_the_receiver_wrote(ledger: Connection, admin: SyncConnection) -> None:
    ledger.execute("update jobhooks.job_result set started_at = now() - interval '1 s', finished_at = now() + '1 s'")
    ledger.execute(
        "insert into jobhooks.object_change (content_type_id, action, transaction_id, time, session_role, context,"
        " postchange, triggering) select content_type_id, action, transaction_id, now(), session_role,"
        " json_build_object('caused_by', json_build_object('change', 1, 'hook', 1, 'attempt', 2)), postchange, false"
        " from jobhooks.object_change where id = 2"
    )
    found = results_of_change(admin, 1, "first", 2)
    assert found.change is not None and found.change.id == 1
    assert [[change.id for change in result.wrote] for result in found.results] == [[5]]


def test_results_outlive_hooks_and_changes(ledger: Connection, admin: SyncConnection) -> None:
    ledger.execute("delete from jobhooks.object_change where id = 1")
    ledger.execute("delete from jobhooks.job_hook where id = 1")
    first = newest_results(admin, ResultFilter(), 50)[0]
    assert (first.hook, first.hook_deleted, first.job, first.table, first.action, bytes(first.object_key)) == (
        "first",
        True,
        "a.B",
        None,
        None,
        b"null",
    )
    found = results_of_change(admin, 1)
    assert (found.change, [result.attempt for result in found.results]) == (None, [1, 2])


def test_a_deleted_hook_keeps_its_last_name_in_results(ledger: Connection, admin: SyncConnection) -> None:
    """A hook that was renamed, deleted and added again: its filter finds both, and each result says which."""
    ledger.execute("update jobhooks.job_hook set name = 'former' where id = 1")
    ledger.execute("update jobhooks.job_hook set name = 'renamed' where id = 1")
    ledger.execute("select jobhooks.delete_hook('renamed')")
    ledger.execute("update jobhooks.job_hook set name = 'renamed' where name = 'second'")
    named = {
        (result.change_id, result.hook, result.hook_deleted) for result in newest_results(admin, ResultFilter(), 50)
    }
    assert named >= {(1, "renamed", True), (4, "renamed", False)}
    assert {result.change_id for result in all_results(admin, ResultFilter(hooks=["renamed"]))} >= {1, 3, 4}
    assert {line.hook_deleted for line in newest_lines(admin, ResultFilter(hooks=["renamed"]), 50)} == {True}
    assert {result.hook for result in results_of_change(admin, 1, "renamed").results} == {"renamed"}
    view = "select distinct hook, job, hook_deleted from jobhooks.results where change_id = 1"
    assert ledger.execute(view).fetchall() == [("renamed", "a.B", True)]
    with pytest.raises(UnknownHook):
        results_of_change(admin, 1, "former")


def test_a_deleted_job_keeps_its_class_path_in_results(ledger: Connection, admin: SyncConnection) -> None:
    ledger.execute("delete from jobhooks.job_hook")
    ledger.execute("update jobhooks.job set installed = false")
    delete_job(admin, "a.B")
    found = newest_results(admin, ResultFilter(jobs=["a.B"]), 50)
    assert [(result.change_id, result.job) for result in found] == [(1, "a.B"), (1, "a.B"), (3, "a.B"), (4, "a.B")]
    assert {line.job for line in newest_lines(admin, ResultFilter(jobs=["a.B"]), 50)} == {"a.B"}


def test_without_a_history_a_deleted_hook_has_no_name(ledger: Connection, admin: SyncConnection) -> None:
    """Of a hook that was deleted before jobhooks kept a history."""
    ledger.execute("delete from jobhooks.job_hook where id = 1")
    ledger.execute("delete from jobhooks.configuration_change")
    first = newest_results(admin, ResultFilter(), 50)[0]
    assert (first.hook, first.hook_deleted) == (None, True)


def test_what_does_not_exist_is_refused(ledger: Connection, admin: SyncConnection) -> None:
    with pytest.raises(UnknownHook):
        newest_results(admin, ResultFilter(hooks=["third"]), 50)
    with pytest.raises(UnknownJob):
        newest_results(admin, ResultFilter(jobs=["a.b"]), 50)
    with pytest.raises(NotWatched):
        newest_results(admin, ResultFilter(tables=["public.none"]), 50)
    with pytest.raises(Refused):
        results_of_change(admin, 2)
    with pytest.raises(Refused):
        results_of_change(admin, 1, attempt=9)
    assert results_of_delivery(admin, 2) == []


def test_a_change_has_its_results_and_its_pending_deliveries(ledger: Connection, admin: SyncConnection) -> None:
    details = change_details(admin, 1)
    assert [result.attempt for result in details.results] == [1, 2]
    assert [(delivery.hook, delivery.status) for delivery in details.deliveries] == [("first", "dead")]
    with pytest.raises(Refused):
        change_details(admin, 99)
