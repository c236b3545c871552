"""Where a program is configured to connect, by which a physical copy of a database differs from the original.

Not where it landed: with several hosts, that changes with each failover.
"""

import json
import os
import re
import socket

from psycopg.conninfo import conninfo_to_dict

from jobhooks.store.connections import SyncConnection, parameters_of
from jobhooks.store.conninfo import given_parameters

DEFAULT_PORT = 5432
DEFAULT_DIRECTORIES = ("", "/run/postgresql", "/tmp")  # noqa: S108 - where servers put their sockets by default
CONTAINER_ID = re.compile("[0-9a-f]{12}")  # the name of a container that got no other, and is another one each time


def configured_place(conn: SyncConnection, database_url: str, environment: str) -> str:
    """The place as JSON: the name of the environment, hosts with ports, and the database.

    ``conn``: was opened with ``database_url``. Its parts come from the URL, PG* variables and the service file.
    """
    hosts = place_hosts(_given_parameters_of(conn, database_url), _machine())
    return json.dumps({"environment": environment, "hosts": hosts, "database": conn.info.dbname})


def _given_parameters_of(conn: SyncConnection, database_url: str) -> dict[str, str]:
    """libpq's parameters as they were given: a connection of psycopg has only the host that it tried last."""
    named = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    if "service" not in named:
        return given_parameters(database_url)
    found = parameters_of(conn)
    if "host" in named or "hostaddr" in named:
        return {"port": found.get("port", ""), **named}
    return {**found, **{name: value for name, value in named.items() if name == "port"}}


def place_hosts(parameters: dict[str, str], machine: str) -> list[dict[str, str | int]]:
    """The hosts that libpq's parameters name. What is local is on this ``machine``: another one has its own."""
    names = parameters.get("host", "").split(",")
    addresses = parameters.get("hostaddr", "").split(",")
    count = max(len(names), len(addresses))
    ports = parameters.get("port", "").split(",")
    hosts = [name or address for name, address in zip(_filled(names, count), _filled(addresses, count), strict=True)]
    return [
        {"host": _host(host, machine), "port": int(port or DEFAULT_PORT)}
        for host, port in zip(hosts, ports if len(ports) == count else ports[:1] * count, strict=True)
    ]


def _filled(texts: list[str], count: int) -> list[str]:
    return texts if len(texts) == count else [""] * count


def _host(host: str, machine: str) -> str:
    if host.startswith("/") or not host:
        directory = os.path.realpath(host) if host else ""
        return machine if directory in DEFAULT_DIRECTORIES else f"{directory} on {machine}"
    lower = host.lower().rstrip(".")
    return machine if lower in ("localhost", "::1") or lower.startswith("127.") else lower


def _machine() -> str:
    name = socket.gethostname().lower()
    return "localhost" if CONTAINER_ID.fullmatch(name) else name
