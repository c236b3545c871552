"""The versions of receivers that daemons have loaded, without a daemon."""

import json
from typing import Any

import pytest

from conftest import Connection

KNOWN = (
    "select job.class_path, jobhooks.version_text(known.version), known.package,"
    " known.last_loaded_at > known.first_loaded_at + interval '1 hour'"
    " from jobhooks.receiver_version as known join jobhooks.job on job.id = known.job_id order by 1, 2"
)


def load(conn: Connection, **receivers: tuple[str | None, str | None]) -> None:
    """Record receivers as the leading daemon does: by class name, the source's hash and the package."""
    loaded: dict[str, Any] = {
        "receivers": [
            {
                "class_path": f"r.{name}",
                "settings": {},
                "path": "r.py",
                "source_hash": source_hash,
                "version": None if source_hash is None else int(source_hash[:12], 16),
                "package": package,
            }
            for name, (source_hash, package) in receivers.items()
        ],
        "broken": [],
        "missing": [],
    }
    conn.execute("select jobhooks.record_receivers(leader, %s) from jobhooks.cursor", [json.dumps(loaded)])


def age(conn: Connection, time: str) -> None:
    conn.execute(f"update jobhooks.receiver_version set last_loaded_at = now() - interval '{time}'".encode())


FIRST, SECOND = "00000000000a" + "0" * 52, "f" * 64


@pytest.fixture
def versions(device: Connection) -> Connection:
    load(device, A=(FIRST, None), B=(FIRST, "hooks 1.0"), C=(None, None))
    return device


def test_a_version_is_kept_when_another_is_loaded(versions: Connection) -> None:
    assert versions.execute(KNOWN).fetchall() == [
        ("r.A", "00000000000a", None, False),
        ("r.B", "00000000000a", "hooks 1.0", False),
    ]
    versions.execute("update jobhooks.receiver_version set first_loaded_at = now() - interval '1 day'")
    load(versions, A=(SECOND, None))
    assert versions.execute(KNOWN).fetchall() == [
        ("r.A", "00000000000a", None, True),
        ("r.A", "ffffffffffff", None, False),
        ("r.B", "00000000000a", "hooks 1.0", True),
    ]


def test_a_version_is_forgotten_a_year_after_it_was_loaded(versions: Connection) -> None:
    """The one that is loaded stays at any age, as do those of a longer retention."""
    load(versions, A=(SECOND, None))
    age(versions, "366 days")
    versions.execute("select jobhooks.drop_old_history('367 days')")
    assert len(versions.execute(KNOWN).fetchall()) == 3
    versions.execute("select jobhooks.drop_old_history('1 day')")
    assert [row[:2] for row in versions.execute(KNOWN).fetchall()] == [("r.A", "ffffffffffff")]


def test_a_daemon_that_dies_after_a_year_leaves_its_version(versions: Connection) -> None:
    """The next daemon loads another one: its results are recent."""
    age(versions, "500 days")
    load(versions, A=(SECOND, None))
    versions.execute("select jobhooks.drop_old_history('1 day')")
    assert len(versions.execute(KNOWN).fetchall()) == 3


def test_a_job_has_at_most_a_thousand_former_versions(versions: Connection) -> None:
    """A daemon of a developer loads another one whenever a file is saved."""
    versions.execute(
        "insert into jobhooks.receiver_version (job_id, version, source_hash, last_loaded_at)"
        " select job.id, number, number, now() - number * interval '1 minute'"
        " from jobhooks.job cross join generate_series(100, 1600) as number where class_path = 'r.A'"
    )
    versions.execute("select jobhooks.drop_old_history('1 day')")
    counted = "select count(*), max(version) from jobhooks.receiver_version group by job_id order by job_id"
    assert versions.execute(counted).fetchall() == [(1001, 1099), (1, 10)]
