"""Every runner has the changes of one object run in order, also if they share a transaction."""

from conftest import Connection
from jobhooks.contract.choices import JobResultStatus
from support.engine.conforming import CHANGES, Reported, UnderTest
from support.engine.grouping import copied, results, transactions

ALL = range(1, CHANGES + 1)
SUCCESS, FAILURE = JobResultStatus.SUCCESS, JobResultStatus.FAILURE


def statuses(reported: Reported) -> list[tuple[int, JobResultStatus | None]]:
    return [(change, outcome and outcome.status) for change, outcome in reported.outcomes.items()]


async def test_a_group_runs_in_order_with_a_result_for_each(rig: UnderTest, copying: Connection, patient: None) -> None:
    reported = await rig.run_each("Writes", rig.of_one_object("Writes", *ALL))
    assert statuses(reported) == [(number, SUCCESS) for number in ALL]
    assert copied(copying) == list(ALL) and results(copying) == [(number, 1, "success") for number in ALL]
    if rig.kind == "loop":
        assert transactions(copying) == 1


async def test_the_first_failure_ends_the_group(rig: UnderTest, copying: Connection, patient: None) -> None:
    """Those before it commit; those after it are given back and have not run."""
    reported = await rig.run_each("RaisesAtThree", rig.of_one_object("RaisesAtThree", *ALL), blocks=True)
    assert statuses(reported) == [(1, SUCCESS), (2, SUCCESS), (3, FAILURE)]
    assert (rig.here / "runs").read_text().split() == ["1", "2", "3"] and reported.alone == []
    assert copied(copying) == [1, 2] and results(copying) == [(1, 1, "success"), (2, 1, "success")]


async def test_others_run_after_a_failure(rig: UnderTest, copying: Connection, patient: None) -> None:
    """The changes of other objects, which may have been taken between those of this one."""
    deliveries = rig.of_one_object("RaisesAtThree", 1, 3, 4, 5)
    reported = await rig.run_each(
        "RaisesAtThree", [*deliveries[:2], *rig.of("RaisesAtThree", 2, 6, 7), *deliveries[2:]], blocks=True
    )
    assert sorted(reported.outcomes) == [1, 2, 3, 6, 7] and sorted(copied(copying)) == [1, 2, 6, 7]


async def test_a_group_that_cannot_commit_is_attempted_one_by_one(
    rig: UnderTest, copying: Connection, patient: None
) -> None:
    """Each shows by itself whether it was at fault; what is behind that one does not run."""
    copying.execute(
        "create table public.rack (device integer references public.device (id) deferrable initially deferred)"
    )
    reported = await rig.run_each("DanglesAtThree", rig.of_one_object("DanglesAtThree", *ALL), blocks=True)
    assert statuses(reported) == [(1, SUCCESS), (2, SUCCESS), (3, FAILURE)]
    assert copied(copying) == [1, 2] and results(copying) == [(1, 1, "success"), (2, 1, "success")]
    if rig.kind == "loop":
        assert reported.alone == [1, 2, 3]


async def test_no_run_commits_before_the_results_of_those_before_it(
    rig: UnderTest, copying: Connection, patient: None
) -> None:
    """A run that wrote nothing has a result as well: it must not be lost while a later one commits."""
    for name in ("WritesEven", "WritesEvenAndLogs"):
        reported = await rig.run_each(name, rig.of_one_object(name, *ALL))
        assert statuses(reported) == [(number, SUCCESS) for number in ALL]
        assert copied(copying) == [number for number in ALL if number % 2 == 0]
        outcomes = reported.outcomes
        for group in reported.groups:
            recorded = [outcome.recorded for number in group if (outcome := outcomes[number]) is not None]
            assert recorded == sorted(recorded, reverse=True), (name, group, recorded)
        there = [number for number, outcome in outcomes.items() if outcome is not None and outcome.recorded]
        assert results(copying) == [(number, 1, "success") for number in there]
        copying.execute("delete from jobhooks.job_log_entry")
        copying.execute("delete from jobhooks.job_result")
        copying.execute("delete from public.copy")


async def test_a_run_sees_the_row_as_the_run_before_it_left_it(
    rig: UnderTest, copying: Connection, patient: None
) -> None:
    """Both may be in one transaction, which has not committed."""
    copying.execute("update public.device set serial = '' where id = 1")
    later = range(CHANGES + 1, 2 * CHANGES + 1)
    reported = await rig.run_each("Saves", rig.of("Saves", *later))
    assert statuses(reported) == [(number, SUCCESS) for number in later]
    assert copying.execute("select serial from public.device where id = 1").fetchall() == [
        ("".join(f" {number}" for number in later),)
    ]
