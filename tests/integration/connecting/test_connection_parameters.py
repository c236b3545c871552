"""Connection parameters hold for both drivers: libpq decides where and how to connect, and asyncpg follows."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psycopg
import pytest

from jobhooks.embedded import server_account, system_binaries
from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import (
    AsyncConnection,
    SyncConnection,
    asyncpg_arguments,
    close_async,
    connect,
    connect_async,
)
from support.daemon import jobhooks
from support.postgres.faults import OwnServer, own_server

PREPARE = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=ca
for name in server client; do
    openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=postgres
    printf 'subjectAltName=DNS:db.example' > $name.ext
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
done
openssl rsa -aes256 -passout pass:open -in client.key -out client-locked.key
chmod 600 *.key
"""


@contextlib.asynccontextmanager
async def both(url: str) -> AsyncGenerator[tuple[SyncConnection, AsyncConnection]]:
    with connect(url) as sync:
        opened = await connect_async(asyncpg_arguments(sync))
        try:
            yield sync, opened
        finally:
            await close_async(opened)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and the certificates of a server called db.example and of the client postgres."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    directory = tmp_path_factory.mktemp("certificates")
    subprocess.run(["sh", "-ec", PREPARE], cwd=directory, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="session")
def by_tls(certificates: Path) -> Generator[OwnServer]:
    """A server that takes connections by TCP with TLS only, and asks for the client's certificate."""
    binaries = system_binaries()
    if binaries is None:
        pytest.skip("the embedded server has no TLS")
    with contextlib.closing(OwnServer(binaries, {"ssl": "on"}, None)) as server:
        data = server.directory / "data"
        account = server_account()
        for source, target in (("server.crt", "server.crt"), ("server.key", "server.key"), ("ca.crt", "root.crt")):
            shutil.copy(certificates / source, data / target)
            if account.uid is not None and account.gid is not None:
                os.chown(data / target, account.uid, account.gid)
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write("ssl_ca_file = 'root.crt'\n")
        (data / "pg_hba.conf").write_text(
            "hostssl postgres postgres all cert\nhostssl all all all trust\nlocal all all trust\n"
        )
        server.start()
        yield server


TLS = "select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()"


async def test_tls_is_verified_by_both(by_tls: OwnServer, certificates: Path) -> None:
    """With a host that does not resolve and its address, a client certificate, and a key with a password."""
    url = (
        f"host=db.example hostaddr=127.0.0.1 port={by_tls.port} user=postgres dbname=postgres sslmode=verify-full"
        f" sslrootcert={certificates}/ca.crt sslcert={certificates}/client.crt"
        f" sslkey={certificates}/client-locked.key sslpassword=open"
    )
    async with both(url) as (sync, opened):
        assert sync.execute(TLS).fetchone() == (True, "/CN=postgres")
        assert tuple(await opened.fetchrow(TLS) or ()) == (True, "/CN=postgres")


async def test_the_certificates_of_the_system_are_used_by_both(
    by_tls: OwnServer, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg alone takes "system" for the name of a file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
    url = (
        f"host=db.example hostaddr=127.0.0.1 port={by_tls.port} user=postgres dbname=postgres sslrootcert=system"
        f" sslcert={certificates}/client.crt sslkey={certificates}/client.key"
    )
    async with both(f"{url} sslmode=verify-full") as (_, opened):
        assert tuple(await opened.fetchrow(TLS) or ()) == (True, "/CN=postgres")


async def test_asyncpg_checks_the_name_in_the_certificate(by_tls: OwnServer, certificates: Path) -> None:
    url = (
        f"host=db.example hostaddr=127.0.0.1 port={by_tls.port} user=postgres dbname=postgres sslmode=verify-full"
        f" sslrootcert={certificates}/ca.crt sslcert={certificates}/client.crt sslkey={certificates}/client.key"
    )
    with connect(url) as sync:
        arguments = asyncpg_arguments(sync)
    arguments.arguments["ssl"].name = "other.example"
    with pytest.raises(DatabaseUnreachable, match=r"(?i)hostname mismatch"):
        await connect_async(arguments)


async def test_the_address_counts_if_the_host_does_not_resolve(by_tls: OwnServer, certificates: Path) -> None:
    url = (
        f"host=nowhere.invalid hostaddr=127.0.0.1 port={by_tls.port} user=postgres dbname=postgres sslmode=require"
        f" sslcert={certificates}/client.crt sslkey={certificates}/client.key"
    )
    async with both(url) as (_, opened):
        assert await opened.fetchval("select inet_server_port()") == by_tls.port


async def test_what_variables_and_files_say_counts_for_both(
    by_tls: OwnServer, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    services.write_text(
        f"[inventory]\nhost=db.example\nhostaddr=127.0.0.1\nport={by_tls.port}\nuser=postgres\ndbname=postgres\n"
        f"sslmode=require\noptions=-c work_mem=3MB\nkeepalives_idle=7\ntcp_user_timeout=5000\n"
    )
    for name, value in {
        "PGSERVICEFILE": services,
        "PGAPPNAME": "mine",
        "PGSSLCERT": certificates / "client.crt",
        "PGSSLKEY": certificates / "client.key",
        "PGPASSWORD": "x",
    }.items():
        monkeypatch.setenv(name, str(value))
    query = "select current_setting('work_mem'), current_setting('application_name')"
    async with both("service=inventory") as (sync, opened):
        assert sync.execute(query).fetchone() == ("3MB", "mine")
        assert tuple(await opened.fetchrow(query) or ()) == ("3MB", "mine")
        sockets = [sync.fileno(), getattr(opened, "_transport").get_extra_info("socket").fileno()]  # noqa: B009
        for descriptor in sockets:
            with socket.socket(fileno=os.dup(descriptor)) as sock:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


async def test_a_password_file_counts_for_both(own_password: tuple[OwnServer, str], tmp_path: Path) -> None:
    server, password = own_password
    passfile = tmp_path / "passwords"
    passfile.write_text(f"db.example:{server.port}:*:guarded:{password}\n")
    passfile.chmod(0o600)
    url = f"host=db.example hostaddr=127.0.0.1 port={server.port} user=guarded dbname=postgres passfile={passfile}"
    async with both(url) as (_, opened):
        assert await opened.fetchval("select session_user::text") == "guarded"


@pytest.fixture
def own_password() -> Generator[tuple[OwnServer, str]]:
    """A server that asks the role ``guarded`` for its password."""
    with own_server() as server:
        (server.directory / "data" / "pg_hba.conf").write_text(
            "host all guarded all scram-sha-256\nhost all all all trust\nlocal all all trust\n"
        )
        server.start()
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("create role guarded login password 'hunter2:3'")
        yield server, r"hunter2\:3"


@pytest.mark.parametrize("parameter", ["require_auth=none", "target_session_attrs=prefer-standby", "sslsni=0"])
def test_the_daemon_refuses_by_name_what_only_libpq_honours(database: str, parameter: str) -> None:
    finished = jobhooks("run", "--database-url", f"{database} {parameter}")
    assert finished.returncode == 6, finished
    assert f"parameter {parameter.partition('=')[0]} cannot be honoured" in finished.stderr
