"""Opening and migrating a journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.unit.store.journals import new_record
from tests.unit.store.test_journal import run_together
from torchserve_rollout.errors import UsageError
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.tables import metadata


def test_a_new_journal_gets_exactly_the_tables_the_code_expects(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'deep' / 'journal.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    Journal(open_database(url)).create(new_record(), "accepted")
    assert Journal(open_database(url)).rollout("assistant").started_by == "ada"


def test_a_journal_of_an_earlier_release_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    engine = open_database(url)
    Journal(engine).create(new_record(), "accepted")
    with engine.begin() as connection:  # as release 0001 left it
        connection.execute(text("ALTER TABLE rollouts DROP COLUMN sentence"))
        connection.execute(text("ALTER TABLE rollouts DROP COLUMN warm_until"))
        for table in ("alerts", "mirrored_pairs", "mirrored"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    assert Journal(open_database(url)).rollout("assistant") == new_record()


def test_many_processes_may_open_a_new_journal_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    run_together(lambda _: open_database(url).dispose(), 6)
    assert "events" in inspect(open_database(url)).get_table_names()


def test_a_journal_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with open_database(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UsageError, match="9999"):
        open_database(url)


@pytest.mark.parametrize("url", ["nonsense", "nosuchdialect://x/y"])
def test_what_is_no_database_url_is_said_so(url: str) -> None:
    with pytest.raises(UsageError, match="not a database URL"):
        open_database(url)


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("these are my notes, not a database at all\n" * 100)
    with pytest.raises(UsageError, match="cannot open the journal"):
        open_database(f"sqlite:///{path}")
    assert path.read_text().startswith("these are my notes")


def test_a_missing_driver_is_named_and_no_password_shown() -> None:
    with pytest.raises(UsageError, match="cx_Oracle") as refused:
        open_database("oracle+cx_oracle://nobody:secret@127.0.0.1:1/none")
    assert "secret" not in refused.value.message
