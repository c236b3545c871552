"""Installing as one plain SQL script, for those who let no program but psql change their database."""

import re

from jobhooks.store.install import PROGRAM_VERSION
from jobhooks.store.sql_files import functions_digest, migrations, query, repeatable

HEADER = f"""\
-- jobhooks {PROGRAM_VERSION}, as jobhooks install would install it. In one transaction, and again at any time:
--     psql -v ON_ERROR_STOP=1 -f THIS_FILE
"""
PARAMETER = re.compile(r"\$(\d)")


def installation_script() -> str:
    """Return the script: what ``install`` does in the database, and after it ``catalogue.watch_outdated``."""
    newest = str(migrations()[-1].version)
    record = _filled("record_installation", _literal(PROGRAM_VERSION), _literal(functions_digest()))
    return "\n".join(
        [
            HEADER,
            "begin transaction isolation level read committed;",
            "set local client_encoding = 'utf8';",
            "set local client_min_messages = warning;",
            query("lock_installation") + ";\n",
            _filled("script_begin", newest),
            *(
                _filled("script_migration", str(migration.version), _literal(migration.name), _quoted(migration.text))
                for migration in migrations()
            ),
            "",
            repeatable(),
            record + ";",
            "commit;\n",
            _filled("script_watch_outdated", query("outdated_tables"), query("watch_again")),
            "",
        ]
    )


def _filled(name: str, *parts: str) -> str:
    """Return the query called ``name`` with ``parts``, which are SQL, in the places of its parameters."""
    return PARAMETER.sub(lambda match: parts[int(match[1]) - 1], query(name))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(text: str) -> str:
    """Quote many lines in a way that leaves them readable."""
    assert "$migration$" not in text
    return f"$migration$\n{text}$migration$"
