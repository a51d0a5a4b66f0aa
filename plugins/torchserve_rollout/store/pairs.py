"""Mirrored requests of a rollout: how many there were, and the latest few of them for a person to read."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, delete, insert, select, update

from torchserve_rollout.model import Mirrored, RolloutId, SampledPair
from torchserve_rollout.store import tables

# Of those on which the versions differ, and of the others.
KEPT: Final = 50
_PAIR: Final = TypeAdapter(SampledPair)
_SIDES: Final = ("primary", "shadow")


class PairBook:
    """All sampled pairs of one journal. Thread-safe: every call is a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, rollout_id: RolloutId, mirrored: Mirrored, bodies: int = 0) -> None:
        """Add to what is known of a rollout, and let go of the oldest.

        Args:
            bodies: of at most so many pairs the answers themselves are kept: those that differ first, then the latest.
        """
        with self._engine.begin() as connection:
            _count(connection, rollout_id, mirrored)
            for pair in mirrored.kept:
                _insert(connection, rollout_id, pair, with_bodies=bodies > 0)
            if mirrored.kept:
                _prune(connection, rollout_id, bodies)

    def of(self, rollout_id: RolloutId) -> Mirrored:
        """What is known of a rollout; its pairs oldest first."""
        counts, table = tables.mirrored, tables.mirrored_pairs
        with self._engine.connect() as connection:
            row = connection.execute(select(counts).where(counts.c.rollout_id == rollout_id)).first()
            pairs = connection.execute(select(table).where(table.c.rollout_id == rollout_id).order_by(table.c.id))
            kept = tuple(_pair(each.data, each.bodies) for each in pairs)
        return Mirrored(row.seen if row else 0, row.lost if row else 0, kept)


def _count(connection: Connection, rollout_id: RolloutId, mirrored: Mirrored) -> None:
    table = tables.mirrored
    grown = {"seen": table.c.seen + mirrored.seen, "lost": table.c.lost + mirrored.lost}
    if not connection.execute(update(table).where(table.c.rollout_id == rollout_id).values(grown)).rowcount:
        connection.execute(insert(table).values(rollout_id=rollout_id, seen=mirrored.seen, lost=mirrored.lost))


def _insert(connection: Connection, rollout_id: RolloutId, pair: SampledPair, *, with_bodies: bool) -> None:
    data = asdict(pair)
    bodies = {side: b64encode(data["pair"][side].pop("body")).decode() for side in _SIDES}
    row = {"rollout_id": rollout_id, "is_odd": pair.is_odd, "data": data, "bodies": bodies if with_bodies else None}
    connection.execute(insert(tables.mirrored_pairs).values(row))


def _prune(connection: Connection, rollout_id: RolloutId, bodies: int) -> None:
    table = tables.mirrored_pairs
    for is_odd in (True, False):
        alike = (table.c.rollout_id == rollout_id, table.c.is_odd.is_(is_odd))
        latest = select(table.c.id).where(*alike).order_by(table.c.id.desc()).limit(KEPT)
        connection.execute(delete(table).where(*alike, table.c.id.not_in(latest)))
    ours = table.c.rollout_id == rollout_id
    to_read = select(table.c.id).where(ours).order_by(table.c.is_odd.desc(), table.c.id.desc()).limit(bodies)
    bare = update(table).where(ours, table.c.bodies.is_not(None), table.c.id.not_in(to_read))
    connection.execute(bare.values(bodies=None))


def _pair(data: dict[str, Any], bodies: dict[str, str] | None) -> SampledPair:
    read = {side: b64decode((bodies or {}).get(side, "")) for side in _SIDES}
    halves = {side: {**data["pair"][side], "body": read[side]} for side in _SIDES}
    return _PAIR.validate_python({**data, "pair": {**data["pair"], **halves}})
