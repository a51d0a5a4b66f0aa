"""The journal's tables. Migrations under ``migrations/`` make them; this is how the code reads and writes them."""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite has no time zones and would give back a naive one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)

    def load_dialect_impl(self, dialect: Dialect) -> DateTime:
        return DateTime(timezone=False)


# SQLite counts up by itself only in a column that is exactly INTEGER.
_Seq = BigInteger().with_variant(Integer, "sqlite")

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("stable", String(64)),
    Column("candidate", String(64), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("spec_text", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_by", String(200), nullable=False),
    Column("ended_at", UtcDateTime),
    Column("warm_until", UtcDateTime),
    Column("phase", String(20), nullable=False),
    Column("state", JSON, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("alarms", JSON, nullable=False),
    Index("rollouts_by_model", "model", "created_at"),
    # Two callers at once: the database lets only one of them start.
    Index(
        "one_open_rollout_per_model",
        "model",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

events = Table(
    "events",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("rollout_id", String(160), ForeignKey("rollouts.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("phase", String(20), nullable=False),
    Column("weight_pct", Float, nullable=False),
    Column("verdict", String(20)),
    Column("data", JSON, nullable=False),
    Index("events_of_rollout", "rollout_id", "seq"),
    sqlite_autoincrement=True,
)

commands = Table(
    "commands",
    metadata,
    Column("id", _Seq, primary_key=True, autoincrement=True),
    Column("rollout_id", String(160), ForeignKey("rollouts.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("taken_at", UtcDateTime),
    Index("commands_of_rollout", "rollout_id", "id"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", _Seq, primary_key=True, autoincrement=True),
    Column("rollout_id", String(160), ForeignKey("rollouts.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("data", JSON, nullable=False),
    Index("evidence_of_rollout", "rollout_id", "at"),
)

completed = Table(
    "completed",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("workers", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("rollout_id", String(160), nullable=False),
    Index("completed_of_model", "model", "seq"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("name", String(160), nullable=False),
    Column("action", String(20), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime),
    Column("told_at", UtcDateTime, nullable=False),
    Index("alerts_of_version", "model", "version"),
)

mirrored = Table(
    "mirrored",
    metadata,
    Column("rollout_id", String(160), ForeignKey("rollouts.id"), primary_key=True),
    Column("seen", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
)

mirrored_pairs = Table(
    "mirrored_pairs",
    metadata,
    Column("id", _Seq, primary_key=True, autoincrement=True),
    Column("rollout_id", String(160), ForeignKey("rollouts.id"), nullable=False),
    Column("is_odd", Boolean, nullable=False),
    Column("data", JSON, nullable=False),
    Column("bodies", JSON(none_as_null=True)),
    Index("mirrored_pairs_of_rollout", "rollout_id", "id"),
)

controller_lease = Table(
    "controller_lease",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
