"""Why a hook got a change, or did not: each rule on real rows, and what became of the delivery."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.engine.delivery.outcome import CHANGES_NOTHING
from jobhooks.errors import Refused, UnknownHook
from jobhooks.operations.delivering.explained_rules import ExplainedRule, Verdict
from jobhooks.operations.delivering.explaining import HookExplanation, explain
from jobhooks.operations.delivering.following import ResultFollower
from jobhooks.operations.delivering.results import ResultFilter
from jobhooks.operations.tables import watch
from jobhooks.store.connections import SyncConnection
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers

JOB = "insert into jobhooks.job (class_path, enabled, installed) values ('a.B', true, true)"
READ = "update jobhooks.cursor set seen = pg_current_snapshot(), horizon = pg_current_snapshot()"
UPDATE = "update public.device set serial = 'X' where id = 1"
MET, NOT_MET, WAITS, ERROR = Verdict.MET, Verdict.NOT_MET, Verdict.WAITS, Verdict.ERROR

Save = Callable[..., None]


@pytest.fixture
def save(device: Connection) -> Save:
    """Save a hook on the device for updates, with other settings if given."""
    device.execute(JOB)

    def hook(name: str = "h", **settings: object) -> None:
        given = {"name": name, "content_types": ["public.device"], "job": "a.B", "events": ["update"], **settings}
        device.execute("select jobhooks.save_hook(null, %s)", [json.dumps(given)])

    return hook


def only(conn: SyncConnection, change: int = 1, hook: str = "h") -> HookExplanation:
    (found,) = explain(conn, change, hook).hooks
    return found


def rule(explained: HookExplanation, name: str) -> ExplainedRule:
    """The last rule of this name."""
    return [each for each in explained.rules if each.name == name][-1]


def refusals(explained: HookExplanation) -> list[tuple[str, Verdict]]:
    return [(each.name, each.outcome) for each in explained.rules if each.refuses]


def test_a_change_that_meets_all_rules(device: Connection, admin: SyncConnection, save: Save) -> None:
    save(roles=[device.info.user], columns=["serial"], conditions="new.serial == 'X'")
    device.execute(UPDATE)
    unread = only(admin)
    assert (unread.matches, unread.state, unread.delivery, unread.results) == (True, "unread", None, [])
    assert [(part.text, part.outcome) for part in rule(unread, "conditions").parts] == [("new.serial == 'X'", True)]
    assert [(each.name, each.outcome) for each in unread.rules] == [
        *((name, MET) for name in ("triggering", "content_types", "events", "roles", "columns", "conditions")),
        *((name, MET) for name in ("enabled", "job", "beginning")),
        ("position", WAITS),
    ]
    device.execute(READ)
    read = only(admin)
    assert (read.matches, read.state, rule(read, "position").outcome) == (True, "untraced", MET)


@pytest.mark.parametrize(
    ("settings", "name", "outcome", "words"),
    [
        ({"content_types": ["public.site"]}, "content_types", NOT_MET, "public.site, not for public.device"),
        ({"events": ["create", "delete"]}, "events", NOT_MET, "create, delete: not for update"),
        ({"roles": ["nobody"]}, "roles", NOT_MET, "nobody"),
        ({"columns": ["name"]}, "columns", NOT_MET, "none of name"),
        (
            {"conditions": "new.id == 1 && new.serial == 'Y' && user == 'bob'"},
            "conditions",
            NOT_MET,
            "false: new.serial == 'Y' (new.serial = \"X\"); user == 'bob' (user = ",
        ),
        (
            {"conditions": "int(new.serial) > 1 && new.id == 1"},
            "conditions",
            ERROR,
            "false: int(new.serial) > 1: cannot",
        ),
        (
            {"conditions": "int(new.serial) > 1 && new.id == 2"},
            "conditions",
            NOT_MET,
            "false: new.id == 2 (new.id = 1)",
        ),
        ({"enabled": False}, "enabled", NOT_MET, "disabled"),
    ],
)
def test_the_rule_that_refuses_is_named(
    device: Connection,
    admin: SyncConnection,
    save: Save,
    settings: dict[str, object],
    name: str,
    outcome: Verdict,
    words: str,
) -> None:
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site')")
    if "roles" in settings:
        device.execute("do $$ begin create role nobody; exception when duplicate_object then null; end $$")
    save(**settings)
    device.execute(UPDATE)
    explained = only(admin)
    assert (explained.matches, explained.state) == (False, "not for it")
    assert refusals(explained) == [(name, outcome)]
    assert words in rule(explained, name).reason


def test_a_disabled_job_passes_changes_by(device: Connection, admin: SyncConnection, save: Save) -> None:
    save(enabled=False)
    device.execute("select jobhooks.enable_job('a.B', false)")
    device.execute(UPDATE)
    explained = only(admin)
    assert ("job", NOT_MET) in refusals(explained)
    assert "a.B is disabled" in next(each.reason for each in explained.rules if each.refuses and each.name == "job")


def test_a_pause_and_a_missing_receiver_keep_the_change(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute("update jobhooks.job set installed = false")
    device.execute("select jobhooks.pause_hook('h', true)")
    device.execute("insert into jobhooks.hook_loop (hook_id, reason) values (1, 'it triggers itself')")
    device.execute(UPDATE)
    explained = only(admin)
    assert explained.matches
    assert (rule(explained, "paused").outcome, rule(explained, "job").outcome) == (WAITS, WAITS)
    assert "by the daemon: it triggers itself" in rule(explained, "paused").reason
    device.execute(
        "insert into jobhooks.data_verdict (hook_id, job_id, data, error)"
        " select id, job_id, data, 'channel: is missing' from jobhooks.job_hook"
    )
    assert "channel: is missing" in rule(only(admin), "data").reason


def test_a_change_older_than_the_hook(device: Connection, admin: SyncConnection, save: Save) -> None:
    device.execute(UPDATE)
    save()
    explained = only(admin)
    assert (explained.matches, explained.state, refusals(explained)) == (False, "not for it", [("beginning", NOT_MET)])
    device.execute("update jobhooks.cursor set first_id = 1")
    assert refusals(only(admin)) == [("position", NOT_MET)]


def test_a_hook_changed_since_says_so(device: Connection, admin: SyncConnection, save: Save) -> None:
    save(columns=["name"])
    device.execute(UPDATE)
    assert only(admin).changed_at is None
    device.execute("select jobhooks.save_hook('h', %s)", [json.dumps({"columns": ["serial"]})])
    explained = only(admin)
    assert explained.changed_at is not None and explained.matches, "by the settings of now"


def test_writes_of_a_receiver_trigger_nothing(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute(UPDATE)
    with device.transaction():
        device.execute("set local jobhooks.delivery = '1:1:2'")
        device.execute("update public.device set serial = 'Y' where id = 1")
    explained = explain(admin, 2)
    assert (explained.triggering, [each.state for each in explained.hooks]) == (False, ["not for it"])
    assert 'the hook "h" wrote it, in attempt 2 for change 1' in only(admin, 2).rules[0].reason
    with device.transaction():
        device.execute("set local jobhooks.triggering = 'off'")
        device.execute("update public.device set serial = 'Z' where id = 1")
    assert "changes by this role trigger nothing" in only(admin, 3).rules[0].reason


def test_a_hook_with_chains_says_how_deep_a_change_is(device: Connection, admin: SyncConnection, save: Save) -> None:
    save(chain_depth=1)
    for mark in ("1:1:1", "1:1:1:2"):
        with device.transaction():
            device.execute(f"set local jobhooks.delivery = '{mark}'".encode())
            device.execute("update public.device set serial = serial || 'x' where id = 1")
    within, beyond = only(admin, 1), only(admin, 2)
    assert within.matches and [rule.outcome for rule in within.rules[:1]] == [MET]
    assert (within.state, within.rules[-1].name, within.rules[-1].outcome) == ("unread", "position", WAITS)
    assert refusals(beyond) == [("chain_depth", NOT_MET)]
    assert (
        next(rule.reason for rule in beyond.rules if rule.refuses) == "the change is 2 deep in a chain; the limit is 1"
    )


def test_the_state_of_a_delivery_and_its_results(ledger: Connection, admin: SyncConnection) -> None:
    assert [(each.hook, each.state) for each in explain(admin, 1).hooks] == [
        ("first", "dead"),
        ("second", "not for it"),
    ]
    first = only(admin, 1, "first")
    assert [result.error for result in first.results] == ["Timeout", "KeyError"]
    blocked = only(admin, 2, "first")
    assert blocked.delivery is not None
    assert (blocked.state, blocked.delivery.behind) == ("blocked", 1)
    assert only(admin, 4, "second").state == "waiting"
    ledger.execute("select jobhooks.delete_hook('first')")
    gone = only(admin, 1, "first")
    assert (gone.hook_deleted, gone.state, gone.matches) == (True, "discarded", False)


def test_what_does_not_exist_is_refused(ledger: Connection, admin: SyncConnection) -> None:
    with pytest.raises(Refused) as refused:
        explain(admin, 99)
    assert "there is no change 99 in the log" in refused.value.message
    with pytest.raises(UnknownHook):
        explain(admin, 1, "none")
    ledger.execute("select jobhooks.delete_hook('second')")
    with pytest.raises(UnknownHook) as deleted:
        explain(admin, 1, "second")
    assert "was deleted" in deleted.value.message


PENDING = (
    "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at, attempts)"
    " values (%s, 1, 1, 7, %s, %s::timestamptz, %s)"
)


def test_what_merged_changes_wait_for(device: Connection, admin: SyncConnection, save: Save) -> None:
    save(debounce_s=5)
    device.execute(UPDATE)
    device.execute("update public.device set serial = 'Y' where id = 1")
    device.execute(PENDING, [1, "waiting", "2100-01-01", 0])
    first = only(admin)
    assert [(each.name, each.outcome) for each in first.rules[-2:]] == [("position", MET), ("debounce", WAITS)]
    assert "5 s without a change of the object, until 2100-01-01" in first.rules[-1].reason
    device.execute(PENDING, [2, "waiting", "2100-01-01", 0])
    second = only(admin, 2)
    assert (second.state, second.rules[-1].name, second.rules[-1].outcome) == ("blocked", "debounce", WAITS)
    assert "change 1, with the same ordering key, comes first, and may be delivered as one" in second.rules[-1].reason


def test_what_the_changes_of_a_request_wait_for(device: Connection, admin: SyncConnection, save: Save) -> None:
    """The first one waits until the last one has: a second, without another setting."""
    save(coalesce_s=-1)
    device.execute(UPDATE)
    device.execute("update public.device set serial = 'Y' where id = 1")
    device.execute(PENDING, [1, "waiting", "2100-01-01 00:00:00", 0])
    device.execute(PENDING, [2, "waiting", "2100-01-01 00:00:05", 0])
    waits = only(admin).rules[-1]
    assert (waits.name, waits.outcome) == ("coalesce", WAITS)
    assert (
        "waits for 1 s for further changes of the object by the same request, until 2100-01-01 00:00:05" in waits.reason
    )


def test_what_a_blocked_delivery_is_behind(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute(UPDATE)
    device.execute("update public.device set serial = 'Y' where id = 1")
    device.execute(PENDING, [1, "dead", None, 3])
    device.execute(PENDING, [2, "waiting", "2000-01-01", 0])
    behind = only(admin, 2)
    assert (behind.state, behind.rules[-1].name) == ("blocked", "blocked")
    assert behind.rules[-1].reason.endswith("it is dead after 3 attempts")


def test_a_rate_is_named_whether_its_delivery_is_in_the_log_or_in_the_backlog(
    device: Connection, admin: SyncConnection, save: Save
) -> None:
    save(rate="1/day")
    device.execute(UPDATE)
    device.execute("insert into jobhooks.rate_bucket (hook_id, key, full_at) values (1, 0, now() + interval '1 day')")
    assert (only(admin).state, rule(only(admin), "rate").outcome) == ("unread", WAITS)
    device.execute(PENDING, [1, "waiting", "2000-01-01", 0])
    explained = only(admin)
    assert (explained.state, explained.rules[-1].name) == ("waiting", "rate")
    assert "1/day is used up: the next delivery may begin at " in explained.rules[-1].reason


def test_a_batch_and_a_missing_daemon_are_named(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute('update jobhooks.job set settings = \'{"batch_size": 10, "batch_wait": 20}\'')
    device.execute(UPDATE)
    explained = only(admin)
    assert [each.name for each in explained.rules if each.outcome is WAITS] == ["batch", "position"]
    assert "up to 10 changes" in rule(explained, "batch").reason
    assert "no daemon leads" in rule(explained, "position").reason


def test_a_hook_that_is_behind_says_so(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute(
        "insert into jobhooks.hook_position (hook_id, seen, horizon, seen_floor, horizon_floor, last_id)"
        " values (1, pg_current_snapshot(), pg_current_snapshot(), 0, 0, 0)"
    )
    device.execute(UPDATE)
    with psycopg.connect(device.info.dsn, autocommit=True) as leader:
        leader.execute("select jobhooks.acquire_leadership()")
        assert "the hook is behind the others" in rule(only(admin), "position").reason


def test_a_change_with_a_result_was_read(device: Connection, admin: SyncConnection, save: Save) -> None:
    """A page of the log is settled only when its last delivery is: until then, the position says less."""
    save()
    device.execute(UPDATE)
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
        " values (1, 1, 1, 1, 'success', now(), now())"
    )
    assert rule(only(admin), "position").outcome is MET


def test_a_change_that_is_not_for_a_hook_waits_for_nothing(
    device: Connection, admin: SyncConnection, save: Save
) -> None:
    save(columns=["name"])
    device.execute(UPDATE)
    assert [each.name for each in only(admin).rules if each.outcome is WAITS] == []


def test_results_outlive_their_change(device: Connection, admin: SyncConnection, save: Save) -> None:
    save()
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
        " values (1, 1, 1, 1, 'success', now(), now())"
    )
    with pytest.raises(Refused) as refused:
        explain(admin, 1)
    assert refused.value.remedy == "jobhooks result show 1: its results are kept"


def test_a_change_of_a_child_is_explained_by_its_parent(device: Connection, admin: SyncConnection, save: Save) -> None:
    device.execute(
        "create table public.tag (id integer primary key, device_id integer references public.device on delete cascade)"
    )
    watch(admin, "public.tag", parents=["public.device=device_id"])
    save()
    save("serials", columns=["serial"])
    device.execute("insert into public.tag values (1, 1), (2, null)")
    explained = only(admin, 1)
    assert explained.matches and "a parent of public.tag" in rule(explained, "content_types").reason
    assert refusals(only(admin, 1, "serials")) == [("columns", NOT_MET)]
    orphan = only(admin, 2)
    assert not orphan.matches and "refers to no row" in rule(orphan, "content_types").reason
    device.execute("delete from public.device where id = 1")
    cascaded = only(admin, 4)
    device.execute("truncate public.tag")
    assert "a truncate updates no row of them" in rule(only(admin, 5), "content_types").reason
    assert "the same transaction has deleted" in rule(cascaded, "content_types").reason


RECEIVERS = """
from jobhooks import JobHookReceiver

