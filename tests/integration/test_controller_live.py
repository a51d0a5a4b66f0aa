"""The controller with a real TorchServe and the gateway: good versions go live, bad ones go back, restarts go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archives import ECHO_HANDLER, write_archive
from tests.torchserve_process import TorchServeProcess, wait_until
from tests.traffic import Traffic
from torchserve_rollout.controller.loop import Controller
from torchserve_rollout.controller.views import RolloutView
from torchserve_rollout.errors import (
    NotFoundError,
    RefusedError,
    RolloutInProgress,
    ServerError,
    SpecError,
    UsageError,
)
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import TrafficPolicy, TrafficStatus
from torchserve_rollout.settings import Settings, load_settings
from torchserve_rollout.spec.load import parse_spec
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.torchserve.traffic import TrafficClient

ROOT = Path(__file__).resolve().parents[2]
MODEL = "assistant"
RAISING = """
def handle(data, context):
    if data is None:
        return None
    if context.get_request_header(0, "x-rollout-probe"):
        return ["fine"] * len(data)
    raise ValueError("bad candidate")
"""
WRONG = """
def handle(data, context):
    return None if data is None else ["The answer is five."] * len(data)
"""
RIGHT = """
def handle(data, context):
    return None if data is None else ["The answer is four."] * len(data)
"""
FUSED = """
import os
def handle(data, context):
    if data is not None and os.path.exists({fuse!r}):
        raise ValueError("the fuse has burnt down")
    return None if data is None else ["answer of 2.0"] * len(data)
"""
PROBE = """
name: sums
prompts:
  - prompt: What is 2+2?
    expect: {contains_any: [four]}
