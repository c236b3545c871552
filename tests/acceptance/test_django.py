"""A Django project with jobhooks.contrib.django: who writes, in each way to write, and a receiver with the ORM.

Each test runs the project in another process, with a database in Django's default autocommit mode.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, environment, wait_until
from support.delivering import statuses
from support.hooking import write_receivers

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-django.md"
WRITTEN = """
select concat_ws(
    ' ', action, coalesce(postchange, prechange) ->> 'name', coalesce(context ->> 'user_name', '-'),
    coalesce(context ->> 'request_id', '-')
)
from jobhooks.object_change order by id
"""
SETTINGS = """
import os
from psycopg.conninfo import conninfo_to_dict

target = conninfo_to_dict(os.environ["PROJECT_DATABASE"])
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": target["dbname"], "USER": target["user"],
    "HOST": target["host"], "PORT": target.get("port", ""), "PASSWORD": target.get("password", ""),
    "CONN_MAX_AGE": None, "OPTIONS": {"server_side_binding": "SERVER_SIDE" in os.environ},
}}
DATABASES["other"] = DATABASES["default"]
DATABASES["lite"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
INSTALLED_APPS = ["inventory"]
MIDDLEWARE = ["project.Login", "jobhooks.contrib.django.SayWhoWrites"]
ROOT_URLCONF = "urls"
SECRET_KEY = "x"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
"""
PROJECT = """
from inventory.models import Device
from asgiref.sync import iscoroutinefunction, markcoroutinefunction


class User:
    def __init__(self, name):
        self.name = name

    def get_username(self):
        if self.name == "stale":  # Django deletes a session that does not fit the user any more
            Device.objects.filter(name="session").delete()
        return self.name


class Login:
    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        request.user = User(request.headers.get("User", ""))
        return self.get_response(request)
"""
MODELS = """
from django.db import models


class Device(models.Model):
    name = models.TextField()
    serial = models.TextField(default="")

    class Meta:
        db_table = "device"
"""
URLS = """
from django.db import connection, connections, transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from inventory.models import Device
from psycopg import sql


def orm(request):
    device = Device.objects.create(name="100% of %s")  # RETURNING has its id
    assert isinstance(device.pk, int), device.pk
    assert Device.objects.filter(pk=device.pk).update(serial="2") == 1  # the count is that of the UPDATE
    try:
        with transaction.atomic():
            Device.objects.create(name="undone")
            raise KeyError
    except KeyError:
        pass
    with transaction.atomic():
        with transaction.atomic():
            device.name = "b"
            device.save()
        device.delete()
    Device.objects.bulk_create([Device(name="c"), Device(name="d")])
    Device.objects.using("other").create(name="other")
    assert [each.name for each in Device.objects.order_by("name").iterator()] == ["c", "d", "other", "session"]
    return HttpResponse()


def statements(request):
    with connection.cursor() as cursor:
        cursor.execute("/* insert */ insert into device (name) values ('100%')")  # no parameters: a percent sign is one
        cursor.executemany("insert into device (name) values (%s)", [("a",), ("b",)])
        cursor.execute("with made as (insert into device (name) values ('w') returning name) select name from made")
        assert cursor.fetchall() == [("w",)] and not cursor.nextset()
        cursor.execute("insert into device (name) values (%(name)s)", {"name": "dict"})
        cursor.execute(sql.SQL("insert into device (name) values ({})").format("%s"))
        cursor.execute("call makes_and_commits()")
        with transaction.atomic():
            cursor.execute("call makes()")
    with connection.chunked_cursor() as cursor:
        cursor.execute("with one as (select 1) select * from one")
        assert cursor.fetchall() == [(1,)]
    with connections["lite"].cursor() as cursor:
        cursor.execute("create table t (n)")
        cursor.execute("insert into t values (1)")
    return HttpResponse()


def streamed(request):
    def parts():
        for name in ("s1", "s2"):
            Device.objects.create(name=name)
            yield name

    return StreamingHttpResponse(parts())


async def awaited(request):
    await Device.objects.acreate(name="async " + request.GET["n"])

    async def parts():
        await Device.objects.acreate(name="stream " + request.GET["n"])
        yield b""

    return StreamingHttpResponse(parts())


urlpatterns = [path(view.__name__, view) for view in (orm, statements, streamed, awaited)]
"""
START = """
import asyncio
import django
from django.db import connection
from django.test import AsyncClient, Client

django.setup()
from inventory.models import Device
from jobhooks.contrib.django import who_writes

client = Client()


def get(view, user="ali'ce\\\\ %s"):
    return client.get("/" + view, headers={"User": user, "X-Request-ID": "r-1"})
"""
SAID = "ali'ce\\ %s r-1"


@pytest.fixture
def project(tmp_path: Path, device: Connection) -> Path:
    device.execute("truncate public.device restart identity")
    device.execute("truncate jobhooks.object_change")
    for name, text in (("settings", SETTINGS), ("project", PROJECT), ("urls", URLS), ("inventory/models", MODELS)):
        file = tmp_path / "project" / f"{name}.py"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    return tmp_path / "project"


def run(project: Path, database: str, code: str, **variables: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + code],
        cwd=project,
        env={**environment(), "DJANGO_SETTINGS_MODULE": "settings", "PROJECT_DATABASE": database, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr


def written(device: Connection) -> list[str]:
    return [text for (text,) in device.execute(WRITTEN.encode())]


@pytest.mark.parametrize("binding", [{}, {"SERVER_SIDE": "yes"}])
def test_what_the_orm_writes_has_the_user_and_the_request(
    project: Path, device: Connection, database: str, binding: dict[str, str]
) -> None:
    """In autocommit, in transactions and savepoints, in several databases, also if a connection was opened again."""
    device.execute("insert into public.device (name) values ('session')")
    code = "get('orm'); connection.close(); Device.objects.create(name='after'); get('streamed', 'stale').getvalue()"
    run(project, database, code, **binding)
    assert written(device)[1:] == [
        *(f"{action} 100% of %s {SAID}" for action in ("create", "update")),
        *(f"{action} b {SAID}" for action in ("update", "delete")),
        *(f"create {name} {SAID}" for name in ("c", "d", "other")),
        "create after - -",  # another use of the connection has nothing of the request
        "delete session - -",
        *(f"create {name} stale r-1" for name in ("s1", "s2")),
    ]


def test_what_statements_write_has_the_user_and_the_request(project: Path, device: Connection, database: str) -> None:
    """Except a procedure that may commit: in one message with another statement it could not."""
    for name, commits in (("makes", ""), ("makes_and_commits", "commit;")):
        body = f"begin insert into public.device (name) values ('{name}'); {commits} end"
        device.execute(f"create procedure public.{name}() language plpgsql as $${body}$$".encode())
    run(project, database, "get('statements')\nwith who_writes('bob', 'task'): Device.objects.create(name='task')")
    said = [f"create {name} {SAID}" for name in ("100%", "a", "b", "w", "dict", "%s")]
    assert written(device) == [*said, "create makes_and_commits - -", f"create makes {SAID}", "create task bob task"]


def test_requests_of_an_asyncio_server_have_their_own_users(project: Path, device: Connection, database: str) -> None:
    """Ten at the same time, which share threads and connections."""
    run(
        project,
        database,
        """
async def one(number):
    headers = {"User": f"u{number}", "X-Request-ID": f"r-{number}"}
    response = await AsyncClient().get("/awaited", {"n": str(number)}, headers=headers)
    assert [part async for part in response.streaming_content] == [b""]

async def all_of_them():
    await asyncio.gather(*map(one, range(10)))

asyncio.run(all_of_them())
""",
    )
    assert sorted(written(device)) == sorted(
        f"create {kind} {number} u{number} r-{number}" for kind in ("async", "stream") for number in range(10)
    )


def test_a_receiver_writes_with_the_orm_and_triggers_nothing(
    project: Path, device: Connection, database: str, tmp_path: Path
) -> None:
    """As the documentation shows it. Its writes have the user of the change that caused them."""
    (receiver,) = re.findall(r"```python\n(import django\n.*?)```", GUIDE.read_text(), re.DOTALL)
    receivers = write_receivers(tmp_path / "receivers", receiver)
    variables = {"DJANGO_SETTINGS_MODULE": "settings", "PROJECT_DATABASE": database, "PYTHONPATH": str(project)}
    with Daemon(database, receivers, tmp_path / "daemon.log", **variables):
        wait_until("the job is there", lambda: device.execute("select from jobhooks.jobs").fetchall())
        device.execute("select jobhooks.enable_job('r.Copies')")
        device.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'r.Copies')")
        for name in ("a", "b"):
            with device.transaction():
                device.execute("set local jobhooks.user_name = 'alice'")
                device.execute("insert into public.device (name) values (%s)", [name])
        wait_until("both are done", lambda: len(statuses(device)) == 2)
    assert sorted(written(device)) == [f"create {name} alice -" for name in ("a", "b", "copy of a", "copy of b")]
    assert {status for *_, status in statuses(device)} == {"success"}
