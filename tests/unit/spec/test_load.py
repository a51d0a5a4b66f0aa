"""A spec loads or tells everything that is wrong with it, in the words of the person who wrote it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_rollout.errors import SpecError
from torchserve_rollout.spec.load import load_probe, load_spec, parse_spec
from torchserve_rollout.spec.schema import AlarmSpec, RolloutSpec, StepSpec, Strategy

CONTRACT = """
model: assistant
strategy: canary
steps:
  - {weight: 5,  bake: 60s, min_requests: 100}
  - {weight: 25, bake: 5m}
  - {weight: 50, bake: 10m}
final_bake: 30m
failover: stable
sticky: {header: x-session-id}
gates:
  - {probe: config/probes/smoke.yaml, min_score: 0.9}
alarms:
  - {name: errors,   signal: error_rate,      worse_than_stable_by: 0.01, confidence: 0.99}
  - {name: slow,     signal: latency_p95,     max: 2s}
  - {name: quality,  signal: probe_score,     worse_than_stable_by: 0.10}
notify: [ops]
"""


def problems(text: str) -> list[str]:
    """Every problem of the text."""
    with pytest.raises(SpecError) as error:
        load_spec(text, "spec.yaml")
    return [str(problem) for problem in error.value.problems]


def canary(*lines: str) -> str:
    """A valid canary with further lines."""
    return "\n".join(["model: m", "steps: [{weight: 5, bake: 1s}]", *lines])


def test_the_spec_of_the_contract_loads() -> None:
    spec = load_spec(CONTRACT, "spec.yaml")
    assert spec.strategy is Strategy.CANARY
    assert [(step.weight, step.bake, step.min_requests) for step in spec.steps] == [
        (5, 60, 100),
        (25, 300, 0),
        (50, 600, 0),
    ]
    assert [alarm.max for alarm in spec.alarms] == [None, 2.0, None]
    assert spec.final_bake == 1800


def test_a_quality_alarm_without_a_probe_watches_the_probe_of_the_gates() -> None:
    assert load_spec(CONTRACT, "spec.yaml").alarms[2].signal_key == "probe_score:config/probes/smoke.yaml"
    two_gates = CONTRACT.replace("gates:", "gates:\n  - {probe: other.yaml}")
    assert problems(two_gates)[0].startswith("alarms[2].probe: probe_score needs a probe file to score")


def test_a_stored_spec_loads_as_the_same_spec() -> None:
    spec = load_spec(CONTRACT, "spec.yaml")
    assert parse_spec(json.loads(spec.model_dump_json()), "journal") == spec


@given(st.floats(0, 1e6, allow_nan=False), st.floats(0.001, 100), st.integers(0, 10**6))
def test_no_duration_is_rounded_on_its_way_through_the_journal(bake: float, weight: float, requests: int) -> None:
    step = StepSpec(weight=weight, bake=bake, min_requests=requests)
    assert StepSpec.model_validate_json(step.model_dump_json()) == step


def test_all_problems_are_told_at_once_and_each_with_its_place() -> None:
    text = """
model: assistant
strategy: linear
stepz: 3
steps:
  - {weight: yes, bake: , min_requests: 1.5}
  - {weight: 25, bake: 5x}
  - {weight: 25}
final_bake: -3
alarms:
  - {name: errors, signal: error_rat, worse_than_stable_by: 1%}
  - {name: errors, signal: error_rate}
