"""What one tick sees: the nodes, the archive, the gates, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from torchserve_rollout.analysis.samples import Measurement, TickEvidence
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.controller.window import summed
from torchserve_rollout.errors import IntegrityError, NotFoundError, ServerUnreachable
from torchserve_rollout.machine.actions import ActionResult
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.observation import Observation, Successor
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.model import Mirrored, ModelName, NodeName, NodeStatus, VersionName
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.signals.asked import AskedSource, asker
from torchserve_rollout.signals.gates import GateRun
from torchserve_rollout.signals.measured import MetricSource
from torchserve_rollout.signals.mirror import Keep, MirrorSource, Read
from torchserve_rollout.signals.probes import Answer, ProbeSource
from torchserve_rollout.signals.prometheus import Prometheus
from torchserve_rollout.signals.registry import PROBE_SCORE
from torchserve_rollout.signals.scrape import Increments, Scraper
from torchserve_rollout.signals.source import Cohorts, Source
from torchserve_rollout.signals.workers import WorkerSource
from torchserve_rollout.spec.plan import mirrors
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.torchserve.fleet import Fleet, Node


class Predictor:
    """Sends probes of one model, to each node in turn."""

    def __init__(self, fleet: Fleet, model: ModelName) -> None:
        self._fleet = fleet
        self._model = model
        self._calls = 0

    def __call__(self, version: VersionName, body: dict[str, Any], timeout_s: float) -> Answer:
        nodes = list(self._fleet.nodes.values())
        self._calls += 1
        error: ServerUnreachable | None = None
        for turn in range(len(nodes)):
            node = nodes[(self._calls + turn) % len(nodes)]
            try:
                return node.models.predict(self._model, version, body, timeout_s)
            except ServerUnreachable as away:
                error = away
        raise error or ServerUnreachable("no node is known")


Alerts = Callable[[], tuple[Alert, ...]]
"""The alerts about the candidate that fire now."""
# Watched for hours, a version gives its probes a tenth of a worker's time, not half.
_RESTS_AFTER_SUCCESS = 9

Successors = Callable[[], Successor | None]
"""The rollout that came after this one."""


_NOTHING = Increments()


def _no_successor() -> Successor | None:
    return None


def _keep_none(mirrored: Mirrored) -> None:
    """Where nobody reads pairs, they are only counted."""


class Observer:
    """Eyes of one rollout. Not thread-safe: its rollout's worker owns it.

    Args:
        before: what ``/metrics`` counted in the minutes before a rollout that begins now.
    """

    def __init__(
        self,
        spec: RolloutSpec,
        state: RolloutState,
        fleet: Fleet,
        catalogue: Catalogue,
        probe_files: ProbeFiles,
        alerts: Alerts = tuple,
        prometheus: Prometheus | None = None,
        keep_pairs: Keep = _keep_none,
        successor: Successors = _no_successor,
        before: Increments = _NOTHING,
    ) -> None:
        self._spec = spec
        self._model = state.model
        self._cohorts = Cohorts(state.model, state.candidate, state.stable)
        self._fleet = fleet
        self._catalogue = catalogue
        self._probe_files = probe_files
        self._alerts = alerts
        self._prometheus = prometheus
        self._successor = successor
        self._before = before
        self.predictor = Predictor(fleet, state.model)
        urls = {name: node.metrics_url for name, node in fleet.nodes.items()}
        self._nodes: Mapping[NodeName, NodeStatus] = {}
        self._sources = [
            *_always(spec, self._cohorts, urls, lambda: self._nodes),
            *_mirrored(spec, self._cohorts, fleet, keep_pairs),
        ]
        self._probes: list[Source] = []
        self._is_armed = False
        self._gates: GateRun | None = None

    def look(self, state: RolloutState, results: tuple[ActionResult, ...], candidate_requests: int) -> Observation:
        """The nodes and everything else that is not a measurement."""
        nodes = self._nodes = self._fleet.observe(self._model)
        return Observation(
            nodes=nodes,
            results=results,
            gates=self._gates.results if self._gates else None,
            candidate_requests=candidate_requests,
            archive_problem=self._archive_problem(state, nodes),
            alerts=self._alerts() if state.is_armed or state.phase is Phase.HELD else (),
            successor=self._successor() if state.is_watched else None,
            stable_in_flight=self._in_flight(state.stable) if state.is_closing else None,
        )

    def _in_flight(self, version: VersionName | None) -> int | None:
        counts = [each.in_flight(version) for each in self._sources if isinstance(each, MetricSource) and version]
        return counts[0] if counts else None

    def _archive_problem(self, state: RolloutState, nodes: Mapping[NodeName, NodeStatus]) -> str:
        if state.phase not in (Phase.PENDING, Phase.PREPARING):
            return ""
        try:
            self._catalogue.verify(self._catalogue.get(state.model, state.candidate))
        except NotFoundError as error:
            reachable = [node for node in nodes.values() if node.is_reachable]
            # Somebody registered it by hand: nothing to register, nothing to compare.
            return "" if reachable and all(state.candidate in node.versions for node in reachable) else error.message
        except IntegrityError as error:
            return error.message
        return ""

    def measure(self, state: RolloutState, now: datetime) -> TickEvidence:
        """What was counted since the last tick. Probes run while alarms are armed, and only then."""
        self._follow(state)
        measurements: dict[str, Measurement] = {}
        for source in (*self._sources, *self._probes):
            measurements.update(source.collect())
        evidence = TickEvidence(now, measurements)
        return self._with_the_time_before(evidence) if state.phase is Phase.PREPARING else evidence

    def _with_the_time_before(self, evidence: TickEvidence) -> TickEvidence:
        """The first look while the candidate is prepared tells what stable did before, too."""
        before, self._before = self._before, _NOTHING
        if not before.values:
            return evidence
        sources = [each for each in self._sources if isinstance(each, MetricSource)]
        measured = {key: each for source in sources for key, each in source.measured_on(before).items()}
        return summed([TickEvidence(evidence.at, measured), evidence])

    def _follow(self, state: RolloutState) -> None:
        if state.is_armed and not self._is_armed:
            self._is_armed = True
            keys = {alarm.signal_key: alarm.probe for alarm in self._spec.alarms if alarm.signal == PROBE_SCORE}
            for key, path in keys.items():
                if path is not None:
                    self._probes.append(ProbeSource(key, self._probe_files.load(path), self._cohorts, self.predictor))
            self._probes += self._asked()
        elif not state.is_armed and self._is_armed:
            self._is_armed = False
            self._close_probes()

        for probe in self._probes:
            if isinstance(probe, ProbeSource):
                probe.rests = _RESTS_AFTER_SUCCESS if state.is_watched else 1

    def _asked(self) -> list[Source]:
        compared = {alarm.signal_key for alarm in self._spec.alarms if alarm.is_comparison}
        metrics = {each.metric.key: each.metric for each in self._spec.alarms if each.metric is not None}
        return [
            AskedSource(metric, self._cohorts, asker(metric, self._cohorts, self._prometheus), key in compared)
            for key, metric in metrics.items()
            if not metric.is_scraped
        ]

    def run_gates(self, version: VersionName) -> None:
        """Begin, if it has not begun.

        Raises:
            NotFoundError, SpecError: a probe file is gone or broken.
        """
        if self._gates is None:
            self._gates = GateRun(self._probe_files.gates(self._spec), version, self.predictor)

    def _close_probes(self) -> None:
        for probe in self._probes:
            probe.close()
        self._probes = []

    def close(self) -> None:
        """End what runs in the background."""
        self._close_probes()
        if self._gates is not None:
            self._gates.close()
        for source in self._sources:
            source.close()


def _always(
    spec: RolloutSpec,
    cohorts: Cohorts,
    metrics_urls: Mapping[NodeName, str],
    nodes: Callable[[], Mapping[NodeName, NodeStatus]],
) -> Sequence[Source]:
    """The sources that measure from the beginning to the end."""
    names = {alarm.signal for alarm in spec.alarms}
    own = [alarm.metric for alarm in spec.alarms if alarm.metric is not None and alarm.metric.is_scraped]
    counters = {name for metric in own for name in (metric.counter, metric.over) if name}
    scraper = Scraper(metrics_urls, names={name for metric in own for name in metric.series}, counters=counters)
    return [MetricSource(scraper, cohorts, names, own), WorkerSource(cohorts, nodes, names)]


def _mirrored(spec: RolloutSpec, cohorts: Cohorts, fleet: Fleet, keep: Keep) -> Sequence[Source]:
    """What looks at mirrored requests. It begins before the first of them, so that none is missed."""
    if not mirrors(spec, cohorts.stable):
        return []
    with_bodies = spec.mirror is not None and spec.mirror.keep_bodies > 0

    def reader(node: Node) -> Read:
        return lambda after, limit: node.traffic.mirror_pairs(cohorts.model, after, limit, with_bodies=with_bodies)

    readers = {name: reader(node) for name, node in fleet.nodes.items()}
    return [MirrorSource(cohorts, readers, {alarm.signal for alarm in spec.alarms}, keep)]