class Writes(JobHookReceiver):
    async def receive_job_hook(self, change, changed_object):
        await self.connection.execute("update public.device set name = 'written' where id = 1")
"""


def test_runs_of_a_daemon_are_explained(
    device: Connection, admin: SyncConnection, database: str, tmp_path: Path
) -> None:
    """Its own writes, and changes that it merged, as the daemon records them."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    add_hook(database, receivers, "r.Writes")
    device.execute("update jobhooks.job_hook set coalesce_s = 0")
    follower = ResultFollower(admin, ResultFilter())
    with Daemon(database, receivers, tmp_path / "daemon.log"):
        with device.transaction():
            device.execute("update public.device set serial = 'A' where id = 1")
            device.execute("update public.device set serial = 'B' where id = 1")
        wait_until("both have a result", lambda: device.execute("select from jobhooks.job_result").rowcount == 2)
        wait_until("no row is left", lambda: device.execute("select from jobhooks.delivery").rowcount == 0)
    assert {result.change_id for result in follower.new_results()} == {1, 2}, "as they are followed"
    merged = [only(admin, change, "hook of r.Writes") for change in (1, 2)]
    assert [(each.matches, each.state, each.merged_with) for each in merged] == [
        (True, "success", [2]),
        (True, "success", [1]),
    ]
    device.execute("update jobhooks.job_hook set coalesce_s = null, events = '{delete}'")
    assert [only(admin, change, "hook of r.Writes").merged_with for change in (1, 2)] == [[2], [1]], "as it was then"
    own = only(admin, 3, "hook of r.Writes")
    assert (own.matches, own.state) == (False, "not for it")
    assert "a receiver's writes trigger no hook without a chain_depth" in own.rules[0].reason


