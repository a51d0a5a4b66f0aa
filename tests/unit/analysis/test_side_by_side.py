"""Bets on blocks: no expectation of gain while the rule holds, whatever both cohorts go through together."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchserve_rollout.analysis.blocks import Block, completed, evenly, joined
from torchserve_rollout.analysis.samples import Measurement, Rate, TickEvidence, accumulate
from torchserve_rollout.analysis.sequential import Cohort, log_evidence_worse
from torchserve_rollout.analysis.side_by_side import log_evidence_higher

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
Rows = list[tuple[int, int, int, int]]
rows_of_ticks = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 40), st.integers(0, 40)), max_size=60
).map(lambda rows: [Block(n, min(bad, n), m, min(worse, m)) for n, bad, m, worse in rows])


@given(rows_of_ticks)
def test_blocks_add_up_to_their_ticks_and_only_the_last_is_incomplete(rows: list[Block]) -> None:
    blocks, nothing = joined(rows), Block(0, 0, 0, 0)
    assert np.sum([nothing, *blocks], axis=0) == pytest.approx(np.sum([nothing, *rows], axis=0))
    assert len(completed(blocks)) >= len(blocks) - 1
    assert all(min(block.candidate_n, block.stable_n) >= 4 for block in blocks[:-1])


@given(rows_of_ticks, st.integers(0, 60))
def test_it_does_not_matter_whether_old_ticks_were_joined_before(rows: list[Block], cut: int) -> None:
    assert joined((*joined(rows[:cut]), *rows[cut:])) == joined(rows)


@given(rows_of_ticks, st.integers(0, 60))
def test_where_blocks_end_depends_on_the_number_of_requests_only(rows: list[Block], worse: int) -> None:
    failing = [Block(row.candidate_n, row.candidate_n, row.stable_n, 0) for row in rows]
    assert [(b.candidate_n, b.stable_n) for b in joined(rows)] == [(b.candidate_n, b.stable_n) for b in joined(failing)]


def test_a_long_window_has_some_hundred_blocks() -> None:
    assert 300 < len(joined([Block(5, 0, 95, 1)] * 20_000)) < 700


@pytest.mark.parametrize(("margin", "ratio"), [(0.0, 1.0), (0.1, 1.0), (0.0, 1.5)])
@pytest.mark.parametrize("low", [0.01, 0.3, 0.6])
@pytest.mark.parametrize("sizes", [(4, 4), (4, 9), (9, 4)])
def test_a_block_that_just_obeys_the_rule_is_expected_to_earn_nothing(
    margin: float, ratio: float, low: float, sizes: tuple[int, int]
) -> None:
    """Exactly, over all outcomes of two blocks: the second one's bets rest on what the first one showed."""
    n, m = sizes
    high = ratio * low + margin
    expected = 0.0
    chances = [
        (bad, worse, stats.binom.pmf(bad, n, high) * stats.binom.pmf(worse, m, low))
        for bad, worse in itertools.product(range(n + 1), range(m + 1))
    ]
    for (bad_1, worse_1, p_1), (bad_2, worse_2, p_2) in itertools.product(chances, chances):
        if p_1 * p_2 > 1e-12:
            blocks = (Block(n, bad_1, m, worse_1), Block(n, bad_2, m, worse_2))
            expected += p_1 * p_2 * math.exp(log_evidence_higher(blocks, margin=margin, ratio=ratio))
    assert 0.1 < expected <= 1 + 1e-6


@settings(deadline=None)
@given(st.floats(0.01, 0.9), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_scores_of_any_two_values_are_expected_to_earn_nothing(mean: float, up: float, down: float) -> None:
    """One block of four equal scores each; high and low are worth the same."""
    high, low = mean + (1 - mean) * up, mean * down
    chance = 1.0 if high == low else (mean - low) / (high - low)
    expected = sum(
        (stats.binom.pmf(a, 4, chance) * stats.binom.pmf(b, 4, chance))
        * math.exp(log_evidence_higher((Block(4, a * high + (4 - a) * low, 4, b * high + (4 - b) * low),)))
        for a, b in itertools.product(range(5), range(5))
    )
    assert expected <= 1 + 1e-9


def test_an_outage_of_both_while_the_candidate_has_a_larger_share_fools_sums_but_not_blocks() -> None:
    """Simpson's paradox: both fail alike at every moment, but the candidate has more of the requests of bad times."""
    rng, rows = np.random.default_rng(5), []
    for tick in range(400):
        is_outage = 100 <= tick < 200
        share, rate = (0.5, 0.3) if is_outage else (0.05, 0.001)
        n = int(rng.binomial(100, share))
        rows.append(Block(n, int(rng.binomial(n, rate)), 100 - n, int(rng.binomial(100 - n, rate))))
    n, bad, m, worse = (int(each) for each in np.sum(rows, axis=0))
    assert log_evidence_worse(Cohort(m, m - worse), Cohort(n, n - bad), 0.0) > 20
    assert log_evidence_higher(joined(rows)) < 2


def test_blocks_tell_sooner_than_sums() -> None:
    n, m = 9000, 9000
    by_sums = log_evidence_worse(Cohort(m, m * 0.99), Cohort(n, n * 0.98), 0.0)
    assert log_evidence_higher(evenly(n, n * 0.02, m, m * 0.01)) > 1.5 * by_sums > 0


@settings(max_examples=50)
@given(st.integers(20, 400), st.integers(20, 4000), st.floats(0.0, 0.5), st.sampled_from([0.0, 0.01, 0.1]))
def test_a_worse_candidate_never_leaves_less_evidence(n: int, m: int, rate: float, margin: float) -> None:
    found = [
        log_evidence_higher(evenly(n, n * each, m, m * 0.01), margin=margin)
        for each in (rate + margin + 0.05, rate + margin + 0.2)
    ]
    assert found[1] >= found[0]


def test_the_higher_may_be_stable_where_less_is_worse() -> None:
    blocks = evenly(400, 200, 400, 360)
    assert log_evidence_higher(blocks, ratio=1.2, is_stable_the_higher=True) > 5 > 0 > log_evidence_higher(blocks)


@pytest.mark.parametrize("blocks", [(), (Block(3, 1, 100, 1),), (Block(0, 0, 100, 1),)])
def test_without_a_complete_block_nothing_is_known(blocks: tuple[Block, ...]) -> None:
    assert log_evidence_higher(blocks) == 0.0
    assert log_evidence_higher(evenly(100, 100, 100, 0), margin=1.0) == 0.0


def test_ticks_of_one_side_alone_make_no_block() -> None:
    def tick(second: int, stable_total: int) -> TickEvidence:
        measured = Measurement("error_rate", Rate(1, 10), Rate(0, stable_total))
        return TickEvidence(START + timedelta(seconds=second), {"error_rate": measured})

    together = accumulate([tick(1, 90), tick(2, 90), tick(3, 0)], START)["error_rate"]
    assert together.blocks == (Block(10, 1, 90, 0), Block(10, 1, 90, 0), Block(10, 1, 0, 0))
    alone = accumulate([tick(1, 90), tick(2, 0)], START + timedelta(seconds=1), stable_since=START)["error_rate"]
    assert alone.blocks == ()
