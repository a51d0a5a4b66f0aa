"""The evidence is what its formulas say, and no true hypothesis is expected to collect any."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad

from torchserve_rollout.analysis.sequential import (
    CANDIDATE_PRIOR,
    STABLE_PRIOR,
    Cohort,
    evidence_against_mean,
    interval,
    log_evidence_above,
    log_evidence_below,
    log_evidence_worse,
)


def mixture_ratio(n: int, good: int, mean: float, prior: tuple[tuple[float, float, float], ...]) -> float:
    """The Beta mixture's likelihood over that of ``mean``, from SciPy's distributions."""
    mixed = sum(weight * stats.betabinom.pmf(good, n, a, b) for weight, a, b in prior)
    return float(mixed / stats.binom.pmf(good, n, mean))


@given(st.integers(1, 200), st.data(), st.floats(0.05, 0.95))
def test_the_evidence_against_a_mean_is_the_ratio_of_scipys_distributions(
    n: int, data: st.DataObject, m: float
) -> None:
    good = data.draw(st.integers(0, n))
    if good / n >= m:
        assert log_evidence_below(Cohort(n, good), m) == 0
        return
    expected = max(0.0, math.log(mixture_ratio(n, good, m, CANDIDATE_PRIOR)))
    assert log_evidence_below(Cohort(n, good), m) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_the_mixture_is_the_integral_of_the_likelihood_over_the_prior() -> None:
    def density(p: float) -> float:
        prior = sum(weight * stats.beta.pdf(p, a, b) for weight, a, b in CANDIDATE_PRIOR)
        return float(prior * p**3 * (1 - p) ** 9)

    integral = quad(density, 0, 1, limit=200)[0]
    expected = math.log(integral / (0.8**3 * 0.2**9))
    assert log_evidence_below(Cohort(12, 3), 0.8) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mean", [0.02, 0.3, 0.5, 0.9, 0.995])
@pytest.mark.parametrize("n", [1, 7, 60, 300])
def test_a_true_mean_is_expected_to_collect_no_evidence(n: int, mean: float) -> None:
    expected = 0.0
    for good in range(n + 1):
        log_e = float(evidence_against_mean(Cohort(n, good), CANDIDATE_PRIOR)(np.array([mean]))[0])
        expected += math.exp(log_e + stats.binom.logpmf(good, n, mean))
    assert expected == pytest.approx(1.0, rel=1e-6)


@given(st.floats(0.01, 0.99), st.floats(0.01, 1.0), st.floats(0.0, 0.99))
def test_one_score_of_any_two_values_is_expected_to_collect_no_evidence(mean: float, up: float, down: float) -> None:
    high, low = mean + (1 - mean) * up, mean * down
    chance = (mean - low) / (high - low)
    expected = 0.0
    for probability, score in ((chance, high), (1 - chance, low)):
        against = evidence_against_mean(Cohort(1, score, score**2), CANDIDATE_PRIOR)
        expected += probability * math.exp(float(against(np.array([mean]))[0]))
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("mean", [0.5, 0.8, 0.95, 0.99])
def test_the_exact_chance_of_ever_crossing_the_limit_keeps_its_promise(mean: float) -> None:
    alpha, looks = 0.05, 300
    standing, crossed = np.array([1.0]), 0.0
    for n in range(1, looks + 1):
        standing = np.append(standing * (1 - mean), 0.0) + np.append(0.0, standing * mean)
        evidence = np.array([log_evidence_below(Cohort(n, good), mean) for good in range(n + 1)])
        is_over = evidence >= math.log(1 / alpha)
        crossed += float(standing[is_over].sum())
        standing[is_over] = 0.0
    assert 0 < crossed <= alpha


@pytest.mark.parametrize("mean", [0.5, 0.8, 0.95])
def test_the_exact_chance_of_ever_finding_two_equal_cohorts_different_keeps_its_promise(mean: float) -> None:
    alpha, looks = 0.1, 24
    one, standing, crossed = np.array([1 - mean, mean]), np.ones((1, 1)), 0.0
    for n in range(1, looks + 1):
        standing = _convolved(standing, np.outer(one, one))
        for good_stable in range(n + 1):
            for good_candidate in range(n + 1):
                if log_evidence_worse(Cohort(n, good_stable), Cohort(n, good_candidate), 0.0) >= math.log(1 / alpha):
                    crossed += float(standing[good_stable, good_candidate])
                    standing[good_stable, good_candidate] = 0.0
    assert crossed <= alpha


def _convolved(standing: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    grown = np.zeros((standing.shape[0] + 1, standing.shape[1] + 1))
    for i in range(2):
        for j in range(2):
            grown[i : i + standing.shape[0], j : j + standing.shape[1]] += standing * step[i, j]
    return grown


def brute_force(stable: Cohort, candidate: Cohort, margin: float) -> float:
    """The infimum over a very fine grid, from SciPy's distributions."""
    means = np.unique(np.concatenate([np.linspace(margin + 1e-9, 1 - 1e-9, 40001), 1 - np.geomspace(1e-9, 0.1, 2000)]))
    mixed = 0.0
    log_null = np.zeros_like(means)
    for cohort, prior, mean in ((stable, STABLE_PRIOR, means), (candidate, CANDIDATE_PRIOR, means - margin)):
        n, good = cohort.n, int(cohort.total)
        mixed += math.log(sum(weight * stats.betabinom.pmf(good, n, a, b) for weight, a, b in prior))
        log_null += stats.binom.logpmf(good, n, mean)
    return max(0.0, mixed - float(np.max(log_null)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 500), st.integers(1, 100), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.1]))
