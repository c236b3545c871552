"""Where a program was configured to connect, as libpq's parameters say it."""

import pytest

from jobhooks.store.place import place_hosts


@pytest.mark.parametrize(
    ("parameters", "hosts"),
    [
        ({"host": "DB1.example.com.", "port": "5433"}, [("db1.example.com", 5433)]),
        ({"host": "db1,db2", "port": "5432"}, [("db1", 5432), ("db2", 5432)]),
        ({"host": "db1,db2", "port": "5432,5433"}, [("db1", 5432), ("db2", 5433)]),
        ({"host": "db1,", "port": ",6"}, [("db1", 5432), ("web1", 6)]),
        ({"hostaddr": "10.0.0.1,10.0.0.2"}, [("10.0.0.1", 5432), ("10.0.0.2", 5432)]),
        ({"host": "db1,db2", "hostaddr": "10.0.0.1,10.0.0.2"}, [("db1", 5432), ("db2", 5432)]),
        ({"host": "2001:db8::1"}, [("2001:db8::1", 5432)]),
        ({}, [("web1", 5432)]),
        ({"host": "/run/postgresql"}, [("web1", 5432)]),
        ({"host": "localhost"}, [("web1", 5432)]),
        ({"host": "127.0.0.1"}, [("web1", 5432)]),
        ({"host": "::1"}, [("web1", 5432)]),
        ({"host": "/srv/sockets"}, [("/srv/sockets on web1", 5432)]),
    ],
)
def test_hosts(parameters: dict[str, str], hosts: list[tuple[str, int]]) -> None:
    """A name that means another server on each machine has the machine's name: a copy may have the same address."""
    assert [(host["host"], host["port"]) for host in place_hosts(parameters, "web1")] == hosts