def test_discarded_changes_had_no_run(device: Connection, admin: SyncConnection, save: Save) -> None:
    """An operator's discards may have one time by a coarse clock. Those of one run had a run, or came to nothing."""
    save()
    for serial in "ABC":
        device.execute("update public.device set serial = %s where id = 1", [serial])
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error)"
        " select id, 1, 1, 1, 'discarded', now(), now(), 'discarded by x' from jobhooks.object_change"
    )
    assert only(admin, 1).merged_with == []
    device.execute("update jobhooks.job_result set finished_at = now() + interval '1 s', started_at = now()")
    assert only(admin, 1).merged_with == [2, 3]
    device.execute("update jobhooks.job_result set finished_at = started_at, error = %s", [CHANGES_NOTHING])
    assert only(admin, 1).merged_with == [2, 3]
    device.execute("select jobhooks.watch('public.device', keyless => true)")
    assert only(admin, 1).merged_with == [], "rows without a key"


def test_programs_get_it_as_json(ledger: Connection) -> None:
    finished = jobhooks("explain", "--change", "1", "--json", JOBHOOKS_DATABASE_URL=ledger.info.dsn)
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert (found["change"]["id"], found["triggering"]) == (1, True)
    first, second = found["hooks"]
    assert (first["hook"], first["state"], first["delivery"]["status"]) == ("first", "dead", "dead")
    assert [result["status"] for result in first["results"]] == ["failure", "failure"]
    assert second["rules"][-1] == {
        "name": "content_types",
        "outcome": "not met",
        "reason": "the hook is for public.site, not for public.device",
        "parts": [],
    }
