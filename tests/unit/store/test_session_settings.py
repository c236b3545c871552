"""Which settings a session gets: formats always, limits unless the connection parameters name them."""

import pytest

from jobhooks.store.session_settings import ENGINE, FORMATS, TRANSACTIONS, session_settings


def test_without_options_all_are_set() -> None:
    assert session_settings(ENGINE, "") == {**TRANSACTIONS, **ENGINE, **FORMATS}


@pytest.mark.parametrize(
    "options",
    [
        "-c statement_timeout=5",
        "-cstatement_timeout=5s",
        "--statement-timeout=5",
        "-c work_mem=8MB  -c STATEMENT_TIMEOUT = 5",
    ],
)
def test_a_limit_that_options_name_is_left_to_them(options: str) -> None:
    assert "statement_timeout" not in session_settings({}, options)
    assert "lock_timeout" in session_settings({}, options)


def test_formats_are_set_whatever_options_say() -> None:
    assert session_settings({}, "-c datestyle=German")["datestyle"] == FORMATS["datestyle"]
