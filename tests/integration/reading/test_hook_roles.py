"""Who may trigger a hook: the role that a session logged in as decides, and nothing that the session says of itself."""

import contextlib
from pathlib import Path

from conftest import Connection
from jobhooks.operations.configuration import hooks
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.delivering import seen_by, settled, write
from support.hooking import add_hook

HOOK = "hook of r.Sees"


def test_only_sessions_of_its_roles_trigger_a_hook(
    seen: Connection, application: Connection, role: str, database: str, receivers: Path, log: Path
) -> None:
    """Through the daemon, TRUNCATE included, and when changes are replayed."""
    add_hook(database, receivers, "r.Sees")
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, HOOK, {"roles": [role]})
        write(seen, "admin", 1)
        seen.execute(f"set jobhooks.user_name = {role}".encode())
        write(seen, "a claim", 2)
        seen.execute(f"set role {role}".encode())
        write(seen, "another role for now", 3)
        seen.execute("truncate public.device")
        seen.execute("reset role")
        application.execute("insert into public.device (name, serial) values ('app', '4')")
        application.execute("set jobhooks.user_name = 'alice'")
        application.execute("truncate public.device")
        with Daemon(database, receivers, log) as daemon:
            wait_until("all is settled", settled(seen, 2))
            assert daemon.terminate() == 0
        assert [value for _, value in seen_by(seen, "Sees")] == ["4", None]
        assert len(plan_replay(admin, ReplayFilter(HOOK)).change_ids) == 2


def test_the_role_of_a_session_is_in_conditions_and_in_the_change(
    seen: Connection, application: Connection, role: str, database: str, receivers: Path, log: Path
) -> None:
    """Beside the user, whom the application chooses."""
    code = """
from jobhooks import JobHookReceiver

class Tells(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute(
            "insert into public.seen (receiver, word) values (%s, %s)", [change.user_name, change.session_role]
        )
"""
    (receivers / "tells.py").write_text(code)
    add_hook(database, receivers, "tells.Tells")
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, "hook of tells.Tells", {"conditions": f'role == "{role}" && user == "alice"'})
    seen.execute("set jobhooks.user_name = 'alice'")
    write(seen, "not by the application", 1)
    application.execute("insert into public.device (name) values ('not by alice')")
    application.execute("set jobhooks.user_name = 'alice'")
    application.execute("insert into public.device (name) values ('both')")
    with Daemon(database, receivers, log) as daemon:
        wait_until("it is settled", settled(seen, 1))
        assert daemon.terminate() == 0
    assert seen.execute("select receiver, word from public.seen").fetchall() == [("alice", role)]