def test_the_evidence_of_two_cohorts_is_the_least_over_all_means_that_obey_the_rule(
    n_stable: int, n_candidate: int, good_stable: float, good_candidate: float, margin: float
) -> None:
    stable = Cohort(n_stable, round(n_stable * good_stable))
    candidate = Cohort(n_candidate, round(n_candidate * good_candidate))
    found = log_evidence_worse(stable, candidate, margin)
    if stable.mean - candidate.mean <= margin:
        assert found == 0
    else:
        assert found == pytest.approx(brute_force(stable, candidate, margin), rel=2e-3, abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 400), st.integers(20, 200), st.integers(0, 200), st.sampled_from([0.0, 0.01, 0.05]))
def test_one_more_failure_of_the_candidate_never_weakens_the_evidence(
    n_stable: int, n: int, failed: int, margin: float
) -> None:
    stable, failed = Cohort(n_stable, n_stable * 0.99), min(failed, n)
    before = log_evidence_worse(stable, Cohort(n, n - failed), margin)
    after = log_evidence_worse(stable, Cohort(n + 1, n - failed), margin)
    assert after >= before - 1e-6


def test_above_is_below_of_the_mirror() -> None:
    assert log_evidence_above(Cohort(50, 30), 0.2) == log_evidence_below(Cohort(50, 20), 0.8)
    twice = Cohort(3, 1.5, 0.83).mirrored().mirrored()
    assert (twice.n, twice.total) == (3, 1.5)
    assert twice.total_of_squares == pytest.approx(0.83)


def test_scores_that_vary_little_are_told_apart_sooner_than_by_their_sum_alone() -> None:
    steady, by_sum = Cohort(900, 900 * 0.55, 900 * 0.55**2), Cohort(900, 900 * 0.55)
    assert log_evidence_below(steady, 0.6) > 2 * log_evidence_below(by_sum, 0.6) > 0


@pytest.mark.parametrize(("good", "n"), [(0, 10), (5, 10), (10, 10), (950, 1000), (1, 100_000)])
def test_the_interval_holds_the_observed_mean_and_ends_where_the_evidence_suffices(good: int, n: int) -> None:
    cohort, alpha = Cohort(n, good), 0.01
    low, high = interval(cohort, alpha)
    assert low <= good / n <= high
    if low > 0:
        assert log_evidence_above(cohort, low) == pytest.approx(math.log(2 / alpha), rel=1e-4)
    if high < 1:
        assert log_evidence_below(cohort, high) == pytest.approx(math.log(2 / alpha), rel=1e-4)


def test_the_interval_of_nothing_is_everything() -> None:
    assert interval(Cohort(0, 0), 0.01) == (0.0, 1.0)


def test_the_interval_is_not_much_wider_than_the_one_for_a_single_look() -> None:
    low, high = interval(Cohort(1000, 950), 0.05)
    once = stats.binomtest(950, 1000).proportion_ci(0.95, method="exact")
    assert low < once.low and high > once.high
    assert high - low < 2.2 * (once.high - once.low)
