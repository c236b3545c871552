"""libpq's connection parameters: each is known, and what asyncpg cannot honour is refused by name."""

import ssl

import pytest
from psycopg.pq import Conninfo

from jobhooks.errors import SettingsError
from jobhooks.store.libpq import PARAMETERS, Use, check, tls_context
from support import generated


def test_every_parameter_of_libpq_is_in_the_table() -> None:
    """A new version of libpq may bring parameters that need a decision."""
    assert {option.keyword.decode() for option in Conninfo.get_defaults()} <= PARAMETERS.keys()


def test_the_page_is_current() -> None:
    assert generated.PARAMETERS_PAGE.read_text() == generated.connection_parameters()


def test_what_libpq_has_by_default_is_accepted() -> None:
    check({option.keyword.decode(): option.compiled.decode() for option in Conninfo.get_defaults() if option.compiled})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channel_binding", "require"),
        ("require_auth", "scram-sha-256"),
        ("requirepeer", "postgres"),
        ("gssencmode", "require"),
        ("gssdelegation", "1"),
        ("sslcertmode", "require"),
        ("sslsni", "0"),
        ("sslkey", "pkcs11:token"),
        ("target_session_attrs", "standby"),
        ("target_session_attrs", "prefer-standby"),
        ("target_session_attrs", "read-only"),
        ("min_protocol_version", "3.2"),
        ("host", "@abstract"),
        ("replication", "database"),
        ("scram_client_key", "c2VjcmV0"),
        ("scram_server_key", "c2VjcmV0"),
        ("oauth_issuer", "https://c2VjcmV0"),
        ("of_the_future", "c2VjcmV0"),
    ],
)
def test_a_value_that_asyncpg_cannot_honour_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"\b{name}\b.*Try: remove {name} ") as refused:
        check({"host": "localhost", name: value})
    assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(name for name, each in PARAMETERS.items() if each.use is Use.REFUSED))
def test_what_is_refused_is_refused_with_any_value(name: str) -> None:
    with pytest.raises(SettingsError):
        check({name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channel_binding", "prefer"),
        ("gssencmode", "prefer"),
        ("sslsni", "1"),
        ("sslrootcert", "system"),
        ("target_session_attrs", "read-write"),
        ("host", "one,two"),
        ("hostaddr", "::1"),
        ("replication", "false"),
        ("sslmode", "verify-full"),
    ],
)
def test_what_both_drivers_honour_is_accepted(name: str, value: str) -> None:
    check({name: value})


def test_system_means_the_certificates_of_the_operating_system() -> None:
    context = tls_context({"sslrootcert": "system", "sslmode": "verify-full"}, "db.example")
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def test_without_a_root_certificate_nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with libpq: require and prefer verify only if there is a root certificate."""
    monkeypatch.setenv("HOME", "/nowhere")
    context = tls_context({"sslmode": "require"}, "db.example")
    assert context.verify_mode is ssl.CERT_NONE


def test_versions_are_limited() -> None:
    limits = {"ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "tlsv1.3"}
    context = tls_context(limits, "db.example")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def test_a_file_that_cannot_be_read_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="cannot use a certificate"):
        tls_context({"sslrootcert": __file__, "sslmode": "verify-full"}, "db.example")
