"""Mirrored requests that are kept: never more than the bound, and answers only where they were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.unit.store.journals import new_record
from torchserve_rollout.model import (
    Mirrored,
    MirrorHalf,
    MirrorPair,
    NodeName,
    Outcome,
    RolloutId,
    SampledPair,
    VersionName,
)
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.pairs import KEPT, PairBook

ROLLOUT = RolloutId("assistant-2.0-a1b2")


def sampled(number: int, is_odd: bool = False) -> SampledPair:
    def half(version: str, outcome: Outcome) -> MirrorHalf:
        body = f"answer {number} of {version}".encode() + b"\xff"
        return MirrorHalf(VersionName(version), 200, outcome, 0.25, body, False, True, False)

    halves = half("1.0", Outcome.OK), half("2.0", Outcome.MODEL_ERROR if is_odd else Outcome.OK)
    return SampledPair(NodeName("local"), MirrorPair(number, f"r{number}", 5.5, *halves), is_odd)


def taken(pairs: Iterable[SampledPair], lost: int = 0) -> Mirrored:
    kept = tuple(pairs)
    return Mirrored(len(kept), lost, kept)


@pytest.fixture
def book(tmp_path: Path) -> PairBook:
    engine = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    Journal(engine).create(new_record(ROLLOUT), "accepted")
    return PairBook(engine)


def test_a_rollout_that_mirrors_nothing_has_no_pairs(book: PairBook) -> None:
    assert book.of(ROLLOUT) == Mirrored(0, 0, ())


def test_pairs_come_back_as_they_were_and_counts_add_up(book: PairBook) -> None:
    book.keep(ROLLOUT, taken([sampled(1), sampled(2, is_odd=True)], lost=3), bodies=5)
    book.keep(ROLLOUT, Mirrored(40, 2, ()), bodies=5)
    assert book.of(ROLLOUT) == Mirrored(42, 5, (sampled(1), sampled(2, is_odd=True)))


def test_bodies_are_not_stored_unless_asked_for(book: PairBook, tmp_path: Path) -> None:
    book.keep(ROLLOUT, taken([sampled(1)]))
    (kept,) = book.of(ROLLOUT).kept
    assert (kept.pair.primary.body, kept.pair.shadow.body, kept.pair.primary.status) == (b"", b"", 200)
    assert b"answer" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_only_the_latest_are_kept_and_differences_are_not_crowded_out(book: PairBook) -> None:
    for start in range(0, 300, 10):
        pairs = [sampled(start, is_odd=True)] if start < 30 else [sampled(start + i) for i in range(10)]
        book.keep(ROLLOUT, taken(pairs), bodies=4)
    kept = book.of(ROLLOUT).kept
    assert [each.pair.sequence for each in kept if each.is_odd] == [0, 10, 20]
    assert [each.pair.sequence for each in kept if not each.is_odd] == list(range(300 - KEPT, 300))
    with_body = [each.pair.sequence for each in kept if each.pair.shadow.body]
    assert with_body == [0, 10, 20, 299], "differences first, then the latest"
