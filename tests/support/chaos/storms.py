"""A storm of faults around a database while writers write to it."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

from support.chaos import families
from support.chaos.accounting import Accountant
from support.chaos.churning import Mix, write_all_receivers
from support.chaos.pairs import Pair
from support.chaos.places import ENVIRONMENT, Place
from support.daemon import Daemon, jobhooks_within, wait_until
from support.hooking import write_receivers
from support.postgres.faults import end_sessions, kill_a_worker

MIX = Mix(
    writers=2,
    steps=(0, 0),
    keys=0,
    pause_s=0,
    mishaps=0,
    slow_one_in=20_000,
    fail_one_in=150,
    truncate_one_in=0,
    lag_s=0,
    page_sizes=(500, 2_000, 5_000),
    limit_s=0,
)
# A row for each run: it stands for all changes of the run's batch, in their order.
MANY = """
from jobhooks import JobHookReceiver
from ._shared import fails

class Many(JobHookReceiver):
    class Meta:
        backoff, max_attempts, batch_size, concurrency = 0.02, 1000, 2000, 2
    async def receive_job_hook_batch(self, changes):
        await self.connection.execute(
            "insert into public.got_many (hook, changes) values ($1, $2)",
            self.hook.id, [change.id for change in changes],
        )
        if fails(self, changes[0]):
            raise ValueError("at random")

class ManyNow(JobHookReceiver):
    class Meta:
        backoff, max_attempts, batch_size, concurrency = 0.02, 1000, 2000, 2
    def receive_job_hook_batch(self, changes):
        self.connection.execute(
            "insert into public.got_many (hook, changes) values (%s, %s)",
            [self.hook.id, [change.id for change in changes]],
        )
        if fails(self, changes[0]):
            raise ValueError("at random")
"""
PAUSE_S = 8  # at most, between two faults
MAKE_MANY = "create table public.got_many (n bigserial primary key, hook integer, changes bigint[])"
DAEMONS = ("kill", "terminate", "freeze", "kill_worker", "end_sessions", "reload")
SERVERS = ("restart_fast", "restart_immediate", "end_writers", "full_disk", "install")


class Storm:
    """Two daemons, the writers, and the faults that happen to them. ``say``: prints a line of the report."""

    def __init__(
        self, place: Place, writers: list[Accountant], directory: Path, seed: int, say: Callable[[str], None]
    ) -> None:
        self._place = place
        self._writers = writers
        self._directory = directory
        self._seed = seed
        self._say = say
        self._rng = random.Random(seed)
        self._numbers = count(1)
        self.receivers = directory / "receivers"
        self.pair = Pair(self._start, self._rng, 180)
        self.happened: Counter[str] = Counter()

    def write_receivers(self, note: str = "") -> None:
        """Write the modules of the receivers; daemons load them if they have changed."""
        write_all_receivers(self.receivers, MIX, self._seed, note)
        write_receivers(self.receivers, MANY + f"# {note}\n", "many")
        write_receivers(self.receivers, families.RECEIVERS + f"# {note}\n", "family")

    def rage(self, kinds: tuple[str, ...], until: float) -> None:
        """Let faults of these kinds happen in random order, each as often as the others."""
        possible = [kind for kind in kinds if kind != "full_disk" or self._place.disk.can_be_full]
        while True:
            for kind in self._rng.sample(possible, len(possible)):
                time.sleep(self._rng.uniform(0.5, PAUSE_S))
                if time.monotonic() > until:
                    return
                self.happen(kind)

    def happen(self, kind: str) -> None:
        """Let one fault happen."""
        for writer in self._writers:
            if writer.fault is not None:
                raise writer.fault
        began_at = time.monotonic()
        getattr(self, kind)()
        self.happened[kind] += 1
        self._say(f"{kind}, {time.monotonic() - began_at:.1f} s")

    def renew_daemons(self) -> None:
        """Replace both daemons, one after the other, by ones that connect as the place says now."""
        self.pair.terminate()
        self.pair.terminate()

    def _start(self) -> Daemon:
        return Daemon(
            self._place.daemon_url,
            self.receivers,
            self._directory / f"{next(self._numbers)}.log",
            JOBHOOKS_PAGE_SIZE=str(self._rng.choice(MIX.page_sizes)),
            JOBHOOKS_SHUTDOWN_GRACE="1",
            **ENVIRONMENT,
        )

    # Daemons.

    def kill(self) -> None:
        """SIGKILL."""
        self.pair.kill()

    def terminate(self) -> None:
        """SIGTERM, and a new daemon."""
        self.pair.terminate()

    def freeze(self) -> None:
        """SIGSTOP, then SIGCONT. After a long time the other daemon has taken over."""
        process = self.pair.choose().process
        process.send_signal(signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.2, 14))
        process.send_signal(signal.SIGCONT)

    def kill_worker(self) -> None:
        """A process below a daemon."""
        kill_a_worker(self.pair.choose(), self._rng)

    def end_sessions(self) -> None:
        """A third of the daemons' sessions."""
        end_sessions(self._place.server, self._rng)

    def reload(self) -> None:
        """New code for the receivers."""
        self.write_receivers(str(self._rng.random()))

    # Servers.

    def restart_fast(self) -> None:
        """As an administrator does it."""
        self._place.restart(signal.SIGINT)

    def restart_immediate(self) -> None:
        """As in a crash."""
        self._place.restart(signal.SIGQUIT)

    def restart_pooler(self) -> None:
        """PgBouncer."""
        self._place.restart_pooler(self._rng)

    def end_writers(self) -> None:
        """The writers' sessions."""
        with self._place.connect() as conn:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'writer'")

    def full_disk(self) -> None:
        """The server's disk, until a writer has seen it and some seconds longer."""
        before = self._lost()
        self._place.disk.fill()
        try:
            wait_until("a writer sees the full disk", lambda: self._lost() > before, 120)
            time.sleep(self._rng.uniform(0, 4))
        finally:
            self._place.disk.free()
        self._place.await_up()

    def _lost(self) -> int:
        return sum(writer.lost.total() for writer in self._writers)

    def install(self) -> None:
        """An upgrade of jobhooks: the functions and triggers again. It waits only briefly for locks of writers."""

        def is_installed() -> bool:
            finished = jobhooks_within(300, "install", "--database-url", self._place.url)
            assert finished.returncode == 0 or "lock" in finished.stderr, finished
            return finished.returncode == 0

        wait_until("jobhooks install gets its locks", is_installed, 300)
