"""Secrets are left out of what is stored, and nothing else is."""

import time

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.redaction import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://app:s3cret@db/x failed", "postgresql://app:***@db/x failed"),
        ("https://:pw@host", "https://:***@host"),
        ("connection to host=db password=s3cret user=app failed", "connection to host=db password=*** user=app failed"),
        ('{"password": "a \\"quoted\\" one", "user": "app"}', '{"password": ***, "user": "app"}'),
        ("{'api_key': 'k', 'id': 7}", "{'api_key': ***, 'id': 7}"),
        ("Authorization: Bearer abcdefghijkl.mnop", "Authorization: Bearer ***"),
        ("GET /x?access_token=abc&id=7", "GET /x?access_token=***&id=7"),
        ("PGPASSWORD=abc psql", "PGPASSWORD=*** psql"),
        ("client_secret = abc", "client_secret = ***"),
        ("the token was refused", "the token was refused"),
        ("see https://example.org:8080/a@b", "see https://example.org:8080/a@b"),
        ("bearer of news", "bearer of news"),
        ("", ""),
    ],
)
def test_secrets_are_replaced_and_the_rest_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(
    st.text(), st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@/\"',;&)}]"))
)
def test_no_password_of_a_url_stays(around: str, secret: str) -> None:
    marked = f"zq{secret}qz"
    assert marked not in redact(f"{around} postgresql://app:{marked}@db")
    assert marked not in redact(f"{around} password={marked}")


@pytest.mark.parametrize(
    "piece", ["password", "://a:", "token=", "bearer ", "a-", 'password="', "password  =  ", "x" * 41]
)
def test_a_megabyte_takes_no_time(piece: str) -> None:
    """Not a speed claim: what backtracks would take hours."""
    began = time.monotonic()
    redact(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - began < 20
