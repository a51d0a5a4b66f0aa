"""Pairs: the chance of a false alarm computed exactly, the formulas against SciPy, and what must hold of any pairs."""

from __future__ import annotations

import math
import re
from functools import reduce
from operator import add
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binomtest

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.paired import _log_best_obeying, log_evidence_pairs_worse
from torchserve_rollout.analysis.samples import Measurement, Pairs
from torchserve_rollout.analysis.verdict import AlarmVerdict, Verdict
from torchserve_rollout.spec.schema import RolloutSpec

LONGEST = 40
ALPHA = 0.05


def fires(margin: float) -> frozenset[tuple[int, int, int]]:
    """All counts (n, candidate's, stable's) up to ``LONGEST`` pairs at which an alarm of ``ALPHA`` fires."""
    needed = math.log(1 / ALPHA)
    return frozenset(
        (n, of_candidate, of_stable)
        for n in range(1, LONGEST + 1)
        for of_candidate in range(n + 1)
        for of_stable in range(n - of_candidate + 1)
        if log_evidence_pairs_worse(Pairs(n, of_candidate, of_stable), margin) >= needed
    )


def chance_to_fire(firing: frozenset[tuple[int, int, int]], of_candidate: float, of_stable: float) -> float:
    """The chance that one of ``LONGEST`` looks fires, one after each pair; all ways there are added up."""
    alive = {(0, 0): 1.0}
    fired = 0.0
    for n in range(1, LONGEST + 1):
        following: dict[tuple[int, int], float] = {}
        for (c, s), chance in alive.items():
            for step, probability in (
                ((1, 0), of_candidate),
                ((0, 1), of_stable),
                ((0, 0), 1 - of_candidate - of_stable),
            ):
                place = (c + step[0], s + step[1])
                if (n, *place) in firing:
                    fired += chance * probability
                else:
                    following[place] = following.get(place, 0.0) + chance * probability
        alive = following
    return fired


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_a_false_alarm_is_as_rare_as_promised_when_every_pair_is_looked_at(margin: float) -> None:
    firing = fires(margin)
    shares_of_stable = (0.0, 0.01, 0.1, 0.3, (1 - margin) / 2)
    chances = [chance_to_fire(firing, of_stable + margin, of_stable) for of_stable in shares_of_stable]
    assert max(chances) <= ALPHA
    assert max(chances) > ALPHA / 20, "a test that never fires proves nothing"
    assert chance_to_fire(firing, 0.9, 0.0) > 0.99


def of_pairs(limit: int = 200) -> st.SearchStrategy[Pairs]:
    """Any pairs."""
    counts = st.tuples(st.integers(0, limit), st.integers(0, limit), st.integers(0, limit))
    return counts.map(lambda each: Pairs(sum(each), each[0], each[1]))


@given(of_pairs(), st.floats(0.001, 0.9))
def test_the_best_pair_of_probabilities_that_obeys_is_the_one_that_a_search_finds(pairs: Pairs, margin: float) -> None:
    if pairs.candidate_only - pairs.stable_only <= margin * pairs.n:
        return

    def cost(b: float) -> float:
        counts = (pairs.candidate_only, pairs.stable_only, pairs.n - pairs.odd)
        shares = (b + margin, b, 1 - margin - 2 * b)
        return -sum(float(xlogy(count, max(share, 0.0))) for count, share in zip(counts, shares, strict=True))

    found = minimize_scalar(cost, bounds=(0.0, (1 - margin) / 2), method="bounded", options={"xatol": 1e-12})
    best = _log_best_obeying(pairs, margin)
    assert best >= -found.fun - 1e-6 * pairs.n
    # Nothing on the inner side of the edge explains the counts better.
    assert best == pytest.approx(max(-found.fun, -cost(0.0)), abs=1e-3 * (1 + abs(found.fun)))


