"""One live controller per database."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.unit.store.journals import BEGUN
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.lease import LEASE_S, ControllerLease


class HandClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.time = BEGUN

    def now(self) -> datetime:
        return self.time

    def monotonic_s(self) -> float:
        return self.time.timestamp()

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'journal.db'}")


def test_the_second_controller_stands_by_and_learns_who_leads(engine: Engine) -> None:
    clock = HandClock()
    assert ControllerLease(engine, clock, "alpha").acquire() == ""
    assert ControllerLease(engine, clock, "beta").acquire() == "alpha"


def test_a_lease_that_is_renewed_does_not_run_out(engine: Engine) -> None:
    clock = HandClock()
    alpha, beta = ControllerLease(engine, clock, "alpha"), ControllerLease(engine, clock, "beta")
    for _ in range(5):
        assert alpha.acquire() == ""
        clock.advance(LEASE_S / 2)
        assert beta.acquire() == "alpha"


def test_the_second_controller_takes_over_when_the_lease_has_run_out(engine: Engine) -> None:
    clock = HandClock()
    alpha, beta = ControllerLease(engine, clock, "alpha"), ControllerLease(engine, clock, "beta")
    alpha.acquire()
    clock.advance(LEASE_S + 1)
    assert beta.acquire() == ""
    assert alpha.acquire() == "beta"


def test_a_released_lease_is_free_at_once(engine: Engine) -> None:
    clock = HandClock()
    alpha, beta = ControllerLease(engine, clock, "alpha"), ControllerLease(engine, clock, "beta")
    alpha.acquire()
    beta.release()
    assert beta.acquire() == "alpha"
    alpha.release()
    assert beta.acquire() == ""


def test_a_controller_killed_on_this_machine_is_succeeded_at_once(engine: Engine) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from torchserve_rollout.store.lease import this_process; print(this_process())"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "plugins")},
    ).stdout.strip()
    clock = HandClock()
    assert ControllerLease(engine, clock, dead).acquire() == ""
    assert ControllerLease(engine, clock).acquire() == ""
