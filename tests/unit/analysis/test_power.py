"""How many samples an alarm needs, and whether a bake is long enough for them."""

from __future__ import annotations

from typing import Any

import pytest

from torchserve_rollout.analysis.blocks import evenly
from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.power import needs
from torchserve_rollout.analysis.samples import Measurement, Pairs, Rate
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

ERRORS = {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01}


def spec_of(*alarms: dict[str, Any], **more: Any) -> RolloutSpec:
    fields = {
        "model": "m",
        "steps": [{"weight": 5, "bake": "1m"}, {"weight": 50, "bake": "1h"}],
        "alarms": list(alarms),
    }
    return RolloutSpec.model_validate(fields | more)


def test_the_alarm_fires_with_that_many_expected_samples_and_not_with_far_fewer() -> None:
    spec = spec_of(ERRORS)
    (need, _) = needs(spec)
    assert need.samples is not None and need.effect == "error_rate 7 % against 1 %"

    def fires(n: int) -> bool:
        candidate, stable = Rate(round(0.07 * n), n), Rate(round(0.19 * n), 19 * n)
        blocks = evenly(n, 0.07 * n, 19 * n, 0.19 * n)
        ledger = {"error_rate": Measurement("error_rate", candidate, stable, blocks=blocks)}
        return judge(spec, ledger).verdict is Verdict.FAIL

    assert fires(need.samples) and not fires(round(0.9 * need.samples))


def test_time_comes_from_the_rate_and_the_weight_and_a_short_bake_is_warned_of() -> None:
    first, second = needs(spec_of(ERRORS), rate_per_s=10)
    assert first.samples is not None and first.seconds == pytest.approx(first.samples / 0.5)
    assert first.warning.startswith("step 1 bakes 1m, too short for errors: errors sees error_rate 7 % against 1 %")
    assert second.seconds is not None and second.seconds < 3600 and not second.warning


def test_a_step_that_waits_for_enough_requests_is_not_too_short() -> None:
    spec = spec_of(ERRORS, steps=[{"weight": 5, "bake": "1m", "min_requests": 100_000}])
    assert [need.warning for need in needs(spec, rate_per_s=10)] == [""]


@pytest.mark.parametrize(
    ("alarm", "effect"),
    [
        ({"signal": "error_rate", "max": 0.05}, "error_rate 10 %"),
        ({"signal": "error_rate", "worse_than_stable_by": 0.01, "effect": 0.1}, "error_rate 11 % against 1 %"),
        ({"signal": "error_rate", "worse_than_stable_ratio": 2.0}, "error_rate 4 % against 1 %"),
        ({"signal": "latency_p95", "max": 2.0}, "10 % of the latency_p95 values beyond the bound"),
        ({"signal": "latency_p99", "worse_than_stable_ratio": 1.5}, "2 % of the latency_p99 values beyond the bound"),
        ({"signal": "probe_score", "worse_than_stable_by": 0.1, "probe": "p"}, "probe_score 0.7 against 0.9"),
        ({"signal": "probe_score", "min": 0.8, "probe": "p"}, "probe_score 0.7"),
    ],
)
def test_every_kind_of_rule_sees_its_effect_in_the_end(alarm: dict[str, Any], effect: str) -> None:
    for need in needs(spec_of({"name": "a", **alarm}), rate_per_s=1):
        assert need.effect == effect
        assert need.samples is not None and need.samples < 100_000
        assert (need.seconds is None) == (alarm["signal"] == "probe_score")


def test_an_effect_that_the_rule_allows_is_never_seen() -> None:
    first, _ = needs(spec_of(ERRORS | {"effect": 0.005}))
    assert first.samples is None
    assert first.warning == "step 1: errors cannot see error_rate 1.5 % against 1 % at 5 %"


def test_plain_rules_need_no_samples() -> None:
    assert needs(spec_of({"name": "m", "signal": "memory_mb", "max": 1000}, ERRORS | {"for": "1m"})) == ()


def test_pairs_are_counted_by_what_is_mirrored() -> None:
    steps = [{"weight": 0, "bake": "1m"}, {"weight": 50, "mirror": "20%", "bake": "1h"}, {"weight": 60, "mirror": 0}]
    alarms = [
        {"name": "pairs", "signal": "mirror_error_rate", "worse_than_stable_by": 0},
        {"name": "slower", "signal": "mirror_slower_rate", "worse_than_stable_by": 0.1},
        {"name": "same", "signal": "mirror_disagreement", "max": 0.1},
    ]
    found = needs(spec_of(*alarms, steps=steps, mirror={"share": 0.1}), rate_per_s=10)
    assert [(need.alarm, need.step) for need in found] == [
        (name, step) for name in ("pairs", "slower", "same") for step in ("step 1", "step 2")
    ]
    first, second, slower, *_ = found
    assert first.effect == "mirror_error_rate 6 % against 1 %"
    assert slower.effect == "mirror_slower_rate 50 % against 30 %"
    assert first.seconds == second.seconds == pytest.approx((first.samples or 0) / 1.0)
    assert "pairs: " in first.sentence and "at 10 % of 10/s" in second.sentence

    def fires(n: int) -> bool:
        pairs = Pairs(n, round(0.06 * n), round(0.01 * n))
        spec = spec_of(*alarms, steps=steps, mirror={"share": 0.1})
        judged = judge(spec, {"mirror_error_rate": Measurement("mirror_error_rate", pairs)})
        return judged.alarms[0].verdict is Verdict.FAIL

    assert first.samples is not None and fires(first.samples + 10) and not fires(round(0.85 * first.samples))