@pytest.mark.parametrize("odd", [5, 30, 200])
def test_without_a_margin_the_evidence_is_ordered_as_the_p_values_of_mcnemar_s_exact_test(odd: int) -> None:
    worse = range(odd // 2 + 1, odd + 1)
    evidence = [log_evidence_pairs_worse(Pairs(10 * odd, each, odd - each), 0.0) for each in worse]
    p_values = [binomtest(each, odd, 0.5, alternative="greater").pvalue for each in worse]
    assert evidence == sorted(evidence)
    assert p_values == sorted(p_values, reverse=True)
    # E at any look is worth less than a p-value of one look, never more.
    assert all(math.exp(-log_e) >= p / 2 for log_e, p in zip(evidence, p_values, strict=True))


def test_pairs_that_agree_say_nothing_where_no_difference_is_allowed() -> None:
    few, many = (log_evidence_pairs_worse(Pairs(n, 12, 2), 0.0) for n in (14, 100_000))
    assert few == many > 0


def test_where_a_difference_is_allowed_pairs_that_agree_are_in_favour_of_the_candidate() -> None:
    few, many = (log_evidence_pairs_worse(Pairs(n, 12, 2), 0.01) for n in (14, 1000))
    assert few > many


@given(st.lists(of_pairs(20), max_size=6), st.randoms())
def test_the_order_of_arrival_changes_nothing(ticks: list[Pairs], random: object) -> None:
    assert reduce(add, ticks, Pairs()) == reduce(add, reversed(ticks), Pairs())


def verdict_on(pairs: Pairs, margin: float) -> AlarmVerdict:
    alarm = {"name": "pairs", "signal": "mirror_error_rate", "worse_than_stable_by": margin, "min_samples": 5}
    spec = RolloutSpec.model_validate(
        {"model": "m", "steps": [{"weight": 0, "mirror": "10%"}], "alarms": [alarm], "mirror": {}}
    )
    return judge(spec, {"mirror_error_rate": Measurement("mirror_error_rate", pairs)}).alarms[0]


@given(of_pairs(), st.integers(1, 50), st.sampled_from([0.0, 0.02, 0.3]))
def test_more_failures_of_the_candidate_never_turn_fail_into_pass(pairs: Pairs, more: int, margin: float) -> None:
    before = verdict_on(pairs, margin).verdict
    after = verdict_on(pairs + Pairs(more, more, 0), margin).verdict
    assert before is not Verdict.FAIL or after is not Verdict.PASS


@given(of_pairs(), st.sampled_from([0.0, 0.02, 0.3]))
def test_a_failure_of_the_candidate_in_the_place_of_an_agreement_makes_no_weaker_evidence(
    pairs: Pairs, margin: float
) -> None:
    if pairs.odd == pairs.n:
        return
    worse = Pairs(pairs.n, pairs.candidate_only + 1, pairs.stable_only)
    assert log_evidence_pairs_worse(worse, margin) >= log_evidence_pairs_worse(pairs, margin) - 1e-9


def test_the_sentence_names_both_sides() -> None:
    failed = verdict_on(Pairs(200, 40, 1), 0.01)
    assert failed.verdict is Verdict.FAIL
    assert failed.sentence.startswith(
        "pairs: mirror_error_rate is 20 % (40 of 200 pairs); stable has 0.5 % (1 of 200 pairs)"
    )
    assert (failed.candidate_n, failed.stable_n) == (200, 200)


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        (Pairs(4, 4, 0), Verdict.INCONCLUSIVE),
        (Pairs(200, 0, 0), Verdict.PASS),
        (Pairs(200, 3, 5), Verdict.PASS),
        (Pairs(200, 100, 100), Verdict.PASS),
        (Pairs(200, 4, 1), Verdict.INCONCLUSIVE),
    ],
    ids=["too few", "no failures", "stable fails more", "both fail alike", "not proven"],
)
def test_no_pairs_and_odd_ones_on_both_sides_prove_nothing(pairs: Pairs, verdict: Verdict) -> None:
    assert verdict_on(pairs, 0.0).verdict is verdict


def test_a_share_of_slower_answers_can_be_bounded_by_itself() -> None:
    alarm = {"name": "slower", "signal": "mirror_slower_rate", "max": 0.55}
    spec = RolloutSpec.model_validate(
        {"model": "m", "steps": [{"weight": 0, "mirror": "10%"}], "alarms": [alarm], "mirror": {}}
    )
    said = {
        pairs: judge(spec, {"mirror_slower_rate": Measurement("mirror_slower_rate", pairs)}).verdict
        for pairs in (Pairs(400, 300, 50), Pairs(400, 200, 190))
    }
    assert said == {Pairs(400, 300, 50): Verdict.FAIL, Pairs(400, 200, 190): Verdict.PASS}


def test_the_figures_in_the_docs_are_what_comes_out() -> None:
    page = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text("utf-8")
    found = re.findall(r"^\| (?:fails|slower in) (\d+) %.*?(\d+) % \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    rows = [[int(number) for number in row] for row in found]
    assert len(rows) == 5
    for of_candidate, of_stable, without, with_margin in rows:
        for margin, needed in ((0.0, without), (0.01, with_margin)):
            first, last = (
                log_evidence_pairs_worse(Pairs(n, round(n * of_candidate / 100), round(n * of_stable / 100)), margin)
                for n in (needed - 1, needed)
            )
            assert first < math.log(1200) <= last
