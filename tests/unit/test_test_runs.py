"""A run of the tests: what it says about its server, and with what it begins."""

from pathlib import Path

import pytest

from conftest import LONG_FILES, SLOW_FOLDERS, mixed, pytest_report_header


@pytest.mark.parametrize(
    ("url", "postgres", "named"),
    [
        (None, None, "embedded"),
        (None, "docker:16", "docker:16"),
        ("postgresql://db/x", "docker:16", "JOBHOOKS_TEST_DATABASE_URL"),
    ],
)
def test_the_header_of_a_run_names_its_server(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config, url: str | None, postgres: str | None, named: str
) -> None:
    """The process that hands out the tests prints it, and starts no server."""
    for name, value in (("JOBHOOKS_TEST_DATABASE_URL", url), ("JOBHOOKS_TEST_POSTGRES", postgres)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert pytest_report_header(pytestconfig)[0].removeprefix("server: ").removeprefix("that of ") == named


def test_all_processes_draw_from_the_seed_that_the_header_shows(pytestconfig: pytest.Config) -> None:
    """Here it can fail with several processes only."""
    handed_out = getattr(pytestconfig, "workerinput", {"seed": pytestconfig.option.seed})
    assert pytestconfig.option.seed == pytestconfig.option.hypothesis_seed == handed_out["seed"]


def test_the_tests_that_are_spread_exist() -> None:
    tests = Path(__file__).parents[1]
    assert [name for name in (*LONG_FILES, *SLOW_FOLDERS) if not (tests / name).exists()] == []


def test_mixing_loses_and_doubles_no_test(request: pytest.FixtureRequest) -> None:
    """All processes must have one order."""
    items = request.session.items
    found = mixed(items)
    assert sorted(item.nodeid for item in found) == sorted(item.nodeid for item in items)
    assert found == mixed(items)
