"""The journal: append-only events, the inbox of commands, the evidence, and which versions completed.

A tick writes what it intends in one transaction before it acts, and what came of it afterwards. Whoever starts after a
crash reads the state here and the truth from the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from torchserve_rollout.analysis.samples import TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict
from torchserve_rollout.errors import NotFoundError, RolloutInProgress
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import Command, CommandKind, RolloutState
from torchserve_rollout.model import ModelName, RolloutId, VersionName
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.store import tables
from torchserve_rollout.store.codec import evidence_from_json, evidence_to_json, state_from_json, state_to_json
from torchserve_rollout.store.records import (
    CompletedVersion,
    Event,
    EventKind,
    NewEvent,
    PendingCommand,
    RolloutRecord,
    TickRecord,
)

_ALARMS = TypeAdapter(tuple[AlarmVerdict, ...])


class Journal:
    """All rollouts of one database. Thread-safe: every call is a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- rollouts --------------------------------------------------------------------------------------------

    def create(self, record: RolloutRecord, sentence: str, adopted: CompletedVersion | None = None) -> None:
        """Accept a rollout. ``adopted`` is the version found as the default of a model that never had a rollout.

        Raises:
            RolloutInProgress: the model has one that has not ended.
        """
        state = record.state
        accepted = NewEvent(EventKind.ACCEPTED, sentence, data={"state": state_to_json(state)})
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    insert(tables.rollouts).values(
                        id=state.rollout_id,
                        model=state.model,
                        stable=state.stable,
                        candidate=state.candidate,
                        spec=record.spec.model_dump(mode="json"),
                        spec_text=record.spec_text,
                        created_at=record.created_at,
                        started_by=record.started_by,
                        **_standing(state, (), sentence),
                    )
                )
                _append(connection, record.created_at, state, [accepted])
                if adopted is not None:
                    _complete(connection, adopted)
        except IntegrityError as error:
            open_one = next((each for each in self.open_rollouts() if each.model == state.model), None)
            if open_one is None:
                raise
            raise RolloutInProgress(
                f"{state.model} already has a rollout: {open_one.id}, {open_one.state.phase}",
                hint=f"ts-rollout status {state.model}; abort or finish it first",
            ) from error

    def rollout(self, ref: str) -> RolloutRecord:
        """The rollout with this id, or the latest of the model of this name.

        Raises:
            NotFoundError: there is neither.
        """
        table = tables.rollouts
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.id == ref)).first()
            if row is None:
                latest = select(table).where(table.c.model == ref).order_by(table.c.created_at.desc()).limit(1)
                row = connection.execute(latest).first()
        if row is None:
            raise NotFoundError(f"no rollout {ref}", hint="ts-rollout history lists them")
        return _record(row)

    def rollouts(self, model: str | None = None, limit: int = 100) -> list[RolloutRecord]:
        """Newest first."""
        table = tables.rollouts
        query = select(table).order_by(table.c.created_at.desc()).limit(limit)
        if model is not None:
            query = query.where(table.c.model == model)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]

    def open_rollouts(self) -> list[RolloutRecord]:
        """Those that have not ended, oldest first."""
        table = tables.rollouts
        query = select(table).where(table.c.ended_at.is_(None)).order_by(table.c.created_at)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]

    def watched_rollouts(self) -> list[RolloutRecord]:
        """Those that succeeded and still keep their prior version warm, oldest first."""
        table = tables.rollouts
        query = select(table).where(table.c.phase == Phase.SUCCEEDED.value, table.c.warm_until.is_not(None))
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query.order_by(table.c.created_at))]

    def successor(self, record: RolloutRecord) -> RolloutRecord | None:
        """The latest rollout of the same model, if it began after ``record``."""
        table = tables.rollouts
        later = select(table).where(table.c.model == record.model, table.c.created_at > record.created_at)
        with self._engine.connect() as connection:
            row = connection.execute(later.order_by(table.c.created_at.desc()).limit(1)).first()
        return None if row is None else _record(row)

    def highest_epoch(self, model: ModelName) -> int:
        """The highest traffic epoch any rollout of ``model`` used; 0 when there was none."""
        table = tables.rollouts
        with self._engine.connect() as connection:
            states = connection.execute(select(table.c.state).where(table.c.model == model)).scalars()
            return max((int(state["epoch"]) for state in states), default=0)

    # -- ticks -----------------------------------------------------------------------------------------------

    def write(self, tick: TickRecord) -> None:
        """One tick's decision with everything that belongs to it; all of it or nothing."""
        state = tick.state
        with self._engine.begin() as connection:
            connection.execute(
                update(tables.rollouts)
                .where(tables.rollouts.c.id == state.rollout_id)
                .values(
                    **_standing(state, tick.alarms, tick.sentence),
                    # A late alarm opens a rollout again; the index lets it only while no other one is open.
                    ended_at=func.coalesce(tables.rollouts.c.ended_at, tick.at) if state.phase.is_terminal else None,
                )
            )
            _append(connection, tick.at, state, tick.events)
            if tick.taken_commands:
                connection.execute(
                    update(tables.commands)
                    .where(tables.commands.c.id.in_(tick.taken_commands))
                    .values(taken_at=tick.at)
                )
            if tick.evidence is not None:
                connection.execute(
                    insert(tables.evidence).values(
                        rollout_id=state.rollout_id, at=tick.evidence.at, data=evidence_to_json(tick.evidence)
                    )
                )
            if tick.completed is not None:
                _complete(connection, tick.completed)

    def append(self, at: datetime, state: RolloutState, events: Sequence[NewEvent]) -> None:
        """More lines, with no change of state: what came of actions, whom we told."""
        with self._engine.begin() as connection:
            _append(connection, at, state, events)

    def events(self, rollout_id: str, after_seq: int = 0) -> list[Event]:
        """The lines of one rollout beyond ``after_seq``, oldest first."""
        table = tables.events
        query = select(table).where(table.c.rollout_id == rollout_id, table.c.seq > after_seq).order_by(table.c.seq)
        with self._engine.connect() as connection:
            return [_event(row) for row in connection.execute(query)]

    def evidence(self, rollout_id: str, since: datetime | None = None) -> list[TickEvidence]:
        """What was measured later than ``since``, oldest first."""
        table = tables.evidence
        query = select(table).where(table.c.rollout_id == rollout_id).order_by(table.c.id)
        if since is not None:
            query = query.where(table.c.at > since)
        with self._engine.connect() as connection:
            return [evidence_from_json(row.at, row.data) for row in connection.execute(query)]

    # -- commands --------------------------------------------------------------------------------------------

    def put_command(self, rollout_id: str, command: Command) -> None:
        """Into the inbox; the next tick takes it."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(tables.commands).values(
                    rollout_id=rollout_id,
                    kind=command.kind.value,
                    actor=command.actor,
                    reason=command.reason,
                    at=command.at,
                )
            )

    def pending_commands(self, rollout_id: str) -> list[PendingCommand]:
        """Not yet taken, oldest first."""
        table = tables.commands
        query = select(table).where(table.c.rollout_id == rollout_id, table.c.taken_at.is_(None)).order_by(table.c.id)
        with self._engine.connect() as connection:
            return [
                PendingCommand(row.id, Command(CommandKind(row.kind), row.actor, row.reason, row.at))
                for row in connection.execute(query)
            ]

    # -- completed versions ----------------------------------------------------------------------------------

    def last_completed(self, model: ModelName) -> CompletedVersion | None:
        """The version to serve when nothing is in flight, and to return to."""
        table = tables.completed
        query = select(table).where(table.c.model == model).order_by(table.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _completed(row)

    def workers_of(self, model: ModelName, version: VersionName) -> int | None:
        """With how many workers ``version`` last was the live one; None when it never was."""
        table = tables.completed
        query = select(table.c.workers).where(table.c.model == model, table.c.version == version)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(table.c.seq.desc()).limit(1)).scalar()

    def homes(self) -> list[CompletedVersion]:
        """The last completed version of every model."""
        table = tables.completed
        newest = select(func.max(table.c.seq)).group_by(table.c.model)
        with self._engine.connect() as connection:
            return [_completed(row) for row in connection.execute(select(table).where(table.c.seq.in_(newest)))]


def _standing(state: RolloutState, alarms: tuple[AlarmVerdict, ...], sentence: str) -> dict[str, Any]:
    return {
        "phase": state.phase.value,
        "warm_until": state.warm_until,
        "state": state_to_json(state),
        "sentence": sentence,
        "alarms": _ALARMS.dump_python(alarms, mode="json"),
    }


def _append(connection: Connection, at: datetime, state: RolloutState, events: Iterable[NewEvent]) -> None:
    rows = [
        {
            "rollout_id": state.rollout_id,
            "at": at,
            "kind": event.kind.value,
            "sentence": event.sentence,
            "phase": state.phase.value,
            "weight_pct": state.weight_pct,
            "verdict": event.verdict,
            "data": dict(event.data),
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(tables.events), rows)


def _complete(connection: Connection, completed: CompletedVersion) -> None:
    connection.execute(
        insert(tables.completed).values(
            model=completed.model,
            version=completed.version,
            workers=completed.workers,
            at=completed.at,
            rollout_id=completed.rollout_id,
        )
    )


def _record(row: Row[Any]) -> RolloutRecord:
    return RolloutRecord(
        spec=RolloutSpec.model_validate(row.spec),
        spec_text=row.spec_text,
        created_at=row.created_at,
        started_by=row.started_by,
        state=state_from_json(row.state),
        ended_at=row.ended_at,
        alarms=_ALARMS.validate_python(row.alarms),
        sentence=row.sentence,
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        seq=row.seq,
        rollout_id=RolloutId(row.rollout_id),
        at=row.at,
        kind=EventKind(row.kind),
        sentence=row.sentence,
        phase=row.phase,
        weight_pct=row.weight_pct,
        verdict=row.verdict,
        data=row.data,
    )


def _completed(row: Row[Any]) -> CompletedVersion:
    return CompletedVersion(
        model=ModelName(row.model),
        version=VersionName(row.version),
        workers=row.workers,
        at=row.at,
        rollout_id=RolloutId(row.rollout_id),
    )
