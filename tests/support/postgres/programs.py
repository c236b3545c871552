"""PostgreSQL's own programs: for servers that a test has to itself, and to ask a server as its users do."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from jobhooks.embedded import system_binaries, wheel_binaries
from support.postgres.servers import Server


def binaries(server: Server) -> Path:
    """Return the programs of the version that the tests run on, as far as they are on this machine."""
    if (Path(server.origin) / "postgres").exists():
        return Path(server.origin)
    found = wheel_binaries() if server.origin == "embedded" else system_binaries()
    return found or _client_programs()


def psql(url: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would, with no settings of that person."""
    return _run("psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", "-", url, script=script)


def dump(url: str, *schemas: str) -> str:
    """Return the schemas, or all, as pg_dump writes them: with owners and privileges, without data."""
    return dump_with(url, "--schema-only", *(f"--schema={schema}" for schema in schemas))


def dump_with(url: str, *flags: str) -> str:
    """Return what pg_dump writes with these flags, for servers of its version and older ones."""
    finished = _run("pg_dump", *flags, url)
    assert finished.returncode == 0, finished.stderr
    # The first and the last line hold a number that is random each time. Older servers have no such timeout.
    return re.sub(r"^(\\(un)?restrict .*|SET transaction_timeout.*)$", "", finished.stdout, flags=re.MULTILINE)


def _run(program: str, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_client_programs() / program, *arguments],
        check=False,
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )


def _client_programs() -> Path:
    """Return the newest programs: clients know older servers, but not newer ones."""
    found = wheel_binaries() or system_binaries()
    if found is None:
        pytest.skip("there is no psql here")
    return found
