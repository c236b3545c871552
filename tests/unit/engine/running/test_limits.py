"""Time limits of async receivers, and who blocks the loop. These wait for real, but assert no duration."""

import asyncio
import contextlib
import time

import pytest
from structlog.testing import capture_logs

from jobhooks.contract.control import Cancelled, SoftTimeLimitExceeded, TimeLimitExceeded
from jobhooks.engine.delivery.call import RunDiscarded
from jobhooks.engine.running.in_loop import limits
from jobhooks.engine.running.in_loop.limits import Limited, RaisedGeneratorExit, Watchdog


def own_task() -> asyncio.Task[object]:
    """The task of the caller."""
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_the_soft_limit_is_raised_where_the_receiver_waits() -> None:
    """The receiver can clean up, and the operation it awaits is cancelled."""
    waited_for = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def receiver() -> str:
        try:
            await waited_for
        except SoftTimeLimitExceeded as exc:
            seen.append(str(exc))
            await asyncio.sleep(0)  # it may still wait
            return "cleaned up"
        return "never"

    assert await Limited(receiver(), "m.C", 0.01, None).run() == "cleaned up"
    assert len(seen) == 1 and "0.01" in seen[0]
    assert waited_for.cancelled()
    assert not own_task().cancelling()


async def test_a_receiver_that_does_not_heed_it_is_cancelled_at_the_hard_limit() -> None:
    cancelled: list[bool] = []

    async def receiver() -> None:
        try:
            await asyncio.sleep(3600)
        except SoftTimeLimitExceeded:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    with pytest.raises(TimeLimitExceeded, match=r"0\.5"):
        await Limited(receiver(), "m.C", 0.01, 0.5).run()
    assert cancelled == [True]


async def test_a_receiver_that_returns_after_its_hard_limit_has_failed_all_the_same() -> None:
    async def receiver() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)

    with pytest.raises(TimeLimitExceeded):
        await Limited(receiver(), "m.C", None, 0.01).run()


