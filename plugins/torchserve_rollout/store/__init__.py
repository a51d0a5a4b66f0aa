"""The journal: what was decided and why, append-only, in SQLite or PostgreSQL."""
