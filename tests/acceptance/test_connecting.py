"""Choosing the database of a command, and keeping its password secret."""

import json
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.daemon import jobhooks
from support.postgres.servers import Server

UNREACHABLE, SETTING = 3, 6
SOURCES = ["flag", "environment", "file", "service", "variable"]


def databases(finished: subprocess.CompletedProcess[str]) -> set[str]:
    """The missing databases that an error names."""
    return set(re.findall(r"\bby_\w+", finished.stderr))


@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_database_is_the_first_that_is_named(server: Server, tmp_path: Path, first: int) -> None:
    """Each source names a missing database, which the error then mentions."""
    with psycopg.connect(server.url("postgres")) as conn:
        host, port, user = conn.info.host, str(conn.info.port), conn.info.user
    urls = {name: server.url(f"by_{name}") for name in SOURCES}
    services, settings = tmp_path / "services", tmp_path / "jobhooks.toml"
    services.write_text(f"[inventory]\nhost={host}\nport={port}\nuser={user}\ndbname=by_service\n")
    settings.write_text(f"database_url = {json.dumps(urls['file'])}\n")
    arguments = ["--database-url", urls["flag"]]
    variables: dict[str, dict[str, str]] = {
        "environment": {"JOBHOOKS_DATABASE_URL": urls["environment"]},
        "file": {"JOBHOOKS_CONFIG": str(settings)},
        "service": {"PGSERVICEFILE": str(services), "PGSERVICE": "inventory"},
        "variable": {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": "by_variable"},
    }
    given: dict[str, str] = {}
    for source in SOURCES[first:]:
        given |= variables.get(source, {})
    finished = jobhooks("status", *(arguments if first == 0 else []), **given)
    assert finished.returncode == UNREACHABLE
    assert databases(finished) == {f"by_{SOURCES[first]}"}


def test_what_a_url_leaves_out_comes_from_libpqs_variables(server: Server) -> None:
    with psycopg.connect(server.url("postgres")) as conn:
        given = {"PGHOST": conn.info.host, "PGPORT": str(conn.info.port), "PGUSER": conn.info.user}
    finished = jobhooks("status", "--database-url", "postgresql:///by_url", PGDATABASE="by_variable", **given)
    assert databases(finished) == {"by_url"}
    finished = jobhooks("status", "--database-url", "application_name=x", PGDATABASE="by_variable", **given)
    assert databases(finished) == {"by_variable"}


def test_a_services_file_is_looked_for_at_home(server: Server, tmp_path: Path) -> None:
    with psycopg.connect(server.url("postgres")) as conn:
        entry = f"[inventory]\nhost={conn.info.host}\nport={conn.info.port}\nuser={conn.info.user}\ndbname=by_service\n"
    (tmp_path / ".pg_service.conf").write_text(entry)
    finished = jobhooks("status", "--database-url", "service=inventory", PGSYSCONFDIR="/nowhere", HOME=str(tmp_path))
    assert databases(finished) == {"by_service"}
    finished = jobhooks("status", "--database-url", "service=none")
    assert finished.returncode in (UNREACHABLE, SETTING) and "none" in finished.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgers://u:hunter2@h/d", SETTING),
        ("postgresql://u:hunter2%zz@h/d", SETTING),
        ("postgresql://u:p@hunter2@h/d", SETTING),
        ("postgresql://u:hunter2/x@h/d", SETTING),
        ("postgresql://u:x/hunter2@h/d", SETTING),
        ("postgresql://u:x?hunter2@h/d", UNREACHABLE),
        ("postgresql://u:x#hunter2@h/d", UNREACHABLE),
        ('postgresql://u:"%z"hunter2"@h/d', SETTING),
        ("postgresql://u:hunter2@h/d?sslmod=x", SETTING),
        ("host=h password=x hunter2", SETTING),
        ("host=h password='hunter2", SETTING),
        ("postgresql://u:hunter2@h/d?sslmode=wrong", UNREACHABLE),
        ("postgresql://u:hunter2@127.0.0.1:1/d", UNREACHABLE),
        ("postgresql://u:hunter2@/d?host=/nowhere", UNREACHABLE),
        ("postgresql://u@/d?host=/nowhere&password=hunter2", UNREACHABLE),
    ],
)
def test_a_password_is_never_told(url: str, code: int) -> None:
    """Nor a part of one that was not written as a URL wants it, and is taken for something else."""
    finished = jobhooks("status", "--json", "--database-url", url)
    assert finished.returncode == code and len(finished.stderr.splitlines()) == 1, finished
    assert "hunter2" not in finished.stdout + finished.stderr


@pytest.mark.parametrize(
    "line", ['database_url = "postgresql://u:hunter2@h', "database_url = hunter2", 'database_url = ["hunter2"]']
)
def test_a_settings_file_that_cannot_be_read_keeps_its_secrets(tmp_path: Path, line: str) -> None:
    (tmp_path / "jobhooks.toml").write_text(f"{line}\n")
    finished = jobhooks("status", "--config", str(tmp_path / "jobhooks.toml"))
    assert finished.returncode == SETTING and "jobhooks.toml" in finished.stderr and "hunter2" not in finished.stderr


def test_a_password_is_in_no_output(database: str) -> None:
    url = make_conninfo(database, password="hunter2")
    for arguments in (["status"], ["status", "--json"], ["doctor"], ["install"]):
        finished = jobhooks(*arguments, "--database-url", url)
        assert finished.returncode in (0, 1) and "hunter2" not in finished.stdout + finished.stderr
