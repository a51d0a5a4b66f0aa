"""The plan says what would happen, when at the earliest, and what the spec overlooks."""

from __future__ import annotations

from typing import Any

import pytest

from torchserve_rollout.model import VersionName
from torchserve_rollout.spec.plan import format_value, plan, render, steps_of
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.spec.signals import Unit

V1, V2 = VersionName("1.0"), VersionName("2.0")


def spec_of(**changes: Any) -> RolloutSpec:
    fields: dict[str, Any] = {
        "model": "m",
        "steps": [{"weight": 5, "bake": "1m", "min_requests": 100}, {"weight": 50, "bake": "10m"}],
        "final_bake": "30m",
        "alarms": [{"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01}],
    }
    return RolloutSpec.model_validate(fields | changes)


def test_a_canary_is_laid_out_step_by_step() -> None:
    lines = render(plan(spec_of(), V1, V2))
    assert lines == (
        "m: 2.0 beside 1.0, at least 41m",
        "  +0s      prepare     2.0 is registered with 1 worker and answers a probe; no user request reaches it",
        "  +0s      step 1      5 % of the requests go to 2.0 for 1m and 100 requests",
        "  +1m      step 2      50 % of the requests go to 2.0 for 10m",
        "  +11m     promote     2.0 becomes the default version on every node",
        "  +11m     final bake  2.0 takes all requests for 30m; 1.0 stays loaded and the alarms stay armed, "
        "then for 1h more",
        "  alarm    errors: error_rate at most 1 % worse than stable, then rollback",
    )


def test_the_first_version_of_a_model_has_no_steps_and_says_so() -> None:
    planned = plan(spec_of(gates=[{"probe": "smoke.yaml", "min_score": 0.9}]), None, V1)
    assert [step.name for step in planned.steps] == ["prepare", "gate", "promote"]
    assert planned.duration_s == 0
    assert planned.warnings == (
        "m has no stable version yet: steps, alarms and final bake are left out, and there is nothing to roll back to",
    )


def test_all_at_once_has_no_steps() -> None:
    spec = spec_of(strategy="all_at_once", steps=[])
    assert steps_of(spec, V1) == ()
    assert [step.weight_pct for step in plan(spec, V1, V2).steps] == [0, 100, 100]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"alarms": []}, "no alarms: only the gateway's breaker can stop a bad version"),
        ({"final_bake": 0}, "no final_bake: from its promotion on nobody answers what the new version cannot"),
        (
            {"final_bake": 0, "keep_prior": 0},
            "no final_bake: from its promotion on nobody answers what the new version cannot, "
            "and with keep_prior: 0s no alarm can set the default back",
        ),
        ({"steps": [{"weight": 5.0}]}, "the last step is 5 %: promotion is a jump from there to 100 %"),
        (
            {"steps": [{"weight": 50.0, "min_requests": 10}]},
            "step 1 asks for 10 requests, but errors needs 20 samples: the step waits for them",
        ),
        (
            {"steps": [{"weight": 100.0}]},
            "errors compares with stable, which gets no requests beside a first step of 100 %",
        ),
    ],
)
def test_what_a_spec_overlooks_is_said(changes: dict[str, Any], warning: str) -> None:
    assert plan(spec_of(**changes), V1, V2).warnings == (warning,)


def test_a_shadow_is_laid_out_by_what_is_copied_and_ends_in_a_jump() -> None:
    spec = spec_of(
        strategy="shadow",
        mirror={"share": "10%"},
        steps=[{"weight": 0, "bake": "1m", "min_requests": 100}, {"weight": 0, "mirror": "50%", "bake": "10m"}],
        alarms=[{"name": "pairs", "signal": "mirror_error_rate", "worse_than_stable_by": 0}],
    )
    planned = plan(spec, V1, V2)
    assert [step.sentence for step in planned.steps[1:4]] == [
        "2.0 gets copies of 10 % of the requests for 1m and 100 copies; no user sees its answers",
        "2.0 gets copies of 50 % of the requests for 10m; no user sees its answers",
        "2.0 becomes the default version on every node",
    ]
    assert [step.mirror_pct for step in planned.steps] == [0, 10, 50, 0, 0]
    assert planned.warnings == ("the last step is 0 %: promotion is a jump from there to 100 %",)


def test_a_canary_that_mirrors_says_so_in_each_step_that_does() -> None:
    spec = spec_of(mirror={"share": "2.5%"}, steps=[{"weight": 0}, {"weight": 50, "mirror": 0}, {"weight": 100}])
    planned = plan(spec, V1, V2)
    assert [step.mirror_pct for step in planned.steps] == [0, 2.5, 0, 0, 0, 0]
    assert planned.warnings == ("no alarm looks at what is mirrored: mirror_error_rate and mirror_slower_rate would",)


def test_testers_and_limits_are_said() -> None:
    spec = spec_of(
        steps=[{"weight": 5.0, "bake": 60, "max_requests": 500}], cohort={"header": "x-user-group", "value": "internal"}
    )
    step = plan(spec, V1, V2).steps[1]
    assert step.sentence == "5 % of the requests and all testers go to 2.0 for 1m, at most 500 on each node"


def test_values_are_shown_in_their_unit() -> None:
    shown = [format_value(0.042, Unit.SHARE), format_value(1.5, Unit.SECONDS), format_value(0.875, Unit.SCORE)]
    assert shown == ["4.2 %", "1.5s", "0.875"]
