"""The settings table: it feeds the file, the environment, the flags, their help and the docs."""

import os
import re
import textwrap
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from jobhooks.errors import SettingsError
from jobhooks.runtime.invalid_values import reason
from jobhooks.runtime.log_format import LogFormat, LogLevel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
from jobhooks.runtime.wakeup_mode import WakeupMode

DEFAULT_FILE = Path("/etc/jobhooks/jobhooks.toml")
FILE_VARIABLE = "JOBHOOKS_CONFIG"
PREFIX = "JOBHOOKS_"
DATABASE_VARIABLE = "JOBHOOKS_DATABASE_URL"
OTHER_VARIABLES = (FILE_VARIABLE, "JOBHOOKS_TEST_", "JOBHOOKS_CHAOS_", "JOBHOOKS_BENCH_")  # or how they begin
AS_THE_SERVICE = "sudo -u jobhooks before the command, or name the database with --database-url"


class Settings(BaseSettings):
    """All settings. A flag wins over the environment, that over the file, that over the defaults here."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)
    file: ClassVar[Path | None] = None

    database_url: str = Field(
        "",
        description="The database, as a URL or as key=value pairs. libpq supplies missing parts from its PG* variables,"
        " service file and password file.",
    )
    environment: str = Field(
        "",
        description="A name for where the database is, such as production. The daemon delivers nothing in a copy, which"
        " it recognises by other hosts, ports or another database in database_url; with this name, by another name.",
    )
    receivers_path: Annotated[tuple[Path, ...], NoDecode] = Field(
        (Path("receivers"), Path("/etc/jobhooks/receivers")),
        description="The directories of receivers; the first of two modules with the same name counts. In the"
        " environment separated by colons. The receivers that come with jobhooks come last.",
    )
    log_level: LogLevel = Field(LogLevel.INFO, description="The lowest level of events that are logged.")
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="How events are logged; auto: console on a terminal, else json."
    )
    page_size: int = Field(500, ge=1, le=100_000, description="How many changes are read in one page.")
    wakeup: WakeupMode = Field(
        WakeupMode.GATED,
        description="How the daemon notices changes; gated: writers send a NOTIFY while it sleeps, and it stays awake"
        " under load; poll: writers send none, and it reads the log 20 to 500 times a second, for applications"
        " with two-phase commit; always: writers send a NOTIFY with each commit.",
    )
    poll_interval: float = Field(5.0, gt=0, le=3600, description="Seconds between reads of the log without a wake-up.")
    shutdown_grace: float = Field(
        30.0, ge=0, le=3600, description="Seconds that running receivers have to end when the daemon stops."
    )

    leader_timeout: float = Field(
        10.0,
        ge=1,
        le=3600,
        description="A standby, and the database, presume the leading daemon dead after this many seconds of silence.",
    )
    connections: int = Field(10, ge=1, le=1000, description="How many connections each async def receiver may have.")
    workers: int = Field(2, ge=1, le=100, description="How many processes each def receiver may have.")
    worker_memory_limit: int = Field(
        0, ge=0, description="Megabytes of data that the process of a def receiver may have; 0: no limit."
    )
    loop_limit: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="A hook that seems to cause so many changes in a row itself is held back for some seconds, and"
        " paused if it does cause them; 0: never.",
    )

    retention_days: float = Field(
        30.0,
        gt=0,
        le=36_500,
        description="Days to keep changes and results, plus up to an eighth; changes with pending deliveries stay.",
    )

    @field_validator("receivers_path", mode="before")
    @classmethod
    def _split_path(cls, value: object) -> object:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags, environment and file, in this order of precedence."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=cls.file)


def load(file: Path | None = None, **flags: object) -> Settings:
    """Load the settings from ``flags`` with a value, the environment, the file, and the defaults.

    ``file`` is by default the one that JOBHOOKS_CONFIG names, or else ``/etc/jobhooks/jobhooks.toml`` if it exists. The
    latter belongs to the service: a user who may not read it, but names a database, does without it.

    Raises:
        SettingsError: a setting is unknown or wrong, or the file cannot be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    path = _file(file, database_is_named="database_url" in given or DATABASE_VARIABLE in os.environ)
    try:
        return type("Settings", (Settings,), {"file": path})(**given)  # pyright: ignore[reportArgumentType] - pydantic checks them
    except ValidationError as exc:
        raise SettingsError("; ".join(_problem(error, given, path) for error in exc.errors())) from exc
    except OSError as exc:
        raise SettingsError(f"cannot read the settings file {path}: {_reason(exc)}", _remedy(exc)) from exc
    except ValueError as exc:  # a TOML error is a ValueError
        raise SettingsError(f"the settings file {path} is not valid TOML: {exc}") from exc