"""


def spec_of(**changes: object) -> RolloutSpec:
    base: dict[str, object] = {
        "model": MODEL,
        "steps": [
            {"weight": 10, "bake": "500ms", "min_requests": 5},
            {"weight": 50, "bake": "500ms", "min_requests": 10},
        ],
        "final_bake": "1s",
        "lease": "3s",
        "prepare": {"timeout": "60s"},
        "alarms": [{"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.05, "min_samples": 5}],
    }
    return parse_spec({**base, **changes}, "test")


class Bench:
    """A TorchServe with the gateway, and a controller in this process."""

    def __init__(self, server: TorchServeProcess) -> None:
        self.server = server
        settings = load_settings(server.config_file, home=server.directory)
        self.settings: Settings = replace(settings, tick_s=0.1)
        self.controller = Controller(self.settings)
        self.controller.start()

    def restart_controller(self) -> None:
        self.controller.stop()
        self.controller = Controller(self.settings)
        self.controller.start()

    def package(self, version: str, handler: str = ECHO_HANDLER, model: str = MODEL) -> None:
        write_archive(self.server.model_store, model, version, handler)

    def start(self, version: str, spec: RolloutSpec | None = None) -> RolloutView:
        return self.controller.rollouts.start(MODEL, version, spec, "ada")

    def live(self, version: str = "1.0", handler: str = ECHO_HANDLER) -> None:
        self.package(version, handler)
        self.start(version)
        assert self.ended().phase == "SUCCEEDED"

    def wait_for_phase(self, *phases: str, deadline_s: float = 60) -> RolloutView:
        try:
            wait_until(lambda: self.controller.rollouts.get(MODEL).phase in phases, deadline_s, f"{phases}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}\n{self.server.log_tail(40)}") from None
        return self.controller.rollouts.get(MODEL)

    def ended(self, deadline_s: float = 60) -> RolloutView:
        return self.wait_for_phase("SUCCEEDED", "ABORTED", "ROLLED_BACK", "FAILED", deadline_s=deadline_s)

    def story(self) -> str:
        view = self.controller.rollouts.get(MODEL)
        lines = [
            f"{each.at:%H:%M:%S.%f} {each.kind} {each.phase} {each.weight_pct:g} % {each.sentence}"
            for each in self.controller.rollouts.events(view.id)
        ]
        return "\n".join([*lines, f"now {view.phase}: {view.reason}"])

    def traffic(self, count: int = 100_000, users: int = 4) -> Traffic:
        return Traffic(
            self.server.url(self.server.ports.gateway, f"/predictions/{MODEL}"),
            self.server.inference_headers,
            count=count,
            users=users,
            pause_s=0.02,
        )

    def default_version(self) -> str:
        answer = self.server.management("GET", f"/models/{MODEL}")
        return str(answer.json()[0]["modelVersion"])

    def workers(self, version: str) -> int:
        """Those that can serve; 0 for a version that is not registered."""
        answer = self.server.management("GET", f"/models/{MODEL}/{version}")
        return sum(each["status"] == "READY" for each in answer.json()[0]["workers"]) if answer.ok else 0

    def versions(self) -> set[str]:
        return {row["modelVersion"] for row in self.server.management("GET", f"/models/{MODEL}/all").json()}


@pytest.fixture
def bench(plugins_path: Path) -> Iterator[Bench]:
    with TorchServeProcess(plugins_path=plugins_path) as server:
        bench = Bench(server)
        try:
            yield bench
        finally:
            bench.controller.stop()


def test_a_good_candidate_goes_through_its_steps_and_becomes_the_default(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    with bench.traffic() as traffic:
        bench.start("2.0", spec_of())
        view = bench.ended()
    assert view.phase == "SUCCEEDED", bench.story()
    assert bench.default_version() == "2.0"
    assert bench.versions() == {"1.0", "2.0"}, "the prior version stays loaded"
    assert traffic.log.failed == []
    assert traffic.log.versions()["2.0"] > 0
    weights = [event.weight_pct for event in bench.controller.rollouts.events(view.id) if event.kind == "decided"]
    assert weights == sorted(weights) and {10.0, 50.0, 100.0} <= set(weights)


def test_a_failing_candidate_goes_back_and_no_user_notices(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0", RAISING)
    with bench.traffic() as traffic:
        bench.start("2.0", spec_of())
        view = bench.ended()
    assert view.phase == "ABORTED", bench.story()
    assert (view.exit_code, view.ended_by in ("alarm:errors", "breaker")) == (3, True)
    assert bench.default_version() == "1.0"
    assert bench.versions() == {"1.0"}
    assert traffic.log.failed == []
    assert bench.controller.rollouts.explain(MODEL).sentence


def test_a_candidate_that_answers_wrongly_goes_back_by_its_probe(bench: Bench) -> None:
    (bench.server.directory / "probe.yaml").write_text(PROBE)
    bench.live("1.0", RIGHT)
    bench.package("2.0", WRONG)
    quality = {
        "name": "quality",
        "signal": "probe_score",
        "probe": "probe.yaml",
        "worse_than_stable_by": 0.2,
        "min_samples": 10,
    }
    with bench.traffic(users=2) as traffic:
        bench.start("2.0", spec_of(alarms=[quality], steps=[{"weight": 10, "bake": "30s"}]))
        view = bench.ended()
    assert (view.phase, view.ended_by) == ("ABORTED", "alarm:quality"), bench.story()
    deciding = bench.controller.rollouts.explain(MODEL).deciding_alarm
    assert deciding is not None
    assert (deciding.candidate, deciding.stable) == (0.0, 1.0)
    assert traffic.log.failed == []


def test_a_gate_keeps_a_wrong_candidate_from_every_user(bench: Bench) -> None:
    (bench.server.directory / "probe.yaml").write_text(PROBE)
    bench.live("1.0", RIGHT)
    bench.package("2.0", WRONG)
    with bench.traffic(users=2) as traffic:
        bench.start("2.0", spec_of(gates=[{"probe": "probe.yaml", "min_score": 0.9}]))
        view = bench.ended()
    assert (view.phase, view.ended_by) == ("ABORTED", "prepare"), bench.story()
    assert "2.0" not in traffic.log.versions()


def test_a_candidate_that_cannot_load_is_aborted_and_leaves_nothing(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0", "import no_such_module\n" + ECHO_HANDLER)
    with bench.traffic(users=2) as traffic:
        bench.start("2.0", spec_of(prepare={"timeout": "6s"}))
        view = bench.ended()
    assert (view.phase, view.ended_by) == ("ABORTED", "prepare"), bench.story()
    assert bench.versions() == {"1.0"}
    assert traffic.log.failed == []


def test_a_rollout_that_succeeded_can_be_rolled_back_even_when_the_prior_version_was_let_go(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    quick = spec_of(steps=[{"weight": 50, "bake": "200ms"}], final_bake="200ms", keep_prior="500ms")
    with bench.traffic() as traffic:
        bench.start("2.0", quick)
        assert bench.ended().phase == "SUCCEEDED", bench.story()
        wait_until(lambda: bench.workers("1.0") == 0, 30, "the workers of 1.0 to be stopped")
        assert bench.versions() == {"1.0", "2.0"}, "it stays registered"
        back = bench.controller.rollouts.command(MODEL, CommandKind.ROLLBACK, "bob", "users complain")
        assert back.candidate == "1.0"
        assert bench.ended().phase == "SUCCEEDED", bench.story()
    assert bench.default_version() == "1.0"
    assert traffic.log.failed == []


def test_commands_pause_resume_and_abort(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    commands = bench.controller.rollouts
    with bench.traffic() as traffic:
        bench.start("2.0", spec_of(steps=[{"weight": 20, "bake": "300ms"}, {"weight": 60, "bake": "60s"}]))
        commands.command(MODEL, CommandKind.PAUSE, "ada", "lunch")
        wait_until(lambda: commands.get(MODEL).pause_reasons == ["operator"], 30, "the pause")
        commands.command(MODEL, CommandKind.RESUME, "ada", "back")
        wait_until(lambda: commands.get(MODEL).weight_pct == 60, 60, "the second step")
        commands.command(MODEL, CommandKind.ABORT, "ada", "changed my mind")
        view = bench.ended()
    assert (view.phase, view.ended_by) == ("ABORTED", "operator"), bench.story()
    assert traffic.log.failed == []
    with pytest.raises(RefusedError, match="has ended"):
        commands.command(MODEL, CommandKind.PAUSE, "ada", "")


def test_what_makes_no_sense_is_refused_and_changes_nothing(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    bench.package("3.0")
    start = bench.controller.rollouts.start
    with pytest.raises(NotFoundError, match=r"9\.9"):
        start(MODEL, "9.9", spec_of(), "ada")
    with pytest.raises(NotFoundError, match="no such file"):
        start(MODEL, "2.0", None, "ada")
    with pytest.raises(RefusedError, match="served already"):
        start(MODEL, "1.0", spec_of(), "ada")
    with pytest.raises(UsageError, match="for model"):
        start(MODEL, "2.0", spec_of(model="other"), "ada")
    with pytest.raises(UsageError, match="no version"):
        start(MODEL, "all", spec_of(), "ada")
    with pytest.raises(SpecError, match="nowhere"):
        start(MODEL, "2.0", spec_of(gates=[{"probe": "nowhere.yaml"}]), "ada")
    bench.start("2.0", spec_of(steps=[{"weight": 20, "bake": "60s"}]))
    with pytest.raises(RolloutInProgress):
        start(MODEL, "3.0", spec_of(), "ada")


def test_a_controller_that_restarts_goes_on_where_it_was(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    with bench.traffic() as traffic:
        bench.start("2.0", spec_of(steps=[{"weight": 20, "bake": "3s", "min_requests": 20}]))
        bench.wait_for_phase("PROGRESSING")
        bench.restart_controller()
        view = bench.ended()
    assert view.phase == "SUCCEEDED", bench.story()
    assert traffic.log.failed == []


def test_a_killed_controller_leaves_the_lease_to_run_out_and_its_successor_finishes(bench: Bench) -> None:
    bench.live("1.0")
    bench.controller.stop()
    bench.controller = Controller(bench.settings)  # takes commands, but leads nothing
    bench.package("2.0")
    program = (
        "import sys, time; from dataclasses import replace; from pathlib import Path\n"
        "from torchserve_rollout.controller.loop import Controller\n"
        "from torchserve_rollout.settings import load_settings\n"
        "settings = replace(load_settings(Path(sys.argv[1]), home=Path(sys.argv[2])), tick_s=0.1)\n"
        "Controller(settings).start(); time.sleep(600)\n"
    )
    doomed = subprocess.Popen(
        [sys.executable, "-c", program, str(bench.server.config_file), str(bench.server.directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
    )
    try:
        with bench.traffic() as traffic:
            bench.start("2.0", spec_of(steps=[{"weight": 50, "bake": "5s", "min_requests": 20}]))
            bench.wait_for_phase("PROGRESSING")
            doomed.send_signal(signal.SIGKILL)
            doomed.wait(10)

            def all_traffic_is_stables() -> bool:
                status = bench.server.management("GET", f"/traffic/{MODEL}").json()
                return not status["lease_valid"] and status["effective_weights"].get("2.0", 0) == 0

            wait_until(all_traffic_is_stables, 15, "the lease to run out")
            bench.restart_controller()
            view = bench.ended()
    finally:
        doomed.kill()
        doomed.wait(10)
    assert view.phase == "SUCCEEDED", bench.story()
    assert traffic.log.failed == []


def test_after_a_restart_of_torchserve_what_was_live_is_live_again(bench: Bench) -> None:
    bench.live("1.0")
    bench.server.kill()
    bench.server.start()
    wait_until(lambda: bench.server.predict(MODEL).text == "answer of 1.0", 60, "1.0 to serve again")
    assert bench.default_version() == "1.0"


def test_a_restart_of_torchserve_in_the_middle_of_a_rollout_is_survived(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    bench.start("2.0", spec_of(steps=[{"weight": 50, "bake": "2s", "min_requests": 20}]))
    with bench.traffic(count=20):
        bench.wait_for_phase("PROGRESSING")
    bench.server.kill()
    bench.server.start()
    wait_until(lambda: bench.server.predict(MODEL).status_code == 200, 60, "an answer")
    with bench.traffic():
        view = bench.ended(deadline_s=90)
    assert view.phase == "SUCCEEDED", bench.story()
    assert bench.default_version() == "2.0"
    assert bench.versions() == {"1.0", "2.0"}


def test_a_version_that_was_served_before_us_becomes_the_one_to_return_to(bench: Bench) -> None:
    bench.package("1.0")
    bench.server.register("assistant-1.0.mar")
    bench.package("2.0", RAISING)
    with bench.traffic() as traffic:
        view = bench.start("2.0", spec_of())
        assert view.stable == "1.0"
        assert bench.ended().phase == "ABORTED", bench.story()
    assert bench.default_version() == "1.0"
    assert traffic.log.failed == []


def test_a_slow_registration_of_one_model_lets_no_other_lease_run_out(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    other = "import time\ntime.sleep(8)\n" + ECHO_HANDLER
    bench.package("1.0", other, model="other")
    valid: list[bool] = []
    with bench.traffic(users=2):
        bench.start("2.0", spec_of(steps=[{"weight": 50, "bake": "60s"}], lease="2s"))
        wait_until(lambda: bench.controller.rollouts.get(MODEL).step_since is not None, 60, "weight 50")
        bench.controller.rollouts.start("other", "1.0", None, "ada")

        def other_is_live() -> bool:
            policy = bench.server.management("GET", f"/traffic/{MODEL}").json()
            valid.append(policy["lease_valid"])
            return bench.controller.rollouts.get("other").phase == "SUCCEEDED"

        wait_until(other_is_live, 60, "the other model to be live")
        bench.controller.rollouts.command(MODEL, CommandKind.ABORT, "ada", "seen enough")
        assert bench.ended().phase == "ABORTED", bench.story()
    assert len(valid) > 50 and all(valid)


def test_tokens_that_expire_in_the_middle_do_not_disturb_a_rollout(plugins_path: Path) -> None:
    with TorchServeProcess(plugins_path=plugins_path, properties={"token_expiration_min": "0.2"}) as server:
        bench = Bench(server)
        try:
            bench.live("1.0")
            bench.package("2.0")
            first = server.tokens.management
            bench.start("2.0", spec_of(steps=[{"weight": 50, "bake": "15s"}], alarms=[]))
            assert bench.ended().phase == "SUCCEEDED", bench.story()
            assert server.tokens.management != first
        finally:
            bench.controller.stop()


def test_a_fault_that_shows_after_success_sets_the_default_back_whatever_was_restarted_meanwhile(
    bench: Bench, tmp_path: Path
) -> None:
    fuse = tmp_path / "burnt"
    bench.live("1.0")
    bench.package("2.0", FUSED.format(fuse=str(fuse)))
    with bench.traffic() as traffic:
        bench.start("2.0", spec_of(final_bake="500ms", keep_prior="10m"))
        assert bench.ended().exit_code == 0, bench.story()
    assert traffic.log.failed == []
    bench.server.kill()
    bench.server.start()
    wait_until(lambda: bench.workers("2.0") > 0 and bench.workers("1.0") > 0, 60, "both versions to be back")
    assert bench.default_version() == "2.0"
    bench.restart_controller()
    with bench.traffic() as traffic:
        wait_until(lambda: traffic.log.versions()["2.0"] > 50, 30, "requests")
        assert bench.controller.rollouts.get(MODEL).phase == "SUCCEEDED"
        fuse.touch()
        view = bench.wait_for_phase("ROLLED_BACK")
        wait_until(lambda: traffic.log.versions()["1.0"] > 50, 30, "requests on 1.0")
    assert (view.ended_by, view.exit_code, view.warm_until) == ("alarm:errors", 3, None), bench.story()
    assert "after its success: errors: error_rate is " in bench.controller.rollouts.explain(MODEL).sentence
    assert bench.default_version() == "1.0"
    assert bench.versions() == {"1.0"}


def test_a_gateway_that_refuses_weight_0_on_the_way_back_is_left_without_a_policy_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.live("1.0")
    bench.package("2.0")
    take = TrafficClient.put

    def put(client: TrafficClient, policy: TrafficPolicy, epoch: int) -> TrafficStatus:
        if not any(policy.weights_pct.values()):
            raise ServerError("InvalidPolicyException: weights: not today", status=400)
        return take(client, policy, epoch)

    monkeypatch.setattr(TrafficClient, "put", put)
    with bench.traffic() as traffic:
        spec = spec_of(steps=[{"weight": 50, "bake": "60s"}], lease="60s", drain_timeout="2s")
        bench.start("2.0", spec)
        wait_until(lambda: traffic.log.versions()["2.0"] > 20, 60, "requests on 2.0")
        bench.controller.rollouts.command(MODEL, CommandKind.ABORT, "ada", "")
        url = f"/traffic/{MODEL}"
        wait_until(lambda: bench.server.management("GET", url).status_code == 404, 10, "the policy to go")
        view = bench.ended()
    assert view.phase == "ABORTED", bench.story()
    assert bench.versions() == {"1.0"}
    assert traffic.log.failed == []


def test_an_alarm_that_fired_on_stable_in_the_minutes_before_refuses_the_start(bench: Bench) -> None:
    bench.live("1.0")
    bench.package("2.0")
    with bench.traffic() as traffic:
        wait_until(lambda: traffic.log.versions()["1.0"] > 300, 30, "requests on 1.0")
    # Whoever looks every five seconds has seen them by then.
    seen = bench.controller._lookback.seen
    wait_until(lambda: sum(seen().by("ts_rollout_attempts_total", "version").values()) > 200, 30, "a look back")
    impossible = {"name": "slow", "signal": "latency_p95", "max": 0.000001, "min_samples": 5}
    bench.start("2.0", spec_of(alarms=[impossible]))
    view = bench.ended()
    assert (view.phase, view.ended_by) == ("ABORTED", "prepare"), bench.story()
    assert "before the start slow already fires on stable 1.0" in view.reason
