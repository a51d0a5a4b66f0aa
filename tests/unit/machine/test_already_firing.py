"""An alarm that fires on stable before the start is told; the rollout is refused, or measured against that."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.machine.world import V2, Run, judged, run_of, spec_of
from torchserve_rollout.analysis.before import relaxed
from torchserve_rollout.analysis.verdict import Judgement, Verdict
from torchserve_rollout.machine.decide import decide
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.spec.schema import RolloutSpec

SLOW = {"name": "slow", "signal": "latency_p95", "max": 2.0}


def firing_on_stable() -> Judgement:
    judgement = judged(Verdict.FAIL)
    (alarm,) = judgement.alarms
    return replace(judgement, alarms=(replace(alarm, alarm="slow", candidate=None, stable=3.0),))


def prepared(spec: RolloutSpec) -> Run:
    """A rollout whose alarm fires on stable while the candidate is prepared."""
    run = run_of(spec=spec)
    while run.state.phase in (Phase.PENDING, Phase.PREPARING):
        judgement = firing_on_stable() if run.state.phase is Phase.PREPARING else None
        decision = decide(run.state, run.spec, run.world.observe(0), judgement, [], run.world.now)
        run.decisions.append(decision)
        run.state = decision.state
        run.world.apply(decision.actions)
        run.world.pass_time()
    return run


def test_the_rollout_is_refused_before_its_first_request() -> None:
    run = prepared(spec_of(alarms=[SLOW]))
    assert run.state.phase is Phase.ABORTING
    assert "before the start slow already fires on stable 1.0, so it would say nothing of 2.0" in run.reasons
    assert run.to_end() is Phase.ABORTED
    assert all(run.world.weight(node, V2) == 0 for node in run.world.nodes.values())


def test_or_the_candidate_is_measured_against_what_stable_did() -> None:
    run = prepared(spec_of(alarms=[SLOW], already_firing="baseline"))
    assert run.state.phase is Phase.PROGRESSING
    assert run.state.baselines == {"slow": 3.0}
    assert "measured against what stable did before: slow" in run.reasons
    assert run.until(Phase.BAKING).state.baselines == {"slow": 3.0}


def test_a_bound_that_stable_breaks_allows_what_stable_did_and_a_tenth_more() -> None:
    spec = spec_of(alarms=[SLOW, {"name": "errors", "signal": "error_rate", "max": 0.5}])
    eased = relaxed(spec, {"slow": 3.0, "errors": 0.95})
    assert [alarm.max for alarm in eased.alarms] == [3.3000000000000003, 1.0]
    assert relaxed(spec, {}) is spec
