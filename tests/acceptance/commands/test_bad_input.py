"""Mistakes of users: one clear line on stderr, the documented exit code, never a traceback."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from support.daemon import Daemon, environment, jobhooks
from support.postgres.servers import Server

UNREACHABLE, MISMATCH, REFUSED, SETTING = 3, 4, 5, 6
VALIDATE = "validate_serial.ValidateSerial"


def refused(code: int, *arguments: str, cwd: Path | str | None = None, **settings: str) -> str:
    """Run the command, check that it fails as a user would want, and return its line."""
    finished = jobhooks(*arguments, cwd=cwd, **settings)
    assert finished.returncode == code, finished
    assert finished.stdout == ""
    lines = finished.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("jobhooks: "), finished.stderr
    return lines[0].removeprefix("jobhooks: ")


@pytest.mark.parametrize("command", [["install"], ["job", "list"], ["status"], ["result", "list"]])
def test_no_such_database(server: Server, command: list[str]) -> None:
    line = refused(UNREACHABLE, *command, "--database-url", server.url("there_is_none"))
    assert "there_is_none" in line


def test_no_server(tmp_path: Path) -> None:
    line = refused(UNREACHABLE, "job", "list", "--database-url", f"postgresql:///x?host={tmp_path}")
    assert str(tmp_path) in line


def test_the_daemon_says_what_it_waits_for(tmp_path: Path) -> None:
    """It waits for a database that is not there, or will not have it: both mend themselves, or are mended."""
    with Daemon(f"postgresql:///x?host={tmp_path}", tmp_path, tmp_path / "log") as daemon:
        waits = daemon.await_event("database_unreachable", 2)
        assert str(tmp_path) in str(waits[0]["error"])
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.words()


def test_a_wrong_password(server: Server, database: str, conn: Connection) -> None:
    """The embedded server trusts everyone on its socket, so a rule for one role is put first."""
    (hba_file,) = conn.execute("show hba_file").fetchone() or ("",)
    hba = Path(hba_file)
    if not os.access(hba, os.W_OK):
        pytest.skip("the server's pg_hba.conf is not ours to change")
    role, original = "jobhooks_test_password", hba.read_text()
    conn.execute(f"drop role if exists {role}; create role {role} login password 'right'".encode())
    hba.write_text(f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n{original}")
    try:
        conn.execute("select pg_reload_conf()")
        url = make_conninfo(database, user=role, password="wrong")
        line = refused(UNREACHABLE, "job", "list", "--database-url", url)
        assert role in line and "wrong" not in line
    finally:
        hba.write_text(original)
        conn.execute("select pg_reload_conf()")
        conn.execute(f"drop role {role}".encode())


@pytest.mark.parametrize(
    "command",
    [["run"], ["job", "list"], ["hook", "list"], ["table", "watch", "public.t"], ["status"], ["result", "logs"]],
)
def test_sql_not_installed(empty_database: str, command: list[str]) -> None:
    line = refused(MISMATCH, *command, "--database-url", empty_database)
    assert "jobhooks install" in line


def test_sql_of_an_older_version(database: str, conn: Connection) -> None:
    conn.execute("update jobhooks.installation set program_version = '0.0.1', functions_digest = '0'")
    line = refused(MISMATCH, "run", "--database-url", database)
    assert "0.0.1" in line and "jobhooks install" in line
    assert jobhooks("install", "--database-url", database).returncode == 0
    assert jobhooks("job", "list", "--database-url", database).returncode == 0


def test_sql_of_a_newer_version(database: str, conn: Connection) -> None:
    conn.execute("insert into jobhooks.migration (version, name) values (9999, 'from_the_future')")
    for command in ("run", "install"):
        assert "9999" in refused(MISMATCH, command, "--database-url", database)


def test_a_copied_database(database: str, conn: Connection) -> None:
    conn.execute("update jobhooks.cursor set system_identifier = 1")
    assert "jobhooks adopt" in refused(MISMATCH, "run", "--database-url", database)
    assert jobhooks("adopt", "--copy", "--yes", "--database-url", database).returncode == 0


def test_a_receiver_module_that_does_not_import(database: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import re\nimport there_is_no_such_module\n")
    arguments = ["--database-url", database, "--receivers-path", str(tmp_path)]
    line = refused(REFUSED, "job", "enable", "broken.Anything", *arguments)
    assert f"{tmp_path}/broken.py:2" in line and "there_is_no_such_module" in line
    listed = jobhooks("job", "list", *arguments)
    assert listed.returncode == 0 and VALIDATE in listed.stdout and "broken.py:2" in listed.stderr


def test_nothing_is_installed_when_a_table_does_not_exist(empty_database: str) -> None:
    assert "public.none" in refused(REFUSED, "install", "public.none", "--database-url", empty_database)
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("select to_regnamespace('jobhooks')").fetchone() == (None,)


def test_installing_again_leaves_a_watched_table_as_it_is(device: Connection, database: str) -> None:
    """The deployment names the table each time; the excluded column must stay out of the log."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    device.execute("alter table public.device add api_token text")
    watched = jobhooks("table", "watch", "public.device", "--ignore", "name", **url)
    assert watched.returncode == 0 and "--exclude api_token" in watched.stderr
    watch = ["table", "watch", "public.device", "--ignore", "name", "--exclude", "api_token"]
    assert "api_token" not in jobhooks(*watch, **url).stderr
    assert jobhooks("install", "public.device", **url).returncode == 0
    (table,) = json.loads(jobhooks("table", "list", "--json", **url).stdout)
    assert (table["exclude"], table["ignore"]) == (["api_token"], ["name"])