"""
    assert problems(text) == [
        "strategy: 'linear' does not exist here (choose canary or all_at_once or shadow)",
        "steps[0].weight: must be a number, not true or false",
        "steps[0].bake: is not a duration; write 90s, 5m or 1h30m",
        "steps[0].min_requests: must be a whole number, not the number 1.5",
        "steps[1].bake: '5x' is not a duration; write 90s, 5m or 1h30m",
        "final_bake: -3 is not a duration; it must be finite and not negative",
        "stepz: unknown key (did you mean steps?)",
        "alarms[0].signal: no source measures 'error_rat' (did you mean error_rate?)",
        "alarms[1].name: 'errors' is already the name of alarms[0]",
        "alarms[1]: has no bound and can never fire (give it max, min or worse_than_stable_by)",
    ]


@pytest.mark.parametrize("strategy", ["linear", "blue_green"])
def test_a_strategy_that_does_not_exist_yet_is_refused_with_those_that_do(strategy: str) -> None:
    assert problems(f"model: m\nstrategy: {strategy}") == [
        f"strategy: '{strategy}' does not exist here (choose canary or all_at_once or shadow)"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("- 1", "must be keys with values, not a list"),
        ("model: m\nmodel: n", "line 2, column 1: the key 'model' appears twice"),
        ("steps:\n  - {weight: 1, weight: 2}", "line 2, column 17: the key 'weight' appears twice"),
        ("model: m\n---\nmodel: n", "holds 2 documents, one is allowed (remove the '---')"),
        ("model: [", "line 1, column 9: expected the node content, but found '<stream end>'"),
        ("model: *m", "line 1, column 8: found undefined alias 'm'"),
        ("model: 2026-02-31", "holds a value that cannot be read: day is out of range for month"),
        ("model: !!python/object:os.system x", "could not determine a constructor for the tag"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_what_is_not_one_mapping_in_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    [problem] = problems(text)
    assert said in problem


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sticky: {}", "sticky: must name exactly one of header and cookie"),
        ("sticky: {header: a, cookie: b}", "sticky: must name exactly one of header and cookie"),
        ("sticky: {header: 'a b'}", "sticky.header: 'a b' is not a header name"),
        ("lease: 0s", "lease: must be at least 1s"),
        ("mirror: {share: 10}", "mirror.share: must be at most 1, not 10"),
        ("mirror: {share: 0%}", "mirror.share: must be more than 0, not 0%"),
        ("mirror: {shares: 10%}", "mirror.shares: unknown key (did you mean share?)"),
        ("mirror: {keep_bodies: 51}", "mirror.keep_bodies: must be at most 50, not 51"),
        ("mirror: 10%", "mirror: must be keys with values, not the text '10%'"),
        (
            "alarms: [{name: a, signal: mirror_error_rate, max: 1%}]",
            "alarms[0].signal: mirror_error_rate looks at mirrored requests, and no step makes any (mirror: {share: 10",
        ),
        (
            "alarms: [{name: a, signal: mirror_eror_rate, max: 1%}]",
            "alarms[0].signal: no source measures 'mirror_eror_rate' (did you mean mirror_error_rate?)",
        ),
        (
            "mirror: {}\nalarms: [{name: a, signal: mirror_slower_rate, worse_than_stable_ratio: 2}]",
            "alarms[0].worse_than_stable_ratio: mirror_slower_rate counts pairs, which have no ratio",
        ),
        (
            "mirror: {}\nalarms: [{name: a, signal: mirror_disagreement, worse_than_stable_by: 2%}]",
            "alarms[0].worse_than_stable_by: mirror_disagreement is the same for both versions (use max)",
        ),
        # A policy that the gateway refuses could not even be taken back.
        ("replay_budget: {min: 1000000}", "replay_budget.min: must be at most 100000, not 1000000"),
        ("breaker: {consecutive: 1000000}", "breaker.consecutive: must be at most 100000, not 1000000"),
        ("deadlines: {candidate: 0s}", "deadlines.candidate: must be at least 0.001, not 0s"),
        ("breaker: {window: 5, window_failures: 6}", "breaker.window_failures: must be at most the window (5)"),
        ("breaker: {windo: 5}", "breaker.windo: unknown key (did you mean window?)"),
        ("gates: [{probe: ' '}]", "gates[0].probe: must name a probe file"),
        ("gates: [{min_score: 2}]", "gates[0].probe: is required"),
        ("gates: [{probe: x, min_score: 2}]", "gates[0].min_score: must be at most 1, not 2"),
        ("gates: {probe: x}", "gates: must be a list, not keys with values"),
        ("prepare: {workers: 0}", "prepare.workers: must be at least 1, not 0"),
        ("prepare: 3", "prepare: must be keys with values, not the number 3"),
        ("notify: ops", "notify: must be a list, not the text 'ops'"),
        ("on_abort: delete", "on_abort: 'delete' does not exist here (choose unregister or keep)"),
        ("final_bake: [5m]", "final_bake: is not a duration; write 90s, 5m or 1h30m"),
        ("final_bake: .inf", "final_bake: inf is not a duration; it must be finite and not negative"),
        ("final_bake: .nan", "final_bake: nan is not a duration; it must be finite and not negative"),
        ("alarms: [3]", "alarms[0]: must be keys with values, not the number 3"),
        ("alarms: [{name: 1.0, signal: error_rate, max: 1}]", "alarms[0].name: must be text, not the number 1.0"),
        ("alarms: [{name: '', signal: error_rate, max: 1}]", "alarms[0].name: must not be empty"),
        ("alarms: [{name: a, signal: error_rate, max: 5}]", "alarms[0].max: must be at most 1"),
        ("alarms: [{name: a, signal: error_rate, max: 2s}]", "alarms[0].max: error_rate goes from 0 to 1"),
        ("alarms: [{name: a, signal: error_rate, max: -1}]", "alarms[0].max: must not be negative"),
        ("alarms: [{name: a, signal: latency_p95, max: 5%}]", "alarms[0].max: latency_p95 is a duration, not a share"),
        ("alarms: [{name: a, signal: error_rate, max: much}]", "alarms[0].max: 'much' is not a quantity"),
        ("alarms: [{name: a, signal: error_rate, max: .nan}]", "alarms[0].max: must be a finite number"),
        ("alarms: [{name: a, signal: error_rate, min: 0.5, max: 0.4}]", "alarms[0].min: must be less than max (0.4)"),
        ("alarms: [{name: a, signal: error_rate, max: 1, confidence: 1}]", "alarms[0].confidence: must be less than 1"),
        ("alarms: [{name: a, signal: error_rate, max: 1, confidence: 0.5}]", "alarms[0].confidence: must be more than"),
        (
            "alarms: [{name: a, signal: error_rate, max: 1, min_samples: 0}]",
            "alarms[0].min_samples: must be at least 1",
        ),
        (
            "alarms: [{name: a, signal: error_rate, max: 1, probe: x}]",
            "alarms[0].probe: error_rate is measured on user",
        ),
        ("alarms: [{name: a, signal: probe_score, min: 0.5}]", "alarms[0].probe: probe_score needs a probe file"),
        (
            "steps: [{weight: 5}]\nalarms: [{name: a, signal: error_rate, max: 1, no_data: fail}]",
            "alarms[0].no_data: a step without a bake would fail before its first request",
        ),
        (
            "alarms: [{name: a, signal: error_rate, max: 1, for_s: 1s}]",
            "alarms[0].for_s: unknown key (did you mean for?)",
        ),
        (
            "alarms: [{name: a, signal: error_rate, max: 1, window: 0s}]",
            "alarms[0].window: must be longer than nothing",
        ),
        (
            "alarms: [{name: a, signal: error_rate, worse_than_stable_ratio: 0.5}]",
            "alarms[0].worse_than_stable_ratio: must",
        ),
        ("alarms: [{name: a, signal: error_rate, max: 1, dry_run: 'yes'}]", "alarms[0].dry_run: must be true or false"),
        (
            "alarms: [{name: a, signal: error_rate, max: 1, severity: loud}]",
            "alarms[0].severity: 'loud' does not exist",
        ),
        ("inconclusive: abort", "inconclusive: 'abort' does not exist here (choose hold or promote or rollback)"),
        ("alarms: [{name: a, max: 1}]", "alarms[0].signal: is required (name one, or define one under metric)"),
        ("alarms: [{name: a, signal: error_rate, metric: {gauge: x}, max: 1}]", "alarms[0].metric: the alarm has a"),
        ("alarms: [{name: a, metric: {}, max: 1}]", "alarms[0].metric: must name exactly one of counter, gauge"),
        ("alarms: [{name: a, metric: {gauge: x, mean: y}, max: 1}]", "alarms[0].metric: must name exactly one of"),
        ("alarms: [{name: a, metric: {gauge: ' '}, max: 1}]", "alarms[0].metric.gauge: must not be empty"),
        ("alarms: [{name: a, metric: {gauge: x, over: y}, max: 1}]", "alarms[0].metric.over: divides a counter"),
        ("alarms: [{name: a, metric: {gauge: x, quantile: 0.5}, max: 1}]", "alarms[0].metric.quantile: is taken of"),
        ("alarms: [{name: a, metric: {http: 'ftp://x'}, max: 1}]", "alarms[0].metric.http: must begin with http://"),
        ("alarms: [{name: a, metric: {gauge: x, path: a}, max: 1}]", "alarms[0].metric.path: is of a JSON answer"),
        ("alarms: [{name: a, metric: {prometheus: x, labels: {a: b}}, max: 1}]", "alarms[0].metric.labels: prometheus"),
        (
            "alarms: [{name: a, metric: {prometheus: x, interval: 1ms}, max: 1}]",
            "alarms[0].metric.interval: must be at",
        ),
        ("alarms: [{name: a, metric: {gage: x}, max: 1}]", "alarms[0].metric.gage: unknown key (did you mean gauge?)"),
        ("alarms: [{name: a, metric: {counter: x, over: y}, max: 2s}]", "alarms[0].max: x / y goes from 0 to 1"),
        ("alarms: [{name: a, signal: memory_mb, max: 2s}]", "alarms[0].max: memory_mb is no duration"),
        ("alarms: [{name: a, signal: latency_p95, action: page, max: 1}]", "alarms[0].action: 'page' does not exist"),
    ],
)
def test_each_mistake_has_its_sentence(line: str, said: str) -> None:
    found = problems("model: m\n" + line if line.startswith("steps") else canary(line))
    assert any(problem.startswith(said) for problem in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategy: canary", "model: is required"),
        (
            "model: m\nstrategy: all_at_once\nmirror: {share: 10%}",
            "mirror: all_at_once has no step in which requests could be mirrored (use strategy: shadow)",
        ),
        ("model: m\nstrategy: shadow\nmirror: {}", "steps: a shadow needs at least one step"),
        ("model: m\nstrategy: shadow\nmirror: {}\nsteps: [{weight: 5}]", "steps[0].weight: must be 0: no user is"),
        ("model: m\nstrategy: shadow\nsteps: [{weight: 0}]", "steps[0].mirror: a shadow gets copies, and this step"),
        (
            "model: m\nstrategy: shadow\nmirror: {}\nsteps: [{weight: 0, mirror: 0%}]",
            "steps[0].mirror: a shadow gets copies, and this step makes none (mirror: {share: 10%})",
        ),
        ("model: m\nmirror: {}\nsteps: [{weight: 0}, {weight: 0}]", "steps[1].weight: must be more than the 0 of the"),
        ("model: m\nsteps: [{weight: 0, min_requests: 5}]", "steps[0].min_requests: at weight 0 no request arrives"),
        ("model: m\nsteps: [{weight: 100, mirror: 5%}]", "steps[0].mirror: at 100 % stable answers nothing that could"),
        ("model: a/b\nsteps: [{weight: 1}]", "model: 'a/b' is not a model name"),
        ("model: m", "steps: a canary needs at least one step"),
        ("model: m\nsteps: []", "steps: a canary needs at least one step"),
        ("model: m\nstrategy: all_at_once\nsteps: [{weight: 5}]", "steps: all_at_once takes no steps"),
        ("model: m\nsteps: [{weight: 5}, {weight: 5}]", "steps[1].weight: must be more than the 5 of the step before"),
        (
            "model: m\nsteps: [{weight: 50}, {weight: 5}]",
            "steps[1].weight: must be more than the 50 of the step before",
        ),
        ("model: m\nsteps: [{weight: 101}]", "steps[0].weight: must be at most 100, not 101"),
        ("model: m\nsteps: [{weight: '5'}]", "steps[0].weight: must be a number, not the text '5'"),
        (
            "model: m\nsteps: [{weight: 5, min_requests: 9, max_requests: 8}]",
            "steps[0].max_requests: must be at least min_requests (9)",
        ),
        (
            "model: m\nsteps: [{weight: 5, max_requests: 9}]\nalarms: [{name: a, signal: error_rate, max: 0.1}]",
            "steps[0].max_requests: is too few for alarm 'a', which needs 20 samples to pass",
        ),
        (
            "model: m\nsteps: [{weight: 5}]\ncohort: {header: 'a b', value: x}",
            "cohort.header: 'a b' is not a header name",
        ),
        (
            "model: m\nsteps: [{weight: 5}]\ncohort: {header: a, value: ' x'}",
            "cohort.value: ' x' can be no header's value",
        ),
        (
            "model: m\nstrategy: all_at_once\ncohort: {header: a, value: x}",
            "cohort: needs a canary",
        ),
        ("model: m\nsteps: [{weight: 5}]\nreplay_budget: {share: 20}", "replay_budget.share: must be at most 1"),
        ("model: m\nsteps: [{weight: 0, min_requests: 5}]", "steps[0].min_requests: at weight 0 no request arrives"),
    ],
)
def test_steps_and_model_must_make_sense(text: str, said: str) -> None:
    assert any(problem.startswith(said) for problem in problems(text))


def test_shares_and_durations_are_read_as_people_write_them() -> None:
    text = canary(
        "alarms:", "  - {name: a, signal: error_rate, max: 5%}", "  - {name: b, signal: latency_p95, max: 250ms}"
    )
    assert [alarm.max for alarm in load_spec(text, "s").alarms] == [0.05, 0.25]


def test_a_signal_that_another_source_brings_can_be_named() -> None:
    text = canary("alarms: [{name: a, signal: thumbs_down, max: 0.2}]")
    assert load_spec(text, "s", frozenset({"thumbs_down"})).alarms[0].signal == "thumbs_down"


@given(st.text(max_size=60))
def test_no_text_whatsoever_makes_anything_but_a_spec_or_a_list_of_problems(text: str) -> None:
    for load in (load_spec, load_probe):
        try:
            load(text, "s")
        except SpecError as error:
            assert error.problems and all(problem.message for problem in error.problems)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(RolloutSpec.model_fields)), VALUES))
def test_no_value_whatsoever_makes_anything_but_a_spec_or_a_list_of_problems(data: dict[str, object]) -> None:
    try:
        parse_spec(data, "s")
    except SpecError as error:
        assert error.problems


@given(st.dictionaries(st.sampled_from(sorted(AlarmSpec.model_fields)), VALUES))
def test_no_alarm_whatsoever_makes_anything_but_a_spec_or_a_list_of_problems(alarm: dict[str, object]) -> None:
    try:
        parse_spec({"model": "m", "steps": [{"weight": 5}], "alarms": [alarm]}, "s")
    except SpecError as error:
        assert error.problems


def test_a_probe_file_loads() -> None:
    probe = load_probe("name: smoke\nprompts:\n  - {prompt: 'What is 2+2?', expect: {contains_any: ['4', four]}}", "p")
    assert probe.prompts[0].expect.contains_any == ("4", "four")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: p", "prompts: is required"),
        ("name: p\nprompts: []", "prompts: needs at least 1"),
        ("name: p\nprompts: [{expect: {}}]", "prompts[0]: asks nothing"),
        ("name: p\nprompts: [{prompt: a, body: {x: 1}}]", "prompts[0]: has a prompt and a body"),
        ("name: p\nprompts: [{prompt: a, expect: {matches: '('}}]", "prompts[0].expect.matches: is not a regular"),
        ("name: p\nprompts: [{prompt: a, expect: {contain_any: [x]}}]", "prompts[0].expect.contain_any: unknown key"),
    ],
)
def test_each_mistake_of_a_probe_file_has_its_sentence(text: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        load_probe(text, "probe.yaml")
    assert any(str(problem).startswith(said) for problem in error.value.problems)


def test_for_is_a_key_of_a_file_and_survives_the_journal() -> None:
    spec = load_spec(canary("alarms: [{name: a, signal: error_rate, max: 5%, for: 90s, window: 5m}]"), "s")
    assert (spec.alarms[0].for_s, spec.alarms[0].window) == (90.0, 300.0)
    assert parse_spec(json.loads(spec.model_dump_json()), "journal") == spec
    assert RolloutSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True)) == spec
