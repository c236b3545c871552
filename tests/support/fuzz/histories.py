"""Random histories for the fuzz test of the capture: tables, and statements that write and alter them."""

from dataclasses import dataclass

from support.fuzz.alterations import Alterations
from support.fuzz.tables import INTEGER, Choices, Column, Table, create_statements, draw_table, literal
from support.fuzz.writes import Statement

SETTINGS = (
    "datestyle = 'SQL, DMY'",
    "datestyle = German",
    "extra_float_digits = -5",
    "extra_float_digits = 3",
    "intervalstyle = sql_standard",
    "bytea_output = escape",
    "search_path = ''",
    "search_path = shadow, pg_catalog",
    "standard_conforming_strings = off",
    "quote_all_identifiers = on",
    "transform_null_equals = on",
    "array_nulls = off",
    "xmloption = document",
    "plan_cache_mode = force_generic_plan",
    "check_function_bodies = off",
    "enable_partition_pruning = off",
    "default_transaction_isolation = serializable",
    "default_transaction_isolation = 'repeatable read'",
    "row_security = off",
    "jobhooks.user_name = 'ä \"'",
    "jobhooks.request_id = '{'",
    "jobhooks.delivery = '1:2:3'",
    "jobhooks.delivery = 'x'",
    "jobhooks.triggering = off",
    "session_replication_role = replica",
)
TIMEZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")


@dataclass(frozen=True)
class Watching:
    """How a table is watched; the parameters are jobhooks.watch's."""

    table: str
    key: list[str] | None
    keyless: bool
    always: bool
    exclude: list[str]
    ignore: list[str]


@dataclass(frozen=True, repr=False)
class History:
    """The statements before the tables are watched, and after.

    altered: tables may be altered on the way. exact: if not, the log's changes lead from the beginning to the end.
    """

    role: str
    timezone: str
    setup: list[Statement]
    watching: list[Watching]
    statements: list[Statement]
    altered: bool
    exact: bool

    def __repr__(self) -> str:
        parts = [f"role {self.role!r}, timezone {self.timezone}, altered {self.altered}, exact {self.exact}"]
        parts += [f"{sql};{copied and ' ' + repr(copied)}" for sql, copied in self.setup]
        parts += map(str, self.watching)
        parts += [f"{sql};{copied and ' ' + repr(copied)}" for sql, copied in self.statements]
        return "\n".join(parts)


def draw_history(seed: int, version: int) -> History:
    """Draw a history for a server of this version, as in server_version_num."""
    return _Historian(Choices(seed), version).history()


