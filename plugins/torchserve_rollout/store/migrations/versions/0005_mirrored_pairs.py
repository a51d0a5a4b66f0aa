"""Some pairs of answers to mirrored requests, and how many there were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "mirrored",
        sa.Column("rollout_id", sa.String(160), sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("lost", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mirrored_pairs",
        sa.Column("id", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("rollout_id", sa.String(160), sa.ForeignKey("rollouts.id"), nullable=False),
        sa.Column("is_odd", sa.Boolean, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("bodies", sa.JSON(none_as_null=True)),
    )
    op.create_index("mirrored_pairs_of_rollout", "mirrored_pairs", ["rollout_id", "id"])
