"""The live row of a change: attributes for columns, and writes that refuse to overwrite."""

import pytest

from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject, LoadedRow
from jobhooks.contract.content_type import ContentType, ForeignKey
from jobhooks.contract.snapshots import Row
from jobhooks.errors import StaleObject
from support.making import make_change

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))


class Table:
    """A table of one row, with a version that each write changes."""

    def __init__(self) -> None:
        self.row: Row | None = {"id": 1, "name": "a", "save": "taken"}
        self.version = 1
        self.written: list[Row] = []

    def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        assert (content_type, key) == (DEVICE, {"id": 1})
        return None if self.row is None else LoadedRow(dict(self.row), str(self.version))

    def load_all(self, foreign_key: ForeignKey, key: Row, most: int, /) -> list[LoadedRow]:
        raise NotImplementedError(f"no other table: {foreign_key}, {key}, {most}")

    def foreign_keys(self, schema: str, table: str) -> list[ForeignKey]:
        assert (schema, table) == (DEVICE.schema, DEVICE.table)
        return []

    def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        if self.row is None or version != str(self.version):
            return None
        self.written.append(dict(values))
        self.row = {**self.row, **values}
        self.version += 1
        return self.load(content_type, key)

    def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        if self.row is None or version != str(self.version):
            return False
        self.row = None
        return True


class AsyncTable:
    """The same, to await."""

    def __init__(self) -> None:
        self.table = Table()

    async def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        return self.table.load(content_type, key)

    async def load_all(self, foreign_key: ForeignKey, key: Row, most: int, /) -> list[LoadedRow]:
        return self.table.load_all(foreign_key, key, most)

    async def foreign_keys(self, schema: str, table: str) -> list[ForeignKey]:
        return self.table.foreign_keys(schema, table)

    async def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        return self.table.update(content_type, key, version, values)

    async def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        return self.table.delete(content_type, key, version)


def opened(table: Table) -> ChangedObject:
    loaded = table.load(DEVICE, {"id": 1})
    assert loaded is not None
    return ChangedObject(DEVICE, table, loaded)


def test_columns_are_attributes_and_items() -> None:
    device = opened(Table())
    assert (device.name, device["save"], list(device)) == ("a", "taken", ["id", "name", "save"])
    assert callable(device.save)
    device.name = "b"
    device["save"] = "changed"
    assert (device.name, device["save"]) == ("b", "changed")


def test_there_are_no_other_attributes() -> None:
    device = opened(Table())
    with pytest.raises(AttributeError, match="rack"):
        device.rack = 1
    with pytest.raises(AttributeError, match="rack"):
        _ = device.rack
    with pytest.raises(KeyError, match="rack"):
        _ = device["rack"]


def test_saving_writes_what_was_assigned_once() -> None:
    table = Table()
    device = opened(table)
    device.save()
    assert table.written == []
    device.name = "b"
    device.save()
    device.save()
    assert table.written == [{"name": "b"}]


def test_a_row_that_another_session_changed_is_not_overwritten() -> None:
    table = Table()
    device, other = opened(table), opened(table)
    other.name = "theirs"
    other.save()
    device.name = "ours"
    for write in (device.save, device.delete):
        with pytest.raises(StaleObject):
            write()
    device.refresh()
    assert device.name == "theirs"
    device.delete()
    with pytest.raises(StaleObject):
        device.refresh()


async def test_async_receivers_await_the_same() -> None:
    table = AsyncTable()
    loaded = await table.load(DEVICE, {"id": 1})
    assert loaded is not None
    device = AsyncChangedObject(DEVICE, table, loaded)
    device.name = "b"
    await device.save()
    await device.refresh()
    assert (device.name, table.table.written) == ("b", [{"name": "b"}])
    await device.delete()
    with pytest.raises(StaleObject):
        await device.refresh()


@pytest.mark.parametrize(
    ("after", "columns", "moved_on"),
    [
        ({"name": "a"}, (), False),
        ({"name": "b"}, (), True),
        ({"name": "b", "save": "taken"}, ("save",), False),
        ({"name": "a", "save": "2024-01-01T02:00:00+02:00"}, ("save",), False),
        ({"name": "a", "save": "2024-01-01T02:00:00+00:00"}, ("save",), True),
        (None, (), True),
    ],
)
def test_a_row_has_moved_on_when_it_lost_what_the_change_wrote(
    after: Row | None, columns: tuple[str, ...], moved_on: bool
) -> None:
    """A change is history. Times are compared as times: each session writes them in its own zone."""
    table = Table()
    if after is not None and "T" in str(after.get("save")):
        table.row = {"id": 1, "name": "a", "save": "2024-01-01T00:00:00+00:00"}
    loaded = table.load(DEVICE, {"id": 1})
    assert loaded is not None
    row = ChangedObject(DEVICE, table, loaded)
    assert row.has_moved_on(make_change(7, before={"name": "old"}, after=after), *columns) is moved_on
    with pytest.raises(KeyError, match="no column colour"):
        row.has_moved_on(make_change(7, after={"name": "a"}), "colour")