class _Historian(Alterations):
    def __init__(self, choose: Choices, version: int) -> None:
        super().__init__(choose, version)
        self.role = choose.pick(("", "owner", "writer"))
        self.altering = choose.one_in(9 if self.role == "writer" else 3)  # a writer may not
        self.settings = choose.some(SETTINGS, 10)
        self.always = "session_replication_role = replica" in self.settings and not choose.one_in(3)

    def history(self) -> History:
        choose = self.choose
        timezone = choose.pick(TIMEZONES)
        setup = [Statement(sql) for _ in range(choose.number(1, 2)) for sql in self.new_table()]
        for table in self.tables:
            setup += [Statement(self.insert(table)) for _ in range(choose.number(1, 4))]
            if choose.one_in(3):
                setup += map(Statement, self.new_trigger(table))
            if choose.one_in(10):
                setup += map(Statement, self.row_security(table))
        watching = [self.watching(table) for table in self.tables if len(self.tables) == 1 or not choose.one_in(6)]
        if "session_replication_role = replica" in self.settings and not self.role:  # only privileged sessions may
            self.exact = self.exact and self.always
        statements = [Statement(f"set {setting}") for setting in self.settings]
        for _ in range(choose.number(3, 14)):
            statements += self.step()
        return History(self.role, timezone, setup, watching, statements, self.altered, self.exact)

    def new_table(self) -> list[str]:
        table = draw_table(self.choose, [table.name for table in self.tables], self.version)
        if self.tables and self.tables[0].key == [self.tables[0].columns[0].name] and self.choose.one_in(2):
            table.parent = self.tables[0]
            table.columns[1] = Column(table.columns[1].name, INTEGER)
            table.columns[1].constraints = self.choose.pick(("", "not null", "default 3"))
            table.key = [table.columns[0].name] if table.key else []
        statements = create_statements(self.choose, table)
        self.tables.append(table)
        self.exact = self.exact and all(column.kind.exact for column in table.columns)
        return statements

    def watching(self, table: Table) -> Watching:
        choose = self.choose
        keyless = choose.one_in(5) or (not table.key and choose.one_in(2))
        key = None if table.key or keyless else [table.columns[0].name]
        kept = {*(table.key or ()), *(key or ())}
        if table.partitioned_by:
            kept.add(table.columns[0].name)  # a moving row is a change, even if only ignored columns differ
        others = [column.name for column in table.columns if column.name not in kept]
        exclude = choose.some(others) if choose.one_in(8) else []
        ignore = choose.some(others) if choose.one_in(6) else []
        self.exact = self.exact and not exclude and not ignore
        return Watching(table.sql, key, keyless, self.always or choose.one_in(5), exclude, ignore)

    # Events.

    def step(self) -> list[Statement]:
        """Draw the statements of an event: alone, in a transaction, or in a block of code."""
        choose = self.choose
        if self.altering and choose.one_in(2):
            return [Statement(sql) for sql in self.alteration(choose.pick(self.tables))]
        if choose.one_in(4):
            return self.transaction()
        if choose.one_in(8):
            return [Statement(self.block())]
        if choose.one_in(8):
            return [self.copy(choose.pick(self.tables))]
        if choose.one_in(10):
            return [Statement("; ".join(self.write() for _ in range(choose.number(2, 3))))]
        if choose.one_in(10):
            return self.cursor(choose.pick(self.tables))
        return [Statement(self.write())]

    def transaction(self) -> list[Statement]:
        choose = self.choose
        inner: list[str] = []
        for _ in range(choose.number(1, 4)):
            if choose.one_in(3):
                end = choose.pick(("release a", "rollback to a", "rollback to a; release a"))
                inner += ["savepoint a", *(self.write() for _ in range(choose.number(1, 2))), end]
            elif self.altering and choose.one_in(4):
                inner += self.alteration(choose.pick(self.tables))
            elif choose.one_in(6):
                inner.append(choose.pick(("set constraints all immediate", "set local datestyle = 'Postgres, DMY'")))
            else:
                inner.append(self.write())
        begin = choose.pick(("begin", "begin", "begin", "begin isolation level serializable"))
        begin = "begin read only" if choose.one_in(20) else begin
        return [Statement(sql) for sql in (begin, *inner, choose.pick(("commit", "commit", "rollback")))]

    def block(self) -> str:
        writes = ""
        for _ in range(self.choose.number(1, 3)):
            write = self.write()
            if "returning" in write.lower() or write.startswith(("select", "table")):
                write = f"execute {literal(write)}"
            handler = (
                "exception when others then raise notice '% %', sqlstate, sqlerrm;" if self.choose.one_in(2) else ""
            )
            writes += f"begin {write}; get diagnostics n = row_count; raise notice '%', n; {handler} end;\n"
        return f"do $do$ declare n integer; begin {writes} end $do$"

    def cursor(self, table: Table) -> list[Statement]:
        what = self.choose.pick((f"update {table.sql} set {self.assignment(table)}", f"delete from {table.sql}"))
        return [
            Statement(sql)
            for sql in (
                "begin",
                f"declare c cursor for select * from {table.sql} where {self.condition(table)} for update",
                "fetch 1 from c",
                f"{what} where current of c returning *",
                "fetch all from c",
                "commit",
            )
        ]
