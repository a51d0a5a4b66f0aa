"""A rollout ticking over a real journal in a small world; the controller can be made to die at any action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.unit.machine.world import V2, World, run_of
from torchserve_rollout.analysis.samples import Measurement, Rate, TickEvidence
from torchserve_rollout.controller.actuate import in_words
from torchserve_rollout.controller.tick import RolloutTick
from torchserve_rollout.machine.actions import Action, ActionResult, RenewLease
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import Command, CommandKind, RolloutState
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.records import RolloutRecord


class Killed(BaseException):
    """SIGKILL, as far as a test can tell: nothing of the controller runs on."""


@dataclass
class WorldClock:
    """The world's own time."""

    world: World

    def now(self) -> datetime:
        return self.world.now

    def monotonic_s(self) -> float:
        return self.world.now.timestamp()


@dataclass
class WorldEyes:
    """Sees the world; of the candidate's requests every ``bad_share`` fails."""

    world: World
    bad_share: float = 0.0

    def look(self, state: RolloutState, results: tuple[ActionResult, ...], candidate_requests: int) -> Observation:
        self.world.results = results
        return self.world.observe(candidate_requests)

    def measure(self, state: RolloutState, now: datetime) -> TickEvidence:
        shares = [self.world.weight(node, V2) for node in self.world.nodes.values()]
        requests = round(200 * sum(shares) / 100 / len(shares))
        candidate = Rate(round(requests * self.bad_share), requests)
        return TickEvidence(now, {"error_rate": Measurement("error_rate", candidate, Rate(0, 200 - requests))})


class WorldHands:
    """Acts in the world, and checks that nothing is done that was not journaled before.

    ``dies_at``: the controller is killed at the action of this number, counted over all its lives; before it is done
    when ``dies_before``, else right after it.
    """

    def __init__(self, world: World, journal: Journal, rollout_id: str) -> None:
        self._world = world
        self._journal = journal
        self._rollout_id = rollout_id
        self.dies_at: set[tuple[int, bool]] = set()
        self.done = 0

    def act(self, actions: Sequence[Action]) -> tuple[ActionResult, ...]:
        if any(not isinstance(action, RenewLease) for action in actions):
            self._check_intents(actions)
        results: list[ActionResult] = []
        for action in actions:
            self._die(is_before=True)
            self._world.apply([action])
            results += self._world.results
            self._die(is_before=False)
            self.done += 1
        return tuple(results)

    def _check_intents(self, actions: Sequence[Action]) -> None:
        events = self._journal.events(self._rollout_id)
        intended = {each for event in events for each in event.data.get("actions", [])}
        undone = {in_words(action) for action in actions if not isinstance(action, RenewLease)} - intended
        assert not undone, f"done without being journaled: {undone}"

    def _die(self, *, is_before: bool) -> None:
        if (self.done, is_before) in self.dies_at:
            self.dies_at.remove((self.done, is_before))
            self.done += not is_before
            raise Killed


class Driven:
    """One rollout from PENDING to its end, through as many controllers as it takes."""

    def __init__(self, directory: Path, spec: RolloutSpec, world: World, bad_share: float = 0.0) -> None:
        self.world = world
        self.eyes = WorldEyes(world, bad_share)
        self.journal = Journal(open_database(f"sqlite:///{directory / 'journal.db'}"))
        state = run_of(world, spec).state
        self.journal.create(RolloutRecord(spec, "", world.now, "ann", state), "accepted")
        self.id = state.rollout_id
        self.hands = WorldHands(world, self.journal, self.id)
        self.deaths = 0
        self.told: list[str] = []
        self._tick = self._new_controller()

    def _new_controller(self) -> RolloutTick:
        # What a controller holds in memory is lost with it.
        self.world.gates, self.world.results = None, ()

        def tell(state: RolloutState, sentence: str, alarm: str = "") -> None:
            self.told.append(f"{alarm} fires: {sentence}" if alarm else sentence)

        record = self.journal.rollout(self.id)
        return RolloutTick(record, self.journal, self.eyes, self.hands, WorldClock(self.world), tell)

    def restart_controller(self) -> None:
        """The next tick is that of a new process, which knows only the journal."""
        self._tick = self._new_controller()

    @property
    def state(self) -> RolloutState:
        return self.journal.rollout(self.id).state

    def tick(self) -> None:
        try:
            self._tick.run()
        except Killed:
            self.deaths += 1
            self.restart_controller()
        self.world.pass_time()

    def ask(self, kind: CommandKind) -> None:
        self.journal.put_command(self.id, Command(kind, "ann", "because", self.world.now))

    def until(self, *phases: Phase, limit: int = 200) -> Phase:
        for _ in range(limit):
            if self.state.phase in phases:
                return self.state.phase
            self.tick()
        raise AssertionError(f"stands in {self.state.phase} after {limit} ticks: {self.state.reason}")

    def to_end(self) -> Phase:
        return self.until(*(phase for phase in Phase if phase.is_terminal or phase is Phase.HELD))
