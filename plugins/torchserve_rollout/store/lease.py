"""One live controller per database. A second one stands by until the first is gone."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from torchserve_rollout.clock import Clock
from torchserve_rollout.store.tables import controller_lease

LEASE_S = 10.0
_NAME = "controller"


def this_process() -> str:
    """``host:pid:start`` of this process; the start tells it from a later process with the same pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_of(os.getpid())}"


def _start_of(pid: int) -> str:
    """Kernel ticks at which ``pid`` began; empty when it is gone or the kernel does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _is_known_dead(holder: str) -> bool:
    """Whether ``holder`` was a process of this machine and is no more: then its lease need not run out."""
    host, _, rest = holder.partition(":")
    pid, _, start = rest.partition(":")
    return host == socket.gethostname() and pid.isdigit() and start != "" and _start_of(int(pid)) != start


class ControllerLease:
    """The right to act, held for ``LEASE_S`` and renewed by the loop."""

    def __init__(self, engine: Engine, clock: Clock, holder: str | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self.holder = holder or this_process()

    def acquire(self) -> str:
        """Take or renew the lease. Empty when it is ours, else who has it."""
        now = self._clock.now()
        table = controller_lease
        ours = {"holder": self.holder, "expires_at": now + timedelta(seconds=LEASE_S)}
        with self._engine.begin() as connection:
            row = connection.execute(select(table).where(table.c.name == _NAME)).first()
            if row is None:
                try:
                    connection.execute(insert(table).values(name=_NAME, **ours))
                except IntegrityError:
                    return "another controller"  # it was a moment quicker; the next call learns its name
                return ""
            if not self._may_take(row.holder, row.expires_at, now):
                return str(row.holder)
            # Only if nobody else took it since we looked.
            taken = connection.execute(
                update(table)
                .where(table.c.name == _NAME, table.c.holder == row.holder, table.c.expires_at == row.expires_at)
                .values(**ours)
            )
            return "" if taken.rowcount == 1 else "another controller"

    def _may_take(self, holder: str, expires_at: datetime, now: datetime) -> bool:
        return holder == self.holder or expires_at <= now or _is_known_dead(holder)

    def release(self) -> None:
        """Give the lease back, if it is ours."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(controller_lease).where(
                    controller_lease.c.name == _NAME, controller_lease.c.holder == self.holder
                )
            )