def test_a_hook_on_a_job_that_is_not_enabled_says_so(device: Connection, database: str) -> None:
    """Two switches confuse people most: the message names the one that is off, and the command to turn it on."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    add = ["hook", "add", "h", "--content-type", "public.device", "--events", "create", "--job", VALIDATE]
    assert f"jobhooks job enable {VALIDATE}" in refused(REFUSED, *add, **url)  # there is no job yet
    for switch in ("enable", "disable"):
        assert jobhooks("job", switch, VALIDATE, **url).returncode == 0
    line = refused(REFUSED, *add, **url)
    assert f"jobhooks job enable {VALIDATE}" in line
    finished = jobhooks(*add, "--disabled", **url)
    assert finished.returncode == 0 and '"h"' in finished.stderr
    line = refused(REFUSED, "hook", "enable", "h", **url)
    assert f"jobhooks job enable {VALIDATE}" in line
    for command in (["job", "enable", VALIDATE], ["hook", "enable", "h"]):
        assert jobhooks(*command, **url).returncode == 0
    finished = jobhooks("job", "disable", VALIDATE, **url)
    assert "warning: " in finished.stderr and '"h"' in finished.stderr
    (hook,) = json.loads(jobhooks("hook", "list", "--json", **url).stdout)
    assert hook["enabled"] and not hook["runs"]
    assert f"jobhooks job enable {VALIDATE}" in hook["why_not"]


def test_a_role_without_rights(database: str, conn: Connection, role: str) -> None:
    url = make_conninfo(database, user=role)
    assert role in refused(REFUSED, "run", "--database-url", url)
    line = refused(REFUSED, "install", "--database-url", url)
    assert "jobhooks_viewer" not in line, "a viewer may not install"


@pytest.mark.parametrize(
    ("granted", "command", "missing"),
    [
        (None, ["job", "list"], "jobhooks_viewer"),
        ("jobhooks_viewer", ["job", "enable", VALIDATE], "jobhooks_operator"),
        ("jobhooks_viewer", ["job", "disable", VALIDATE], "jobhooks_operator"),
        ("jobhooks_viewer", ["hook", "delete", "h"], "jobhooks_operator"),
        ("jobhooks_operator", ["table", "watch", "public.device"], "jobhooks_owner"),
        ("jobhooks_operator", ["run"], "jobhooks_receiver"),
    ],
)
def test_a_missing_grant_is_named(
    device: Connection, database: str, role: str, granted: str | None, command: list[str], missing: str
) -> None:
    assert jobhooks("job", "enable", VALIDATE, "--database-url", database).returncode == 0
    device.execute(f"select jobhooks.add_hook('h', '{{public.device}}', '{{create}}', '{VALIDATE}')".encode())
    if granted:
        device.execute(f"grant {granted} to {role}".encode())
    line = refused(REFUSED, *command, "--database-url", make_conninfo(database, user=role))
    assert re.search(rf'Try: grant {missing} to "?{role}"?', line), line


def test_no_database_is_named(server: Server) -> None:
    """libpq's default, a database named like the role, is not what anybody meant."""
    with psycopg.connect(server.url("postgres")) as conn:
        given = {"PGHOST": conn.info.host, "PGPORT": str(conn.info.port), "PGUSER": "there_is_none"}
    line = refused(UNREACHABLE, "job", "list", **given)
    assert "database_url" in line.rpartition("Try: ")[2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"JOBHOOKS_PAGE_SIZE": "many"}, "JOBHOOKS_PAGE_SIZE"),
        ({"JOBHOOKS_CONFIG": "/nowhere/jobhooks.toml"}, "/nowhere/jobhooks.toml"),
        ({"JOBHOOKS_DATABASE_URL": "nonsense"}, "database_url"),
    ],
)
def test_a_wrong_setting(settings: dict[str, str], words: str) -> None:
    assert words in refused(SETTING, "job", "list", **settings)


