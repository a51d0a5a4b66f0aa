"""The controller: one thread a rollout, one that leads, one that restores; all of them stop on request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from torchserve_rollout.clock import Clock, SystemClock
from torchserve_rollout.controller.actuate import Actuator
from torchserve_rollout.controller.lookback import PAUSE_S, Lookback
from torchserve_rollout.controller.observe import Observer
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.controller.restore import Restorer
from torchserve_rollout.controller.rollouts import Rollouts
from torchserve_rollout.controller.tick import RolloutTick, Tell
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.machine.observation import Successor
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.model import ModelName, RolloutId, VersionName
from torchserve_rollout.notify.notifier import Message, Notifier
from torchserve_rollout.packaging.entry import archive_url
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.settings import Settings
from torchserve_rollout.signals.mirror import Keep
from torchserve_rollout.signals.prometheus import Access, Prometheus
from torchserve_rollout.signals.scrape import Increments, Scraper
from torchserve_rollout.store.alerts import AlertBook
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.lease import LEASE_S, ControllerLease
from torchserve_rollout.store.pairs import PairBook
from torchserve_rollout.store.records import EventKind, NewEvent, RolloutRecord
from torchserve_rollout.torchserve.fleet import Fleet, node_from_settings

log = logging.getLogger("torchserve_rollout.controller")

_SOON_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_STOP_TIMEOUT_S = 15.0
_WORTH_TELLING = frozenset(
    {Phase.HELD, Phase.ABORTING, Phase.ROLLING_BACK, Phase.ABORTED, Phase.ROLLED_BACK, Phase.SUCCEEDED, Phase.FAILED}
)


class Controller:
    """Runs all rollouts of one journal. Other faces talk to ``rollouts``, in this process or over HTTP.

    Raises:
        UsageError: the journal cannot be opened.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        engine = open_database(settings.journal_url)
        self._journal = Journal(engine)
        self._lease = ControllerLease(engine, self._clock)
        self._alerts = AlertBook(engine)
        self._pairs = PairBook(engine)
        self._prometheus = _prometheus(settings)
        self._leads_until_s = 0.0
        self._catalogue = Catalogue(settings.model_store)
        self._fleet = Fleet([node_from_settings(settings)], self._archive_url)
        self._probe_files = ProbeFiles(settings.home)
        urls = {name: node.metrics_url for name, node in self._fleet.nodes.items()}
        self._lookback = Lookback(Scraper(urls), self._clock)
        self._notifier = Notifier(settings.notify_urls)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._workers: dict[RolloutId, _Worker] = {}
        self._threads: list[threading.Thread] = []
        self.rollouts = Rollouts(
            self._journal,
            self._fleet,
            self._catalogue,
            self._probe_files,
            settings.specs_dir,
            self._clock,
            self._wake_up,
            self._alerts,
            self._pairs,
        )

    def _archive_url(self, model: ModelName, version: VersionName) -> str:
        entry = self._catalogue.get(model, version)
        self._catalogue.verify(entry)
        return archive_url(entry)

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once."""
        self._threads = [
            threading.Thread(target=self._lead, name="lead", daemon=True),
            threading.Thread(target=self._restore, name="restore", daemon=True),
            threading.Thread(target=self._look_back, name="look back", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the actions under way. Rollouts stay as they are; the next controller goes on."""
        self._stop.set()
        self._wake_up()
        for thread in [*self._threads, *(worker.thread for worker in self._workers.values())]:
            thread.join(_STOP_TIMEOUT_S)
        self._notifier.close()
        self._fleet.close()
        try:
            self._lease.release()
        except SQLAlchemyError as error:
            log.warning("the lease could not be given back, it runs out in %g s: %s", LEASE_S, error)

    def _wake_up(self) -> None:
        self._wake.set()
        for worker in list(self._workers.values()):
            worker.wake.set()

    @property
    def is_leading(self) -> bool:
        """Whether this controller may act now."""
        return self._clock.monotonic_s() < self._leads_until_s

    # -- the threads ---------------------------------------------------------------------------------------------

    def _lead(self) -> None:
        """Hold the lease, and have one worker for each rollout that has not ended, or is watched after its success."""
        leader = ""
        while not self._stop.is_set():
            try:
                asked_at_s = self._clock.monotonic_s()
                other = self._lease.acquire()
                if not other:
                    self._leads_until_s = asked_at_s + LEASE_S
                    self._staff()
                if other != leader:
                    log.info("standing by: %s leads" if other else "leading%s", other)
                leader = other
            except SQLAlchemyError as error:
                log.warning("the journal does not answer: %s", error)
            self._wake.wait(self._settings.tick_s)
            self._wake.clear()

    def _staff(self) -> None:
        for rollout_id, worker in list(self._workers.items()):
            if not worker.thread.is_alive():
                del self._workers[rollout_id]
        for record in [*self._journal.open_rollouts(), *self._journal.watched_rollouts()]:
            if record.id not in self._workers:
                worker = _Worker(record, self._run_rollout)
                self._workers[record.id] = worker
                worker.thread.start()

    def _restore(self) -> None:
        restorer = Restorer(self._journal, self._fleet, self._clock)
        while not self._stop.is_set():
            if self.is_leading:
                self._guarded("restoring", restorer.run)
            self._stop.wait(self._settings.tick_s)

    def _look_back(self) -> None:
        while not self._stop.is_set():
            self._guarded("looking at the metrics", self._lookback.look)
            self._stop.wait(PAUSE_S)
        self._lookback.close()

    def _run_rollout(self, worker: _Worker) -> None:
        record = worker.record
        observer = Observer(
            record.spec,
            record.state,
            self._fleet,
            self._catalogue,
            self._probe_files,
            alerts=lambda: self._alerts.firing(record.model, record.state.candidate, record.created_at),
            prometheus=self._prometheus,
            keep_pairs=self._pair_keeper(record),
            successor=lambda: self._successor(record),
            # A rollout that began earlier has counted these minutes itself.
            before=self._lookback.seen() if record.state.phase is Phase.PENDING else Increments(),
        )
        try:
            actuator = Actuator(record.model, record.spec, self._fleet, observer, self._probe_files)
            tick = RolloutTick(record, self._journal, observer, actuator, self._clock, self._teller(record))
            self._tick_until_ended(worker, tick)
        finally:
            observer.close()

    def _pair_keeper(self, record: RolloutRecord) -> Keep:
        bodies = record.spec.mirror.keep_bodies if record.spec.mirror else 0
        return lambda mirrored: self._pairs.keep(record.id, mirrored, bodies)

    def _successor(self, record: RolloutRecord) -> Successor | None:
        later = self._journal.successor(record)
        if later is None:
            return None
        versions = (later.state.candidate, later.state.stable)
        return Successor(later.id, frozenset(version for version in versions if version is not None))

    def _tick_until_ended(self, worker: _Worker, tick: RolloutTick) -> None:
        failures = 0
        while not self._stop.is_set() and self.is_leading and not tick.state.is_over:
            is_fine = self._guarded(tick.state.rollout_id, tick.run)
            failures = 0 if is_fine else failures + 1
            backoff_s = min(_LONGEST_BACKOFF_S, self._settings.tick_s * 2**failures)
            pause_s = backoff_s if not is_fine else _SOON_S if tick.has_news else self._settings.tick_s
            worker.wake.wait(pause_s)
            worker.wake.clear()

    def _guarded(self, what: str, work: Callable[[], object]) -> bool:
        """Whether ``work`` went through; a failure is logged and the caller tries again later."""
        try:
            work()
        except (RolloutError, SQLAlchemyError) as error:
            log.warning("%s: %s", what, error)
            return False
        except Exception:  # whatever it is, the other rollouts and this one's next tick must go on
            log.exception("%s: unexpected error, trying again", what)
            return False
        return True

    def _teller(self, record: RolloutRecord) -> Tell:
        # A success was told when it came, maybe by a controller before us.
        told = {Phase.SUCCEEDED} if record.state.phase is Phase.SUCCEEDED else set()

        def tell(state: RolloutState, sentence: str, alarm: str = "") -> None:
            if alarm or (state.phase in _WORTH_TELLING and state.phase not in told):
                if not alarm:
                    told.add(state.phase)
                what = f"{alarm} fires" if alarm else state.phase
                title = f"{state.model} {state.stable or '(none)'}→{state.candidate}: {what}"
                self._notifier.tell(Message(title, sentence, record.spec.notify, self._reporter(state)))

        return tell

    def _reporter(self, state: RolloutState) -> Callable[[bool, str], None]:
        def report(is_sent: bool, sentence: str) -> None:
            event = NewEvent(EventKind.NOTIFIED if is_sent else EventKind.FAILED, sentence)
            self._guarded("journaling a notification", lambda: self._journal.append(self._clock.now(), state, [event]))

        return report


def _prometheus(settings: Settings) -> Prometheus | None:
    if not settings.prometheus_url:
        return None
    access = Access(credentials=settings.prometheus_credentials, ca=settings.prometheus_ca)
    return Prometheus(settings.prometheus_url, access)


class _Worker:
    """The thread of one rollout."""

    def __init__(self, record: RolloutRecord, run: Callable[[_Worker], None]) -> None:
        self.record = record
        self.wake = threading.Event()
        self.thread = threading.Thread(target=run, args=(self,), name=record.id, daemon=True)
