"""The journal's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Seq = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(160), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("stable", sa.String(64)),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("spec_text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_by", sa.String(200), nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("alarms", sa.JSON, nullable=False),
    )
    op.create_index("rollouts_by_model", "rollouts", ["model", "created_at"])
    op.create_index(
        "one_open_rollout_per_model", "rollouts", ["model"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "events",
        sa.Column("seq", _Seq, primary_key=True, autoincrement=True),
        sa.Column("rollout_id", sa.String(160), sa.ForeignKey("rollouts.id"), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("weight_pct", sa.Float, nullable=False),
        sa.Column("verdict", sa.String(20)),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_rollout", "events", ["rollout_id", "seq"])
    op.create_table(
        "commands",
        sa.Column("id", _Seq, primary_key=True, autoincrement=True),
        sa.Column("rollout_id", sa.String(160), sa.ForeignKey("rollouts.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("taken_at", sa.DateTime),
    )
    op.create_index("commands_of_rollout", "commands", ["rollout_id", "id"])
    op.create_table(
        "evidence",
        sa.Column("id", _Seq, primary_key=True, autoincrement=True),
        sa.Column("rollout_id", sa.String(160), sa.ForeignKey("rollouts.id"), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_index("evidence_of_rollout", "evidence", ["rollout_id", "at"])
    op.create_table(
        "completed",
        sa.Column("seq", _Seq, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("workers", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("rollout_id", sa.String(160), nullable=False),
    )
    op.create_index("completed_of_model", "completed", ["model", "seq"])
    op.create_table(
        "controller_lease",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
    )