def test_wrong_usage_is_told_with_the_usual_code() -> None:
    finished = jobhooks("hook", "add")
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1 and "NAME" in finished.stderr
    assert finished.stderr.endswith("jobhooks hook add --help\n")


def test_json_and_tables_go_to_stdout(device: Connection, database: str) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    (listed,) = json.loads(jobhooks("table", "list", "--json", **url).stdout)
    assert (listed["table"], listed["state"], listed["key"]) == ("public.device", "watched", ["id"])
    assert "public.device" in jobhooks("table", "list", **url).stdout


def test_a_reader_that_has_seen_enough_is_no_error(database: str) -> None:
    """As in ``jobhooks job list | head -0``."""
    with subprocess.Popen(
        [sys.executable, "-m", "jobhooks", "job", "list", "--database-url", database],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_what_nobody_thought_of_is_one_line_too(database: str, conn: Connection) -> None:
    conn.execute("update jobhooks.cursor set system_identifier = 1; drop function jobhooks.owed_deliveries")
    assert "jobhooks.owed_deliveries" in refused(1, "adopt", "--copy", "--yes", "--database-url", database)


def test_libpqs_variables_count_for_both_drivers(database: str, tmp_path: Path) -> None:
    """The command line connects with psycopg, the daemon with asyncpg too: to the same database, as the same role."""
    with psycopg.connect(database) as conn:
        host, user, name, port = conn.info.host, conn.info.user, conn.info.dbname, str(conn.info.port)
    service = tmp_path / "services"
    service.write_text(f"[inventory]\nhost={host}\ndbname={name}\nport={port}\n")
    variables = {"PGSERVICEFILE": str(service), "PGUSER": user}
    with Daemon(
        "service=inventory options='-c statement_timeout=12345'", tmp_path, tmp_path / "log", **variables
    ) as daemon:
        daemon.await_started()
        with psycopg.connect(database) as conn:
            sessions = conn.execute(
                "select distinct usename, datname, application_name from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            ).fetchall()
        assert sessions == [(user, name, "jobhooks")]
        assert daemon.terminate() == 0
