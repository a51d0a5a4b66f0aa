"""Pairs of mirrored requests: what each of them says, and that every one is counted once, whatever restarts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.torchserve_process import wait_until
from torchserve_rollout.analysis.samples import Measurement, Pairs, Rate, TickEvidence, accumulate
from torchserve_rollout.errors import ServerUnreachable
from torchserve_rollout.model import (
    Mirrored,
    MirrorHalf,
    MirrorPage,
    MirrorPair,
    ModelName,
    NodeName,
    Outcome,
    VersionName,
)
from torchserve_rollout.signals.mirror import MirrorSource, Read
from torchserve_rollout.signals.registry import pair_signals
from torchserve_rollout.signals.source import Cohorts

V1, V2 = VersionName("1.0"), VersionName("2.0")
COHORTS = Cohorts(ModelName("m"), V2, V1)
RING = 256
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def half_of(version: VersionName, outcome: Outcome = Outcome.OK, latency_s: float = 0.1) -> MirrorHalf:
    status = {Outcome.OK: 200, Outcome.CLIENT_ERROR: 400}.get(outcome, 503)
    return MirrorHalf(version, status, outcome, latency_s, b"", False, outcome is not Outcome.STREAM_BROKEN, False)


def pair_of(
    stable: Outcome = Outcome.OK,
    candidate: Outcome = Outcome.OK,
    latencies_s: tuple[float, float] = (0.1, 0.1),
    is_same_body: bool = True,
) -> MirrorPair:
    halves = half_of(V1, stable, latencies_s[0]), half_of(V2, candidate, latencies_s[1])
    return MirrorPair(0, "r", 1.0, *halves, is_same_body)


@dataclass
class Gateway:
    """Keeps the latest pairs as the real one does: sequences begin at the clock and grow by one."""

    clock: int = 1000
    pairs: list[MirrorPair] = field(default_factory=list)
    newest: int = 0
    is_away: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *pairs: MirrorPair) -> None:
        with self.lock:
            for pair in pairs:
                self.newest = max(self.newest, self.clock) + 1
                self.pairs = [*self.pairs, replace(pair, sequence=self.newest)][-RING:]

    def restart(self, clock: int) -> None:
        with self.lock:
            self.clock, self.pairs, self.newest = clock, [], 0

    def read(self, after: int, limit: int) -> MirrorPage:
        if self.is_away:
            raise ServerUnreachable("local does not answer")
        with self.lock:
            found = tuple(pair for pair in self.pairs if pair.sequence > after)[:limit]
            lost = max(0, self.pairs[0].sequence - max(after, self.clock) - 1) if after and self.pairs else 0
            return MirrorPage(found, lost, self.newest)


class Following:
    """A source and all that it said so far."""

    def __init__(self, readers: Mapping[NodeName, Read], *signals: str) -> None:
        self.mirrored: list[Mirrored] = []
        self.evidence: list[TickEvidence] = []
        self.said: dict[str, Measurement] = {}
        self.source = MirrorSource(COHORTS, readers, signals, self.mirrored.append, interval_s=0.005)

    def total(self, signal: str = "mirror_error_rate") -> object:
        now = START + timedelta(seconds=len(self.evidence))
        self.evidence.append(TickEvidence(now, self.source.collect()))
        self.said = accumulate(self.evidence, START - timedelta(seconds=1))
        return self.said[signal].candidate if signal in self.said else None

    def seen_and_lost(self) -> tuple[int, int]:
        self.source.collect()
        return sum(each.seen for each in self.mirrored), sum(each.lost for each in self.mirrored)

    def sees_another_of(self, gateway: Gateway) -> bool:
        gateway.add(pair_of())
        return self.total() is not None

    def wait_for(self, expected: object, signal: str = "mirror_error_rate") -> None:
        wait_until(lambda: self.total(signal) == expected, 5, f"{expected}, not {self.said}")


@contextmanager
def following(readers: Mapping[str, Read], *signals: str) -> Iterator[Following]:
    followed = Following({NodeName(name): read for name, read in readers.items()}, *signals)
    try:
        yield followed
    finally:
        followed.source.close()


@contextmanager
def watched(gateway: Gateway, *signals: str) -> Iterator[Following]:
    """A source that has had its first look at ``gateway``, whose pairs from before are not its own."""
    first = threading.Event()

    def read(after: int, limit: int) -> MirrorPage:
        page = gateway.read(after, limit)
        first.set()
        return page

    with following({"a": read}, *signals) as followed:
        assert first.wait(5)
        yield followed


OUTCOMES = st.sampled_from(Outcome)


@pytest.mark.parametrize(
    ("stable", "candidate", "counted"),
    [
        (Outcome.OK, Outcome.OK, Pairs(1, 0, 0)),
        (Outcome.OK, Outcome.MODEL_ERROR, Pairs(1, 1, 0)),
        (Outcome.OK, Outcome.TIMEOUT, Pairs(1, 1, 0)),
        (Outcome.OK, Outcome.CLIENT_ERROR, Pairs(1, 1, 0)),
        (Outcome.MODEL_ERROR, Outcome.OK, Pairs(1, 0, 1)),
        (Outcome.CLIENT_ERROR, Outcome.MODEL_ERROR, Pairs(1, 0, 0)),
        (Outcome.MODEL_ERROR, Outcome.WORKER_DIED, Pairs(1, 0, 0)),
        (Outcome.OK, Outcome.NO_CAPACITY, Pairs()),
        (Outcome.NO_CAPACITY, Outcome.OK, Pairs()),
    ],
)
def test_a_failure_counts_where_the_other_version_answered_the_same_request(
    stable: Outcome, candidate: Outcome, counted: Pairs
) -> None:
    assert pair_signals()["mirror_error_rate"].tally(pair_of(stable, candidate)) == counted


@given(OUTCOMES, OUTCOMES)
def test_both_sides_are_treated_alike(one: Outcome, other: Outcome) -> None:
    tally = pair_signals()["mirror_error_rate"].tally
    counted, turned = tally(pair_of(one, other)), tally(pair_of(other, one))
    assert isinstance(turned, Pairs) and turned.swapped() == counted


@pytest.mark.parametrize(
    ("latencies_s", "counted"),
    [((1.0, 1.05), Pairs(1, 0, 0)), ((1.0, 1.2), Pairs(1, 1, 0)), ((1.2, 1.0), Pairs(1, 0, 1))],
)
def test_a_tenth_longer_is_slower(latencies_s: tuple[float, float], counted: Pairs) -> None:
    tally = pair_signals()["mirror_slower_rate"].tally
    assert tally(pair_of(latencies_s=latencies_s)) == counted
    assert tally(pair_of(candidate=Outcome.MODEL_ERROR, latencies_s=latencies_s)) == Pairs()


def test_bodies_are_compared_where_both_answered() -> None:
    tally = pair_signals()["mirror_disagreement"].tally
    assert tally(pair_of()) == Rate(0, 1)
    assert tally(pair_of(is_same_body=False)) == Rate(1, 1)
    assert tally(pair_of(candidate=Outcome.MODEL_ERROR, is_same_body=False)) == Rate()


def test_each_pair_is_counted_once_and_what_was_there_before_is_not_ours() -> None:
    gateway = Gateway()
    gateway.add(*[pair_of(candidate=Outcome.MODEL_ERROR)] * 9)
    with watched(gateway, "mirror_slower_rate") as followed:
        gateway.add(pair_of(), pair_of(candidate=Outcome.MODEL_ERROR))
        followed.wait_for(Pairs(2, 1, 0))
        gateway.add(pair_of(stable=Outcome.TIMEOUT))
        followed.wait_for(Pairs(3, 1, 1))
        assert followed.total("mirror_slower_rate") == Pairs(1, 0, 0)
        assert followed.total("mirror_disagreement") is None


def test_pairs_of_other_versions_are_not_ours() -> None:
    gateway = Gateway()
    with watched(gateway) as followed:
        other = pair_of()
        gateway.add(
            replace(other, shadow=half_of(VersionName("3.0"))),
            replace(other, primary=half_of(V2)),
            replace(other, primary=replace(half_of(V1), is_failover=True)),
            other,
        )
        followed.wait_for(Pairs(1, 0, 0))
        assert sum(each.seen for each in followed.mirrored) == 1


@pytest.mark.parametrize("clock", [5000, 10], ids=["later", "its clock was set back"])
def test_after_a_restart_of_the_gateway_nothing_is_counted_twice_or_missed(clock: int) -> None:
    gateway = Gateway()
    with watched(gateway) as followed:
        gateway.add(pair_of(), pair_of())
        followed.wait_for(Pairs(2, 0, 0))
        gateway.restart(clock)
        gateway.add(*[pair_of(candidate=Outcome.MODEL_ERROR)] * 3)
        followed.wait_for(Pairs(5, 3, 0))
        assert followed.seen_and_lost() == (5, 0)


def test_what_nobody_fetched_in_time_is_told() -> None:
    gateway = Gateway()
    with watched(gateway) as followed:
        gateway.add(pair_of())
        followed.wait_for(Pairs(1, 0, 0))
        gateway.is_away = True
        wait_until(lambda: "mirror_error_rate" in followed.source.collect(), 5, "the gateway to be missed")
        gateway.add(*[pair_of()] * (RING + 40))
        gateway.is_away = False
        wait_until(lambda: followed.seen_and_lost() == (RING + 1, 40), 5, "the loss to be told")


def test_a_gateway_that_does_not_answer_is_an_error_only_when_it_is_the_last() -> None:
    near, far = Gateway(), Gateway(is_away=True)
    with following({"near": near.read, "far": far.read}) as followed:
        wait_until(lambda: not followed.source.collect(), 5, "the first look")
        wait_until(lambda: followed.sees_another_of(near), 5, "a pair of the other node")
        near.is_away = True
        wait_until(
            lambda: bool(followed.source.collect().get("mirror_error_rate", Measurement("")).error), 5, "the error"
        )


def test_a_gateway_that_hangs_keeps_no_other_waiting() -> None:
    near, release = Gateway(), threading.Event()

    def hang(after: int, limit: int) -> MirrorPage:
        release.wait()
        raise ServerUnreachable("far hung")

    with following({"near": near.read, "far": hang}) as followed:
        wait_until(lambda: followed.sees_another_of(near), 5, "a pair of the other node")
        release.set()


def test_few_pairs_are_kept_and_those_that_differ_first_of_all() -> None:
    gateway = Gateway()
    with watched(gateway) as followed:
        gateway.add(*[pair_of()] * 60, *[pair_of(candidate=Outcome.MODEL_ERROR)] * 20, *[pair_of()] * 60)
        followed.wait_for(Pairs(140, 20, 0))
        for mirrored in followed.mirrored:
            assert len(mirrored.kept) <= 10
        assert any(each.is_odd for mirrored in followed.mirrored for each in mirrored.kept)


@pytest.mark.parametrize(("signals", "is_odd"), [((), False), (("mirror_disagreement",), True)])
def test_another_answer_is_worth_reading_where_the_spec_compares_them(signals: tuple[str, ...], is_odd: bool) -> None:
    gateway = Gateway()
    with watched(gateway, *signals) as followed:
        gateway.add(pair_of(is_same_body=False))
        followed.wait_for(Pairs(1, 0, 0))
        assert [each.is_odd for mirrored in followed.mirrored for each in mirrored.kept] == [is_odd]
