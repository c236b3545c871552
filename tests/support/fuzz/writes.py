"""Random statements that write, for the fuzz test of the capture."""

from collections.abc import Callable
from typing import NamedTuple

from support.fuzz.tables import INTEGER, Choices, Column, Table, identifier, literal


class Statement(NamedTuple):
    """A statement, and the data to copy in if it is a COPY."""

    sql: str
    copied: str = ""


class Writes:
    """Draws statements that write the tables. exact: whether the log can say all that they do."""

    def __init__(self, choose: Choices, version: int) -> None:
        self.choose = choose
        self.version = version
        self.tables: list[Table] = []
        self.exact = True

    def write(self) -> str:
        table = self.choose.pick(self.tables)
        ways: list[Callable[[Table], str]] = [
            *(self.insert, self.insert, self.update, self.update, self.update, self.delete, self.upsert, self.upsert),
            *(self.insert_selected, self.update_from, self.truncate, self.with_writes, self.read, self.write_partition),
        ]
        if self.version >= 150000:
            ways += [self.merge, self.merge]
        return self.choose.pick(ways)(table)

    def value(self, table: Table, column: Column) -> str:
        if column.kind is INTEGER:
            return str(self.choose.number(0, 21))
        if self.choose.one_in(30 if column.name in table.key or column.constraints == "not null" else 6):
            return self.choose.pick(("null", "default"))
        # The last value is often no value of the type.
        values = column.kind.values
        return literal(self.choose.pick(values if self.choose.one_in(8) else values[:-1] or values))

    def condition(self, table: Table) -> str:
        choose = self.choose
        id = table.id
        return choose.pick(
            (f"{id} >= 0", f"{id} = {choose.number(0, 20)}", f"{id} < {choose.number(0, 20)}", f"{id} % 2 = 0")
        )

    def returning(self, table: Table, prefix: str = "") -> str:
        ways = ["", "", " returning *", f" returning {prefix}tableoid::regclass, {prefix}{table.id} + 1"]
        if self.version >= 180000:
            ways.append(" returning old.*, new.*")
        return self.choose.pick(ways)

    def written(self, table: Table) -> list[Column]:
        """Draw the columns that an INSERT names."""
        columns = [column for column in table.columns if not column.generated]
        needed = [*table.key, *(column.name for column in columns if column.constraints == "not null")]
        return columns[:1] + [
            column for column in columns[1:] if not self.choose.one_in(20 if column.name in needed else 5)
        ]

    def rows(self, table: Table, columns: list[Column], count: int) -> str:
        rows = [f"({', '.join(self.value(table, column) for column in columns)})" for _ in range(count)]
        return f"({', '.join(identifier(column.name) for column in columns)}) values {', '.join(rows)}"

    def insert(self, table: Table) -> str:
        columns = self.written(table)
        rows = self.rows(table, columns, self.choose.pick((1, 1, 2, 4)))
        return f"insert into {table.sql} {rows}{self.returning(table)}"

    def insert_selected(self, table: Table) -> str:
        columns = self.written(table)
        names = ", ".join(identifier(column.name) for column in columns)
        others = "".join(", " + identifier(column.name) for column in columns[1:])
        shift = self.choose.number(-5, 10)
        return (
            f"insert into {table.sql} ({names}) select {table.id} + {shift}{others} from {table.sql}"
            f" where {self.condition(table)} order by {table.id} on conflict do nothing{self.returning(table)}"
        )

    def upsert(self, table: Table) -> str:
        columns = self.written(table)
        key = ", ".join(map(identifier, table.key or [table.columns[0].name]))
        column = identifier(self.choose.pick(columns).name)
        action = self.choose.pick(
            (
                "do nothing",
                f"({key}) do nothing",
                f"({key}) do update set {column} = excluded.{column}",
                f"({key}) do update set {self.assignment(table, 't.')}",
                f"({key}) do update set {column} = excluded.{column} where excluded.{table.id} > 5",
            )
        )
        count = self.choose.pick((1, 2, 3))
        inserted = " returning xmax = 0, *" if self.choose.one_in(3) else ""
        return f"insert into {table.sql} as t {self.rows(table, columns, count)} on conflict {action}{inserted}"

    def assignment(self, table: Table, prefix: str = "") -> str:
        choose = self.choose
        if choose.one_in(3):
            return f"{table.id} = {prefix}{table.id} + {choose.pick((1, 5, 0, -7, 40))}"
        column = choose.pick([column for column in table.columns if not column.generated])
        value = prefix + identifier(column.name) if choose.one_in(5) else self.value(table, column)
        return f"{identifier(column.name)} = {value}"

    def update(self, table: Table) -> str:
        only = self.choose.pick(("", "", "", "only "))
        what = f"{only}{table.sql} set {self.assignment(table)}"
        return f"update {what} where {self.condition(table)}{self.returning(table)}"

    def update_from(self, table: Table) -> str:
        source = f"(values (1, {self.choose.number(1, 4)}), (2, 7), (2, 8), (3, 3)) as s (i, n)"
        matched = f"t.{table.id} = s.i"
        returning = self.returning(table, "t.")
        return f"update {table.sql} as t set {table.id} = s.n from {source} where {matched}{returning}"

    def delete(self, table: Table) -> str:
        return f"delete from {table.sql} where {self.condition(table)}{self.returning(table)}"

    def truncate(self, table: Table) -> str:
        what = table.sql
        if table.partitions and self.choose.one_in(2):
            what = table.partition(self.choose.pick(table.partitions)[0])
            self.exact = False  # the change does not say which rows
        elif self.choose.one_in(3):
            what = ", ".join(other.sql for other in self.tables)
        return f"truncate {what}{self.choose.pick(('', ' cascade', ' restart identity'))}"

    def with_writes(self, table: Table) -> str:
        other = self.choose.pick(self.tables)
        first = self.choose.pick((self.update, self.delete, self.insert))(table).partition(" returning")[0]
        then = self.choose.pick(
            (
                f"delete from {other.sql} where {other.id} in (select n + 1 from w)",
                f"update {other.sql} set {other.id} = n + 3 from w where {other.id} = n",
                f"insert into {other.sql} ({other.id}) select n + 1 from w",
                "select count(*), sum(n) from w",
            )
        )
        return f"with w (n) as ({first} returning {table.id}) {then}"

    def merge(self, table: Table) -> str:
        columns = self.written(table)
        names = ", ".join(identifier(column.name) for column in columns)
        values = ", ".join(["s.n", *(self.value(table, column) for column in columns[1:])])
        returning = self.choose.pick(("", " returning merge_action(), t.*")) if self.version >= 170000 else ""
        missing = self.choose.pick(
            ("", f"when not matched by source then {self.choose.pick(('delete', 'do nothing'))}")
        )
        source = f"generate_series({self.choose.number(0, 5)}, {self.choose.number(3, 14)}) as s (n)"
        return (
            f"merge into {table.sql} as t using {source} on t.{table.id} = s.n"
            f" when matched and s.n % 3 = 0 then delete"
            f" when matched and s.n % 3 = 1 then update set {self.assignment(table)}"
            f" when not matched and s.n % 2 = 0 then insert ({names}) values ({values})"
            f" {missing if self.version >= 170000 else ''}{returning}"
        )

    def read(self, table: Table) -> str:
        return self.choose.pick(
            (
                f"select * from {table.sql} order by {table.id}, {identifier(table.name)}::text for update",
                f"select tableoid::regclass, {table.id} from {table.sql} order by 1, 2",
                f"lock table {table.sql} in share row exclusive mode",
                f"select count(*) from {table.sql}",
            )
        )

    def write_partition(self, table: Table) -> str:
        """As any write, but straight to a partition."""
        if not table.partitions:
            return self.update(table)
        partition = Table(table.schema, self.choose.pick(table.partitions)[0], table.columns, table.key)
        return self.choose.pick((self.insert, self.update, self.delete, self.upsert))(partition)

    def copy(self, table: Table) -> Statement:
        columns = self.written(table)
        names = ", ".join(identifier(column.name) for column in columns)
        lines = ""
        for _ in range(self.choose.number(1, 4)):
            values = [self.choose.pick(column.kind.values) for column in columns]
            escaped = [value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n") for value in values]
            lines += "\t".join(escaped) + "\n"
        return Statement(f"copy {table.sql} ({names}) from stdin", lines)
