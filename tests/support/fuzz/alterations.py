"""Random statements that alter tables, for the fuzz test of the capture."""

from collections.abc import Callable

from support.fuzz.tables import KINDS, NAMES, SCHEMAS, Column, Kind, Table, draw_kind, identifier, literal
from support.fuzz.writes import Writes


class Alterations(Writes):
    """Also draws statements that alter the tables, and updates its model of them."""

    triggers = 0
    altered = False

    def alteration(self, table: Table) -> list[str]:
        self.altered = True
        ways: list[Callable[[Table], list[str]]] = [
            *(self.add_column, self.add_column, self.drop_column, self.rename_column, self.retype, self.retype),
            *(self.rename, self.move, self.alter_column, self.alter_column, self.index, self.constraint),
            *(self.new_trigger, self.switch_triggers, self.row_security, self.partition, self.partition, self.other),
        ]
        return self.choose.pick(ways)(table)

    def free_name(self, table: Table) -> str:
        taken = {column.name for column in table.columns}
        return self.choose.pick([name for name in NAMES if name not in taken])

    def add_column(self, table: Table) -> list[str]:
        choose = self.choose
        kind = draw_kind(choose)
        constraints = choose.pick(
            ("", f"default {literal(kind.values[0])}", f"not null default {literal(kind.values[0])}")
        )
        column = Column(self.free_name(table), kind, "", constraints)
        if choose.one_in(5):
            way = choose.pick(("stored", "virtual")) if self.version >= 180000 else "stored"
            column = Column(column.name, Kind("integer", ("1",)), f"generated always as ({table.id} + 1) {way}")
        elif choose.one_in(8):
            column = Column(column.name, Kind("integer", ("1",)), "generated always as identity")
        table.columns.append(column)
        return [f"alter table {table.sql} add column {column.definition()}"]

    def other_column(self, table: Table) -> Column:
        return self.choose.pick(table.columns[1:] or table.columns)

    def drop_column(self, table: Table) -> list[str]:
        column = self.other_column(table)
        if len(table.columns) > 1:
            table.columns.remove(column)
            table.key = [] if column.name in table.key else table.key
        return [f"alter table {table.sql} drop column {identifier(column.name)} cascade"]

    def rename_column(self, table: Table) -> list[str]:
        column = self.choose.pick(table.columns)
        former, column.name = column.name, self.free_name(table)
        table.key = [column.name if name == former else name for name in table.key]
        return [f"alter table {table.sql} rename column {identifier(former)} to {identifier(column.name)}"]

    def retype(self, table: Table) -> list[str]:
        column = self.other_column(table)
        kind = self.choose.pick((KINDS[0], KINDS[4], draw_kind(self.choose)))
        name = identifier(column.name)
        using = {"text": f"{name}::text", "jsonb": f"to_jsonb({name})"}.get(kind.sql, f"null::{kind.sql}")
        if not column.generated:
            column.kind = kind
        return [
            f"alter table {table.sql} alter column {name} drop default",
            f"alter table {table.sql} alter column {name} type {kind.sql} using {using}",
        ]

    def alter_column(self, table: Table) -> list[str]:
        column = self.other_column(table)
        what = self.choose.pick(
            (
                f"set default {literal(column.kind.values[0])}",
                "drop default",
                "set not null",
                "drop not null",
                "set statistics 10",
                "set storage external",
                "drop expression",
                "drop identity",
            )
        )
        return [f"alter table {table.sql} alter column {identifier(column.name)} {what}"]

    def rename(self, table: Table) -> list[str]:
        former = table.sql
        table.name = self.choose.pick([name for name in NAMES if name not in [table.name for table in self.tables]])
        return [f"alter table {former} rename to {identifier(table.name)}"]

    def move(self, table: Table) -> list[str]:
        former = table.sql
        moved = [table.partition(name) for name, _ in table.partitions]
        table.schema = SCHEMAS[table.schema == SCHEMAS[0]]
        return [f"alter table {name} set schema {identifier(table.schema)}" for name in (former, *moved)]

    def index(self, table: Table) -> list[str]:
        column = identifier(self.choose.pick(table.columns).name)
        unique = self.choose.pick(("", "", "unique "))
        where = self.choose.pick(("", f" where {table.id} > 3"))
        return [f"create {unique}index on {table.sql} ({column}){where}"]

    def constraint(self, table: Table) -> list[str]:
        what = self.choose.pick(
            (f"check ({table.id} < 18) not valid", f"check ({table.id} >= 0)", f"unique ({table.id})")
        )
        return [f"alter table {table.sql} add {what}"]

    def new_trigger(self, table: Table) -> list[str]:
        """A user's trigger; some of them sort before every other name."""
        choose = self.choose
        name = identifier(choose.pick(("", "!", "~", " ")) + f"t{self.triggers}")
        self.triggers += 1
        rename = (
            [f"alter trigger {name} on {table.sql} rename to {identifier(' ' + name[1:-1])}"]
            if choose.one_in(5)
            else []
        )
        if table.partitioned_by and self.version < 150000:
            rename = []
        events = choose.pick(("insert or update or delete", "insert", "update", "delete", "insert or update"))
        itself = ", ".join(map(literal, (table.columns[0].name, table.schema, table.name)))
        row = f"on {table.sql} for each row execute function"
        return [
            choose.pick(
                (
                    f"create trigger {name} after {events} {row} kinds.shout()",
                    f"create trigger {name} before {events} {row} kinds.shout()",
                    f"create trigger {name} before {events} {row} kinds.refuse({literal(table.columns[0].name)})",
                    f"create trigger {name} after insert {row} kinds.touch({itself})",
                    f"create trigger {name} after insert or update {row} kinds.touch({itself})",
                    f"create trigger {name} after insert or update {row} kinds.remove({itself})",
                    f"create constraint trigger {name} after {events} on {table.sql} deferrable initially deferred"
                    f" for each row execute function kinds.shout()",
                    f"create trigger {name} after update on {table.sql} referencing new table as written"
                    " for each statement execute function kinds.tally()",
                    f"create trigger {name} after insert on {table.sql} referencing new table as written"
                    " for each statement execute function kinds.tally()",
                )
            ),
            *rename,
        ]

    def switch_triggers(self, table: Table) -> list[str]:
        what = self.choose.pick(
            ("disable trigger user", "enable trigger user", "disable trigger t0", "enable always trigger t0")
        )
        return [f"alter table {table.sql} {what}"]

    def row_security(self, table: Table) -> list[str]:
        return [
            f"alter table {table.sql} enable row level security, force row level security",
            f"create policy p on {table.sql} using ({table.id} <> 5) with check ({table.id} <> 6)",
        ]

    def partition(self, table: Table) -> list[str]:
        choose = self.choose
        if not table.partitioned_by:
            return self.other(table)
        name, bounds = choose.pick(table.partitions)
        partition = table.partition(name)
        columns = ", ".join(f"{identifier(column.name)} {column.kind.sql}" for column in table.columns)
        return choose.pick(
            (
                [f"alter table {table.sql} detach partition {partition}"],
                [
                    f"alter table {table.sql} detach partition {partition}",
                    self.write_partition(table),
                    f"alter table {table.sql} attach partition {partition} {bounds}",
                ],
                [f"drop table {partition}", f"create table {partition} partition of {table.sql} {bounds}"],
                [
                    f"alter table {table.sql} detach partition {partition}",
                    f"create table {table.partition(name + 'n')} ({columns})",
                    f"alter table {table.sql} attach partition {table.partition(name + 'n')} {bounds}",
                ],
                [f"create table {table.partition('extra')} partition of {table.sql} default"],
            )
        )

    def other(self, table: Table) -> list[str]:
        copy = f"{identifier(SCHEMAS[0])}.{identifier('copy')}"
        return self.choose.pick(
            (
                [f"vacuum full {table.sql}"],
                [f"alter table {table.sql} set unlogged"],
                [f"alter table {table.sql} replica identity full"],
                [f"drop table if exists {copy}", f"create table {copy} (like {table.sql} including all)"],
                [f"create table {identifier(SCHEMAS[0])}.heir (more text) inherits ({table.sql})"],
                [f"create or replace view {identifier(SCHEMAS[0])}.v as select * from {table.sql}"],
                [f"create temporary table object_change as table {table.sql}"],
                [f"alter table {table.sql} add primary key ({table.id})"],
                [f"analyze {table.sql}"],
                [f"drop table {table.sql} cascade"],
            )
        )
