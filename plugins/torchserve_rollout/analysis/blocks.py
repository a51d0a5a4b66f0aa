"""What both cohorts did in the same stretches of time: the blocks that a window is cut into.

A window's sums say how many requests failed on either side, but not whether they failed at the same time. Blocks keep
that: each is the ticks in a row that it takes until both cohorts have a few requests in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# A block is complete when either cohort has so many requests in it, and the share ``1 / _GROWTH`` of all before it:
# few enough to wait for, and no more than some hundred blocks however long a window gets.
_LEAST: Final = 4
_GROWTH: Final = 64


class Block(NamedTuple):
    """How many values in 0–1 either cohort had, and their sums (events of a rate, or scores)."""

    candidate_n: float
    candidate_total: float
    stable_n: float
    stable_total: float

    def mirrored(self) -> Block:
        """The block of 1 − x."""
        return Block(
            self.candidate_n, self.candidate_n - self.candidate_total, self.stable_n, self.stable_n - self.stable_total
        )


def joined(rows: Iterable[Block]) -> tuple[Block, ...]:
    """Ticks in order, put together into blocks. Only the last one may be incomplete.

    Where a block ends depends on how many requests there were, never on what became of them; so bets may be placed on
    each. Joining blocks with later rows gives what joining all rows would have given.
    """
    blocks: list[Block] = []
    current, seen = [0.0, 0.0, 0.0, 0.0], [0.0, 0.0]
    for row in rows:
        current = [a + b for a, b in zip(current, row, strict=True)]
        if _is_complete(current[0], seen[0]) and _is_complete(current[2], seen[1]):
            blocks.append(Block(*current))
            seen = [seen[0] + current[0], seen[1] + current[2]]
            current = [0.0, 0.0, 0.0, 0.0]
    return (*blocks, Block(*current)) if any(current) else tuple(blocks)


def completed(blocks: tuple[Block, ...]) -> NDArray[np.float64]:
    """The complete blocks, a row each in the order of :class:`Block`'s fields."""
    table = np.array(blocks, dtype=np.float64).reshape(-1, len(Block._fields))
    if len(table):
        before = table[:-1].sum(axis=0)
        if not (_is_complete(table[-1, 0], before[0]) and _is_complete(table[-1, 2], before[2])):
            return table[:-1]
    return table


def evenly(candidate_n: int, candidate_total: float, stable_n: int, stable_total: float) -> tuple[Block, ...]:
    """The blocks of traffic that flows evenly: for questions about what is expected, asked before there is any."""
    number = max(1, min(_GROWTH, candidate_n // _LEAST, stable_n // _LEAST))
    block = Block(*(each / number for each in (candidate_n, candidate_total, stable_n, stable_total)))
    return joined((block,) * number)


def _is_complete(n: float, before: float) -> bool:
    return n >= max(_LEAST, before / _GROWTH)