async def test_a_cancellation_from_outside_is_none_of_the_limits() -> None:
    """The daemon ends: that is not the receiver's failure."""

    async def receiver() -> None:
        await asyncio.sleep(3600)

    task = asyncio.create_task(Limited(receiver(), "m.C", 60, 60).run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("waits_before", [False, True])
@pytest.mark.parametrize("waits_after", [False, True])
@pytest.mark.parametrize("limit", [None, 60])
async def test_a_receiver_that_cancels_its_task_does_not_cancel_the_daemons(
    waits_before: bool, waits_after: bool, limit: float | None
) -> None:
    """The run ends, and the task that runs receivers can go on."""

    async def receiver() -> None:
        if waits_before:
            await asyncio.sleep(0)
        own_task().cancel()
        if waits_after:
            await asyncio.sleep(3600)

    with pytest.raises(asyncio.CancelledError):
        await Limited(receiver(), "m.C", limit, limit).run()
    assert not own_task().cancelling()
    await asyncio.sleep(0)


async def test_a_receiver_that_cancels_its_task_and_raises_has_failed_by_that() -> None:
    async def receiver() -> None:
        own_task().cancel()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Limited(receiver(), "m.C", None, None).run()
    await asyncio.sleep(0)


@pytest.mark.parametrize("waits_before", [False, True])
async def test_a_receiver_that_cancels_its_task_and_raises_generator_exit_cancels_nothing_else(
    waits_before: bool,
) -> None:
    async def receiver() -> None:
        if waits_before:
            await asyncio.sleep(0)
        own_task().cancel()
        raise GeneratorExit

    with pytest.raises(RaisedGeneratorExit):
        await Limited(receiver(), "m.C", None, None).run()
    assert not own_task().cancelling()
    await asyncio.sleep(0)


async def test_a_receiver_that_handles_its_own_cancellation_goes_on() -> None:
    async def receiver() -> str:
        own_task().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        return "done"

    assert await Limited(receiver(), "m.C", None, None).run() == "done"
    await asyncio.sleep(0)


async def test_a_cancellation_from_outside_counts_after_one_by_itself() -> None:
    async def receiver() -> None:
        own_task().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    task = asyncio.create_task(Limited(receiver(), "m.C", None, None).run())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_results_and_errors_pass_through() -> None:
    async def returns() -> int:
        await asyncio.sleep(0)
        return 7

    async def raises() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    assert await Limited(returns(), "m.C", 60, None).run() == 7
    with pytest.raises(ValueError, match="no"):
        await Limited(raises(), "m.C", None, 60).run()


async def test_who_blocks_the_loop_is_named_once_with_the_place() -> None:
    async def receiver() -> None:
        time.sleep(1.7)  # noqa: ASYNC251 - it is what must not be done

    with capture_logs() as logged:
        watching = asyncio.create_task(Watchdog().run())
        await asyncio.sleep(0)
        await Limited(receiver(), "slow.Blocks", None, None).run()
        watching.cancel()
    (blocked,) = [entry for entry in logged if entry["event"] == "loop_blocked"]
    assert blocked["receiver"] == "slow.Blocks"
    assert "time.sleep(1.7)" in blocked["stack"]


async def test_both_limits_in_one_turn_of_a_blocked_loop_end_the_run_and_leave_nothing_behind() -> None:
    """Another receiver blocked the loop, or the machine was paused: the two are one cancellation."""

    async def ignores() -> None:
        while True:
            with contextlib.suppress(SoftTimeLimitExceeded):
                await asyncio.sleep(3600)

    loop = asyncio.get_running_loop()
    loop.call_later(0.01, time.sleep, 0.3)
    with pytest.raises(TimeLimitExceeded, match=r"0\.2"):
        async with asyncio.timeout(30):
            await Limited(ignores(), "m.C", 0.1, 0.2).run()
    assert not own_task().cancelling()
    # Else this one's time limit would count as the end of the daemon.
    with pytest.raises(TimeLimitExceeded):
        await Limited(asyncio.sleep(3600), "m.C", None, 0.01).run()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_receiver_that_raises_generator_exit_has_failed(waits: bool) -> None:
    """It must not end the task that runs the hook."""

    async def receiver() -> None:
        if waits:
            await asyncio.sleep(0)
        raise GeneratorExit

    with pytest.raises(RaisedGeneratorExit, match="raised GeneratorExit"):
        await Limited(receiver(), "m.C", None, None).run()


@pytest.mark.parametrize("resists", [False, True])
async def test_a_receiver_that_goes_on_after_its_hard_limit_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, resists: bool
) -> None:
    """Also one that resists the end of its coroutine."""
    monkeypatch.setattr(limits, "ABANDON_S", 0.1)
    ends = 0

    async def receiver() -> None:
        nonlocal ends
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
            except GeneratorExit:
                ends += 1
                if not resists or ends > 1:
                    raise

    with pytest.raises(TimeLimitExceeded):
        async with asyncio.timeout(30):
            await Limited(receiver(), "m.C", None, 0.05).run()
    assert not own_task().cancelling()


@pytest.mark.parametrize("reason", [Cancelled("by a person"), RunDiscarded()])
@pytest.mark.parametrize("hard", [None, 60])
async def test_a_run_that_is_ended_raises_the_reason(reason: Exception, hard: float | None) -> None:
    """Even if the receiver returns, as at a hard limit; and its task can wait again."""
    cleaned_up: list[bool] = []

    async def receiver() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned_up.append(True)

    limited = Limited(receiver(), "m.C", None, hard)
    asyncio.get_running_loop().call_later(0.01, limited.end, reason)
    with pytest.raises(type(reason)) as raised:
        await limited.run()
    assert raised.value is reason and cleaned_up == [True]
    assert not own_task().cancelling()
    await asyncio.sleep(0)


async def test_a_run_that_has_ended_cannot_be_ended_any_more() -> None:
    """Its result may be committing."""

    async def receiver() -> str:
        await asyncio.sleep(0)
        return "done"

    limited = Limited(receiver(), "m.C", None, None)
    limited.end(Cancelled("too early"))
    assert await limited.run() == "done"
    limited.end(Cancelled("too late"))
    await asyncio.sleep(0)
    assert not own_task().cancelling()


async def test_a_receiver_that_resists_its_end_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ABANDON_S", 0.05)

    async def receiver() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    limited = Limited(receiver(), "m.C", None, None)
    asyncio.get_running_loop().call_later(0.01, limited.end, Cancelled("by a person"))
    with pytest.raises(Cancelled):
        await limited.run()
    assert not own_task().cancelling()
