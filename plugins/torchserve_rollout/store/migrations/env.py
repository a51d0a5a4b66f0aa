"""Runs migrations on the connection that ``database.migrate`` opened."""

from __future__ import annotations

from alembic import context

from torchserve_rollout.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
