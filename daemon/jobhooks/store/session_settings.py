"""The settings that each session of jobhooks sets for itself, whatever is attached to the role or the database.

They are set after connecting: poolers refuse most startup parameters. An ``alter role ... set`` or ``alter database ...
set`` is meant for applications, and would change how this program reads values, or end its sessions.
"""

import re

# How values are written and read: always these, since this program and the capture functions rely on them.
FORMATS = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "datestyle": "ISO",  # the order in which other dates are read stays the role's
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "xmloption": "content",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "restrict_nonsystem_relation_kind": "",
}
# How transactions run and end. What the connection parameter "options" asks for wins.
TRANSACTIONS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
}
# For sessions in which no code of a receiver runs.
OWN = {
    "timezone": "UTC",
    "row_security": "on",
    "default_table_access_method": "heap",
    "client_min_messages": "notice",
    "jit": "off",  # its compilation takes longer than any statement here
}
# For the engine: few different statements, run all the time, each written so that one plan suits all parameters.
ENGINE = {**OWN, "plan_cache_mode": "force_generic_plan"}
# For the connections of receivers, in addition to FORMATS and TRANSACTIONS. Their search_path, time zone and planner
# settings are those of the role and the database, because the statements are the receiver's.
RECEIVER: dict[str, str] = {}

_NAMED = re.compile(r"(?:-c\s*|--)([\w.-]+)\s*=", re.IGNORECASE)


def session_settings(special: dict[str, str], options: str) -> dict[str, str]:
    """All settings of a session. ``special``: in addition. ``options``: the connection parameter of that name."""
    asked_for = {name.lower().replace("-", "_") for name in _NAMED.findall(options)}
    chosen = {name: value for name, value in {**TRANSACTIONS, **special}.items() if name not in asked_for}
    return {**chosen, **FORMATS}


def set_again(changed: dict[str, str]) -> str:
    """The statement that makes settings again, after RESET ALL has brought back those of the role and the database.

    ``changed``: those that differ. Empty if there are none, as for most roles.
    """
    calls = [f"pg_catalog.set_config({_quoted(name)}, {_quoted(value)}, false)" for name, value in changed.items()]
    return f"select {', '.join(calls)};" if calls else ""


def _quoted(text: str) -> str:
    """A literal that is the same for each value of standard_conforming_strings."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