def unknown_variables() -> list[str]:
    """Describe the variables of the environment that look like settings but have no effect."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    names = (name for name in sorted(os.environ) if name.upper().startswith(PREFIX) and name.upper() not in known)
    described: list[str] = []
    for name in names:
        if not name.startswith(OTHER_VARIABLES):
            nearest = get_close_matches(name.upper(), [*known, FILE_VARIABLE], 1)
            guess = f'. Did you mean "{nearest[0]}"?' if nearest else ""
            described.append(f"{name} in the environment has no effect: there is no such setting{guess}")
    return described


def _problem(error: "ErrorDetails", given: Mapping[str, object], path: Path | None) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        nearest = get_close_matches(name, Settings.model_fields, 1)
        guess = f'. Did you mean "{nearest[0]}"?' if nearest else ""
        return f"there is no setting {name}, {_place_in_file(name, path)}{guess}"
    shown = {**error, "input": "the value"} if name == "database_url" else error  # which may hold a password
    return f"wrong setting {_place(name, given, path)}: {reason(shown)}"


def _place(name: str, given: Mapping[str, object], path: Path | None) -> str:
    """Where a setting comes from, in the order of precedence."""
    variable = PREFIX + name.upper()
    if name in given:
        return f"--{name.replace('_', '-')}"
    if variable in {known.upper() for known in os.environ}:
        return f"{variable} in the environment"
    return f"{name}, {_place_in_file(name, path)}"


def _place_in_file(name: str, path: Path | None) -> str:
    lines = path.read_text("utf-8").splitlines() if path else []
    setting = re.compile(rf"""\s*\[*["']?{re.escape(name)}\b""")
    return next((f"{path}:{number}" for number, line in enumerate(lines, 1) if setting.match(line)), str(path))


def _remedy(exc: OSError) -> str | None:
    return AS_THE_SERVICE if isinstance(exc, PermissionError) else None


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc)


def describe(name: str) -> str:
    """The description of a setting, as the help of its flag."""
    return Settings.model_fields[name].description or ""


def example() -> str:
    """The example file: every setting with its default, as a comment to uncomment."""
    parts = [f"# Settings of jobhooks: {DEFAULT_FILE}. Each can also be set as {PREFIX}NAME in the environment.\n"]
    for name, field in Settings.model_fields.items():
        description = textwrap.fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
        parts.append(f"{description}\n# {name} = {_toml(field.default)}\n")
    return "\n".join(parts)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, cast('tuple[object, ...]', value)))}]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _file(named: Path | None, *, database_is_named: bool) -> Path | None:
    chosen = named or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    try:
        if chosen is None:
            if database_is_named and not os.access(DEFAULT_FILE, os.R_OK):
                return None
            return DEFAULT_FILE if DEFAULT_FILE.exists() else None
        if not chosen.exists():
            raise SettingsError(f"there is no settings file {chosen}")
        if chosen.is_dir():  # pydantic-settings would ignore it
            raise SettingsError(f"the settings file {chosen} is a directory")
    except OSError as exc:  # its directory is closed to us
        raise SettingsError(f"cannot look for the settings file {exc.filename}: {_reason(exc)}", _remedy(exc)) from exc
    return chosen
