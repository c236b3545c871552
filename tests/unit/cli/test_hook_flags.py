"""The values of a hook's flags."""

import pytest

from jobhooks.cli.hook_flags import given_settings


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("app", ["app"]),
        ("web, app,", ["app", "web"]),
        ('"sales,eu", app', ["app", "sales,eu"]),
        ('"the ""old"" one"," spaced "', [" spaced ", 'the "old" one']),
        ('o"brien', ['o"brien']),
        ('"not closed', ['"not closed']),
        ("", []),
        (" , ", []),
    ],
)
def test_a_name_with_a_comma_is_in_quotes(text: str, names: list[str]) -> None:
    assert given_settings({"roles": text, "rate_per": text}) == {"roles": names, "rate_per": names}
