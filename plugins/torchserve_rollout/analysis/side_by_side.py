"""Two cohorts served side by side: bets on which of them does worse, block by block.

In a block with n_h values of one cohort and n_l of the other, w = n_h / (n_h + n_l), each value y of the first
multiplies the stake by 1 + λ(1 − w)(y − q_h), each of the second by 1 − λwr(y − q_l), with q_h = r·q_l + m. If the
means of the block obey mean_h ≤ r·mean_l + m, the factors of a block multiply to at most 1 on average (the mean of the
logarithms is at most the logarithm of the mean, and that mean is 1 + λw(1 − w)(mean_h − r·mean_l − m)). That holds for
any λ and q_l fixed before the block, so the stake is a test supermartingale, and a mixture over λ is one too.

Beside :func:`~torchserve_rollout.analysis.sequential.log_evidence_worse` this has two virtues. It need not know
stable's rate, whose uncertainty costs the other about half of its evidence; and only the means *within a block* must
obey the rule, so swings that hit both cohorts alike cannot fool it, even where the share moves with them. Its vice: it
needs both cohorts at the same time.

Sources: R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", J. Stat. Plan. Inference 230 (2024): blocks, and the factors for m = 0, r = 1. I. Waudby-Smith, A. Ramdas,
"Estimating means of bounded random variables by betting", JRSS B 86 (2024): bets on values in 0–1, q from the past.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from torchserve_rollout.analysis.blocks import Block, completed

Floats = NDArray[np.float64]
# By what factor the odds are thought to differ where the rule is broken: from barely to totally.
_FACTORS: Final[Floats] = np.array([1.3, 1.7, 2.5, 4.0, 8.0, 30.0, 300.0])
# What the level is thought to be before anything is seen, and how many requests that guess is worth.
_FIRST_LEVEL: Final = 0.02
_FIRST_WEIGHT: Final = 2.0
_EPS: Final = 1e-6


def log_evidence_higher(
    blocks: tuple[Block, ...], *, margin: float = 0.0, ratio: float = 1.0, is_stable_the_higher: bool = False
) -> float:
    """log E against "the candidate's mean is at most ``ratio`` times stable's + ``margin``".

    It may be negative. ``is_stable_the_higher`` swaps the two: "stable's mean is at most ``ratio`` times the
    candidate's + ``margin``".
    """
    table = completed(blocks)
    if not len(table) or margin >= 1:
        return 0.0
    if is_stable_the_higher:
        table = table[:, [2, 3, 0, 1]]
    high_n, high, low_n, low = table.T
    high, low = np.clip(high, 0, high_n), np.clip(low, 0, low_n)
    of_low = _levels(high_n, high, low_n, low, margin, ratio)
    of_high = ratio * of_low + margin
    share = high_n / (high_n + low_n)
    # λ for each factor and block; its limit for a factor without end leaves every stake positive.
    spread = (1 - share) + share * ratio
    most = (1 - share) * of_high + share * ratio * (1 - of_low)
    stake = 1 / (most + spread / (_FACTORS[:, None] - 1))
    on_high, on_low = stake * (1 - share), stake * share * ratio
    # Between 0 and 1 the logarithm lies above the line between its ends, so the sum of the values is enough.
    gains = high * np.log1p(on_high * (1 - of_high)) + (high_n - high) * np.log1p(-on_high * of_high)
    gains += low * np.log1p(-on_low * (1 - of_low)) + (low_n - low) * np.log1p(on_low * of_low)
    return float(logsumexp(gains.sum(axis=1)) - np.log(len(_FACTORS)))


def _levels(high_n: Floats, high: Floats, low_n: Floats, low: Floats, margin: float, ratio: float) -> Floats:
    """For each block the mean of the lower cohort that explains the blocks before it, if the rule is just kept."""
    explained = low + np.maximum(high - margin * high_n, 0.0) / ratio
    before = np.cumsum(explained) - explained
    weight = np.cumsum(low_n + high_n) - (low_n + high_n)
    levels = (before + _FIRST_LEVEL * _FIRST_WEIGHT) / (weight + _FIRST_WEIGHT)
    return np.clip(levels, _EPS, max(_EPS, min(1.0, (1 - margin) / ratio) - _EPS))
