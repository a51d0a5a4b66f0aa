"""Opens the journal's database: pragmas, and migrations that run by themselves before anybody reads."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from torchserve_rollout.errors import MissingExtra, UsageError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_MS = 10_000
_POSTGRES_LOCK = 7_082_8083  # any number, the same in every controller


def open_database(url: str) -> Engine:
    """An engine on a database that has the newest tables.

    ``url`` is an SQLAlchemy URL; a SQLite file is made when it is not there.

    Raises:
        UsageError: the database cannot be opened, or a newer release wrote it.
        MissingExtra: PostgreSQL's driver is not installed.
    """
    try:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"{url}: not a database URL: {error}", hint="sqlite:///rollout-state/journal.db") from error
    except ModuleNotFoundError as error:
        if parsed.get_backend_name() == "postgresql":
            raise MissingExtra("a PostgreSQL journal", "postgres") from error
        raise UsageError(f"{parsed.render_as_string()}: {error}", hint="install the database's driver") from error
    except OSError as error:
        raise UsageError(f"{parsed.database}: cannot make its directory: {error.strerror}") from error
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
    try:
        migrate(engine)
    except DBAPIError as error:
        raise UsageError(f"{parsed.render_as_string()}: cannot open the journal: {error.orig}") from error
    return engine


def _set_pragmas(connection: SqliteConnection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest revision, one process at a time; nothing happens when they are there.

    Raises:
        UsageError: a newer release wrote this journal.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with _migration_lock(engine), engine.begin() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        if present == script.get_current_head():
            return
        if present is not None and present not in {each.revision for each in script.walk_revisions()}:
            raise UsageError(
                f"the journal has revision {present}, which this release does not know",
                hint="a newer release wrote it: upgrade, or name another journal (rollout_database)",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    database = engine.url.database
    if engine.dialect.name == "sqlite" and database:
        with Path(f"{database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    elif engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _POSTGRES_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _POSTGRES_LOCK})
    else:
        yield
