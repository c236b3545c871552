"""The settings table and its uses."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from jobhooks.errors import SettingsError
from jobhooks.runtime import settings as settings_module, systemd
from jobhooks.runtime.settings import FILE_VARIABLE, PREFIX, Settings, load
from support import generated

NOBODY = 65534


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.setenv(FILE_VARIABLE, "/dev/null")


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("page_size = 10\npoll_interval = 7\nshutdown_grace = 8\nreceivers_path = ['a', 'b']\n")
    monkeypatch.setenv("JOBHOOKS_PAGE_SIZE", "20")
    monkeypatch.setenv("JOBHOOKS_POLL_INTERVAL", "9")
    settings = load(file, page_size=30, log_level=None)
    assert (settings.page_size, settings.poll_interval, settings.shutdown_grace) == (30, 9, 8)
    assert settings.receivers_path == (Path("a"), Path("b"))
    assert settings.log_level == "info"


def test_receivers_path_is_separated_by_colons_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBHOOKS_RECEIVERS_PATH", "/one:/two")
    assert load().receivers_path == (Path("/one"), Path("/two"))


def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("page_size = ")
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "setting", "line"),
    [
        ("page_size = 0", "page_size", 1),
        ("# first\n\nworkers = 'many'", "workers", 3),
        ("databse_url = 'x'", "databse_url", 1),
        ("[database]\nurl = 'x'", "database", 1),
        ("wakeup = 'never'", "wakeup", 1),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(tmp_path: Path, text: str, setting: str, line: int) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert f" {setting}, {file}:{line}" in str(caught.value)


def test_a_wrong_value_is_blamed_on_what_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("workers = 3")
    monkeypatch.setenv("JOBHOOKS_WORKERS", "x")
    with pytest.raises(SettingsError, match="JOBHOOKS_WORKERS"):
        load(file)
    with pytest.raises(SettingsError, match="--workers"):
        load(file, workers=0)


def test_a_directory_is_not_a_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load(tmp_path)


@contextlib.contextmanager
def ordinary_user() -> Generator[None]:
    """Act as a user for whom file modes count, if this is root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_names_who_may() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        file = Path(directory, "jobhooks.toml")
        file.write_text("page_size = 7")
        file.chmod(0)
        with ordinary_user(), pytest.raises(SettingsError) as caught:
            load(file)
        assert str(file) in caught.value.message
        assert str(caught.value.remedy).startswith("sudo -u jobhooks")
        Path(directory).chmod(0)
        with ordinary_user(), pytest.raises(SettingsError) as caught:
            load(file)
        assert str(file) in caught.value.message and str(caught.value.remedy).startswith("sudo -u jobhooks")


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


def test_the_example_names_every_setting_with_its_default(tmp_path: Path) -> None:
    """Uncommented it must be a valid file, and change nothing."""
    file = tmp_path / "settings.toml"
    lines = generated.EXAMPLE.read_text().splitlines()
    settings = [
        line.removeprefix("# ") for line in lines if line.removeprefix("# ").split(" = ")[0] in Settings.model_fields
    ]
    assert len(settings) == len(Settings.model_fields)
    file.write_text("\n".join(settings))
    assert load(file).model_dump() == load().model_dump()


def test_what_is_generated_is_current() -> None:
    """make generate was run after the last change of the settings."""
    assert generated.EXAMPLE.read_text() == generated.example()
    assert generated.REFERENCE.read_text() == generated.reference()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    """A socket is a path, or a name in the abstract namespace."""
    address = f"\0{tmp_path}/notify" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service_manager:
        service_manager.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        systemd.notify("READY=1")
        assert service_manager.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


def test_who_may_not_read_the_services_file_and_names_a_database_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the schema is often a different user than the service, and installs with another URL."""
    closed = tmp_path / "jobhooks.toml"
    closed.write_text("page_size = 7")
    monkeypatch.delenv(FILE_VARIABLE)
    monkeypatch.setattr(settings_module, "DEFAULT_FILE", closed)
    assert load(database_url="dbname=x").page_size == 7
    may_read = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and may_read(path, mode))  # pyright: ignore
    assert load(database_url="dbname=x").page_size == 500
    monkeypatch.setenv("JOBHOOKS_DATABASE_URL", "dbname=x")
    assert load().page_size == 500
