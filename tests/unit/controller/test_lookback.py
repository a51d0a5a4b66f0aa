"""How stable did in the minutes before the start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.unit.machine.world import V1, run_of, spec_of
from tests.unit.signals.test_after_success import Pages
from torchserve_rollout.analysis.samples import Rate
from torchserve_rollout.controller.lookback import SPAN, Lookback
from torchserve_rollout.controller.observe import Observer
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.signals.scrape import Increments, Scrape, Series
from torchserve_rollout.torchserve.fleet import Fleet

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def attempts(outcome: str, version: str = V1) -> Series:
    labels = {"model": "m", "version": version, "role": "default", "outcome": outcome}
    return Series("ts_rollout_attempts_total", frozenset(labels.items()))


class HandClock:
    """Stands where it was put."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()


def looking(counts: list[float], clock: HandClock, every: timedelta) -> Lookback:
    """A lookback that has read ``counts`` successes, one look after the other."""
    lookback = Lookback(Pages(*(Scrape(Increments({attempts("ok"): count}), {}) for count in counts)), clock)
    for _ in counts:
        lookback.look()
        clock.at += every
    return lookback


def test_it_adds_up_the_last_minutes_and_forgets_what_is_older() -> None:
    clock = HandClock()
    lookback = looking([1.0, 10.0, 100.0, 1000.0], clock, SPAN / 2)
    assert lookback.seen().values == {attempts("ok"): 1110.0}
    lookback.close()


def observer(before: Increments, directory: Path) -> Observer:
    fleet = Fleet([], lambda model, version: "")
    return Observer(spec_of(), run_of().state, fleet, Catalogue(directory), ProbeFiles(directory), before=before)


def test_the_first_look_while_preparing_tells_of_the_time_before_and_no_other_does(tmp_path: Path) -> None:
    before = Increments({attempts("ok"): 90.0, attempts("model_error"): 10.0})
    eyes, state = observer(before, tmp_path), run_of().state
    looks = [eyes.measure(state.evolve(phase=phase), START) for phase in (Phase.PENDING, *[Phase.PREPARING] * 2)]
    eyes.close()
    assert [look.measurements["error_rate"].stable for look in looks] == [Rate(0, 0), Rate(10, 100), Rate(0, 0)]
