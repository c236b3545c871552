"""Installed packages are complete: sql/ and receivers/ are in wheel and sdist; the wheel works without a checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.daemon import environment, jobhooks
from support.generated import ROOT


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    # The sdist first, and the wheel from the sdist alone: so neither relies on the checkout.
    run = ["-m", "hatchling", "build", "-d", str(directory)]
    subprocess.run([sys.executable, *run, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(directory.glob("*.tar.gz"))) as sdist:
        # Python 3.11 has filters since 3.11.4 only, and 3.12 warns without one.
        filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        sdist.extractall(directory / "unpacked", **filters)  # pyright: ignore[reportArgumentType]
    (source,) = (directory / "unpacked").iterdir()
    subprocess.run([sys.executable, *run, "-t", "wheel"], cwd=source, check=True, capture_output=True)
    return directory


def sources() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for folder in ("sql", "receivers")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".sql", ".py")
    }


def test_the_wheel_holds_sql_and_receivers(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"jobhooks/{name}" for name in sources()} <= names
    assert "jobhooks/py.typed" in names
    assert not any("tests/" in name or ".pyc" in name for name in names)


def test_the_sdist_holds_what_the_wheel_and_the_tests_are_made_of(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert sources() <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"} <= names
    assert {"daemon/jobhooks.service", "daemon/jobhooks.example.toml", "tests/conftest.py"} <= names


def test_the_wheel_works_without_a_checkout(built: Path, tmp_path: Path, empty_database: str) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    variables = environment(PYTHONPATH=str(tmp_path / "site"), JOBHOOKS_DATABASE_URL=empty_database)
    for command in (["install"], ["job", "list"]):
        finished = subprocess.run(
            [sys.executable, "-c", "import jobhooks.cli; jobhooks.cli.main()", *command],
            env=variables,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
    assert "validate_serial.ValidateSerial" in finished.stderr  # found, and loaded by no daemon yet


def make_install(destination: Path) -> None:
    subprocess.run(
        ["make", "install", f"DESTDIR={destination}", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env=environment(),
    )


@pytest.mark.nightly
def test_make_install_puts_everything_in_place_and_keeps_settings(tmp_path: Path) -> None:
    """With DESTDIR, as a packager does; the installed program runs from its final place."""
    if os.environ.get("JOBHOOKS_TEST_OFFLINE"):
        pytest.skip("make install asks the package registry")
    settings = tmp_path / "etc" / "jobhooks" / "jobhooks.toml"
    library = tmp_path / "usr" / "local" / "lib" / "jobhooks"
    make_install(tmp_path)
    first = library.resolve()
    assert settings.stat().st_mode & 0o777 == 0o640
    settings.write_text("page_size = 7\n")
    with subprocess.Popen([first / "bin" / "python", "-P", "-c", "input()"], stdin=subprocess.PIPE) as running:
        make_install(tmp_path)
        running.communicate(b"\n")
    # A daemon that runs keeps its files.
    assert (first / "pyvenv.cfg").exists() and library.resolve() != first
    assert settings.read_text() == "page_size = 7\n"
    assert (tmp_path / "etc" / "jobhooks" / "receivers").is_dir()
    unit = (tmp_path / "etc" / "systemd" / "system" / "jobhooks.service").read_text()
    assert "ExecStart=/usr/local/bin/jobhooks run" in unit
    program = tmp_path / "usr" / "local" / "bin" / "jobhooks"
    assert program.stat().st_mode & 0o777 == 0o755
    assert str(tmp_path) not in program.read_text()
    assert "/usr/local/lib/jobhooks/bin/python" in program.read_text()
    python = tmp_path / "usr" / "local" / "lib" / "jobhooks" / "bin" / "python"
    version = subprocess.run([python, "-P", "-m", "jobhooks", "version"], check=True, capture_output=True, text=True)
    assert version.stdout == jobhooks("version").stdout


def uninstalled(folder: Path, tables: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make uninstall with programs that only write down how they are called."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, does in {"systemctl": "", "runuser": f"echo '{tables}'"}.items():
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/called"\n{does}\n')
        (programs / name).chmod(0o755)
    places = [f"prefix={folder}/usr", f"sysconfdir={folder}/etc", f"unitdir={folder}/units", f"systemd={folder}"]
    return subprocess.run(
        ["make", "uninstall", *places, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=environment(PATH=f"{programs}:{os.environ['PATH']}"),
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The files of an installation that make uninstall looks for."""
    for path in ("usr/bin/jobhooks", "usr/lib/jobhooks-releases/1/pyvenv.cfg", "units/jobhooks.service"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "usr/lib/jobhooks").symlink_to("jobhooks-releases/1")
    return tmp_path


@pytest.mark.parametrize(("tables", "arguments"), [("[]", []), ("[{}]", ["KEEP_TRIGGERS=yes"])])
def test_make_uninstall_stops_and_disables_the_service(installed: Path, tables: str, arguments: list[str]) -> None:
    """A unit whose program is gone would fail every two seconds."""
    assert uninstalled(installed, tables, *arguments).returncode == 0
    called = (installed / "called").read_text().splitlines()
    assert called[1:] == ["systemctl disable --now jobhooks.service", "systemctl daemon-reload"]
    assert not list((installed / "usr" / "lib").iterdir()) and not list((installed / "units").iterdir())


def test_make_uninstall_leaves_no_triggers_behind(installed: Path) -> None:
    finished = uninstalled(installed, "[{}]")
    assert finished.returncode != 0 and "Try: jobhooks uninstall" in finished.stderr
    assert (installed / "units" / "jobhooks.service").exists()
    assert "systemctl" not in (installed / "called").read_text()
