"""Concurrency limits: sharing between hooks, without deadlocks."""

import asyncio

from jobhooks.engine.running.concurrency_limits import ConcurrencyLimits
from jobhooks.matching.hook_table import Hook
from support.making import make_hook


async def most_at_once(limits: ConcurrencyLimits, *hooks: Hook) -> int:
    """How many of these run at the same time, where each would like to."""
    running = most = 0

    async def run(hook: Hook) -> None:
        nonlocal running, most
        async with limits.held(hook):
            running += 1
            most = max(most, running)
            for _ in range(3):
                await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(run(hook) for hook in hooks))
    return most


async def test_without_a_limit_all_run() -> None:
    assert await most_at_once(ConcurrencyLimits(), *(make_hook(number) for number in range(5))) == 5


async def test_a_queue_is_shared_by_all_its_hooks() -> None:
    hooks = [make_hook(number, queue="mail", queue_limit=2) for number in range(6)]
    assert await most_at_once(ConcurrencyLimits(), *hooks) == 2


async def test_queues_do_not_share() -> None:
    hooks = [make_hook(number, queue=f"q{number}", queue_limit=1) for number in range(3)]
    assert await most_at_once(ConcurrencyLimits(), *hooks) == 3


async def test_a_singleton_job_runs_once_whatever_hook_it_is_of() -> None:
    hooks = [make_hook(number, job_id=1, is_singleton=True) for number in range(3)]
    assert await most_at_once(ConcurrencyLimits(), *hooks) == 1


async def test_jobs_and_queues_do_not_wait_for_each_other() -> None:
    """The job comes before the queue, for each hook."""
    limits = ConcurrencyLimits()
    hooks = [
        make_hook(number, job_id=number % 2, is_singleton=True, queue=f"q{number % 3}", queue_limit=1)
        for number in range(12)
    ]
    async with asyncio.timeout(20):
        assert await most_at_once(limits, *hooks) <= 2


async def test_a_changed_limit_holds_for_the_next() -> None:
    limits = ConcurrencyLimits()
    assert await most_at_once(limits, *(make_hook(n, queue="mail", queue_limit=1) for n in range(3))) == 1
    assert await most_at_once(limits, *(make_hook(n, queue="mail", queue_limit=3) for n in range(3))) == 3
