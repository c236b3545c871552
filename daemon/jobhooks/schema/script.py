"""Installing as one plain SQL script, for those who let no program but psql change their database."""

from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.queries import filled, functions_digest, migrations, query, repeatable

HEADER = f"""\
-- jobhooks {PROGRAM_VERSION}, as jobhooks install would install it. In one transaction, and again at any time:
--     psql -v ON_ERROR_STOP=1 -f THIS_FILE
"""


def installation_script() -> str:
    """Make the script: the SQL that ``install`` runs, and after it ``catalogue.watch_outdated``."""
    newest = str(migrations()[-1].version)
    record = filled(
        "record_installation",
        program_version=_literal(PROGRAM_VERSION),
        functions_digest=_literal(functions_digest()),
    )
    return "\n".join(
        [
            HEADER,
            "begin transaction isolation level read committed;",
            "set local client_encoding = 'utf8';",
            "set local client_min_messages = warning;",
            query("lock_installation") + ";\n",
            filled("script_begin", newest=newest, schema_version=query("schema_version")),
            *(
                filled(
                    "script_migration",
                    version=str(migration.version),
                    name=_literal(migration.name),
                    statements=_quoted(migration.text),
                )
                for migration in migrations()
            ),
            "",
            repeatable(),
            record + ";",
            "commit;\n",
            filled("script_watch_outdated", outdated_tables=query("outdated_tables"), watch_again=query("watch_again")),
            "",
        ]
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(text: str) -> str:
    """Quote many lines in a way that leaves them readable."""
    assert "$migration$" not in text
    return f"$migration$\n{text}$migration$"
