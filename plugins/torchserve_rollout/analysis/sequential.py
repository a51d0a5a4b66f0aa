"""Tests that stay valid however often one looks.

The evidence against a hypothesis is kept as an *e-process*: a number that starts at 1 and, while the hypothesis is
true, is at most 1 on average at any time one chooses to stop. By Ville's inequality it exceeds 1/α ever, over the
whole infinite run, with probability at most α. So an alarm may be judged every second and still raise a false alarm
with probability at most α.

All of it is computed from sums (n, total, total of squares), so a longer window is the sum of its ticks, and the
order of requests within a tick does not matter.

Sources
-------
- J. Ville, *Étude critique de la notion de collectif*, 1939: P(sup E_t ≥ 1/α) ≤ α.
- H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41 (1970): mixtures.
- W. Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963): values in 0–1.
- X. Fan, I. Grama, Q. Liu, "Exponential inequalities for martingales with applications", Electron. J. Probab. 20
  (2015): the variance-adaptive part.
- S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
  Ann. Stat. 49 (2021): confidence sequences from test supermartingales.
- R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
  stopping", J. Stat. Plan. Inference 230 (2024), and L. Wasserman, A. Ramdas, S. Balakrishnan, "Universal inference",
  PNAS 117 (2020): two samples, the infimum over the null of a product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp, xlog1py, xlogy

Floats = NDArray[np.float64]
Prior = tuple[tuple[float, float, float], ...]

# Priors over a cohort's mean goodness (1 is good), as (weight, a, b) of Beta(a, b). The tests are valid with any
# prior; these are sharp where it matters: stable is most likely good, a candidate is good or anything at all.
STABLE_PRIOR: Final[Prior] = ((0.8, 10.0, 0.3), (0.2, 0.5, 0.5))
CANDIDATE_PRIOR: Final[Prior] = ((0.7, 1.0, 1.0), (0.3, 5.0, 0.2))
# Bets of the variance-adaptive part and the share of the stake that follows it.
# Up to 0.58 the evidence grows with the distance from the hypothesis (2ψ(λ) ≤ λ).
_BETS: Final[Floats] = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.58])
_PSI: Final[Floats] = -np.log1p(-_BETS) - _BETS
_ADAPTIVE_SHARE: Final = 0.2
_EPS: Final = 1e-12
# Where the infimum over a common mean is looked for, ever finer: dense at both ends, where rates and scores live.
_REFINEMENTS: Final = 4
_ENDS: Final[Floats] = np.geomspace(1e-6, 0.5, 60)
_GRID: Final[Floats] = np.concatenate([[0.0, 1.0], _ENDS, 1 - _ENDS, np.linspace(0.02, 0.98, 49)])


@dataclass(frozen=True, slots=True)
class Cohort:
    """``n`` values in 0–1 by their sums. ``total_of_squares`` None: the values are 0 or 1."""

    n: int
    total: float
    total_of_squares: float | None = None

    @property
    def mean(self) -> float:
        """The observed mean; NaN without values."""
        return self.total / self.n if self.n else float("nan")

    def mirrored(self) -> Cohort:
        """The cohort of 1 − x."""
        squares = self.total_of_squares
        return Cohort(self.n, self.n - self.total, None if squares is None else self.n - 2 * self.total + squares)


def log_evidence_below(cohort: Cohort, bound: float) -> float:
    """log E against "the mean is at least ``bound``"; 0 while the observed mean obeys it."""
    if not cohort.n or cohort.mean >= bound:
        return 0.0
    return max(0.0, float(evidence_against_mean(cohort, CANDIDATE_PRIOR)(np.array([bound]))[0]))


def log_evidence_above(cohort: Cohort, bound: float) -> float:
    """log E against "the mean is at most ``bound``"; 0 while the observed mean obeys it."""
    return log_evidence_below(cohort.mirrored(), 1 - bound)


def log_evidence_worse(stable: Cohort, candidate: Cohort, margin: float) -> float:
    """log E against "the candidate's mean is at least stable's − ``margin``" (1 is good); 0 while the observed means
    obey it.

    For a fixed pair of means the product of both cohorts' evidence is a supermartingale, however the two are
    interleaved; the infimum over all pairs that obey the hypothesis is therefore an e-process. It lies on the edge,
    where the means differ by exactly ``margin``.
    """
    if not stable.n or not candidate.n or stable.mean - candidate.mean <= margin:
        return 0.0

    above = evidence_against_mean(stable.mirrored(), tuple((weight, b, a) for weight, a, b in STABLE_PRIOR))
    below = evidence_against_mean(candidate, CANDIDATE_PRIOR)
    means = np.unique(np.clip(np.append(_GRID, [stable.mean, candidate.mean + margin]), margin, 1.0))
    likeliest = (stable.total + candidate.total + margin * candidate.n) / (stable.n + candidate.n)
    return _infimum(lambda at: above(1 - at) + below(at - margin), means, likeliest)


def log_evidence_worse_ratio(stable: Cohort, candidate: Cohort, ratio: float, *, higher_is_worse: bool) -> float:
    """log E against "the candidate's mean is not worse than ``ratio`` times stable's"; 0 while that is observed.

    As :func:`log_evidence_worse`, along the edge c = ratio · s (higher is worse) or c = s / ratio. Both sides of the
    edge are convex, so the infimum over all pairs that obey lies on it.
    """
    if not stable.n or not candidate.n:
        return 0.0
    factor = ratio if higher_is_worse else 1 / ratio
    allowed = factor * stable.mean
    if candidate.mean <= allowed if higher_is_worse else candidate.mean >= allowed:
        return 0.0
    # Both priors speak of goodness; the evidence of each side goes both ways.
    good_stable = stable.mirrored() if higher_is_worse else stable
    good_candidate = candidate.mirrored() if higher_is_worse else candidate
    above = evidence_against_mean(good_stable.mirrored(), tuple((weight, b, a) for weight, a, b in STABLE_PRIOR))
    below = evidence_against_mean(good_candidate, CANDIDATE_PRIOR)

    def on_edge(of_stable: Floats) -> Floats:
        of_candidate = np.minimum(factor * of_stable, 1.0)
        if higher_is_worse:
            return above(of_stable) + below(1 - of_candidate)
        return above(1 - of_stable) + below(of_candidate)

    points = np.append(_GRID, [stable.mean, candidate.mean / factor])
    highest = min(1.0, 1 / factor)
    likeliest = min((stable.total + candidate.total / factor) / (stable.n + candidate.n), highest)
    return _infimum(on_edge, np.unique(np.clip(points, 0.0, highest)), likeliest)


def _infimum(of: Callable[[Floats], Floats], points: Floats, likeliest: float) -> float:
    """The least value of a convex function over the span of ``points``, looked for ever finer; at least 0.

    Between equal versions it is below 0 where it is ``likeliest`` to be least, and nothing more need be asked.
    """
    if float(of(np.array([likeliest]))[0]) <= 0:
        return 0.0
    least = np.inf
    for _ in range(_REFINEMENTS):
        values = of(points)
        best = int(np.argmin(values))
        least = min(least, float(values[best]))
        points = np.linspace(points[max(0, best - 1)], points[min(len(points) - 1, best + 1)], 33)
    return max(0.0, least)


def log_evidence_more_often(stable: Cohort, candidate: Cohort, ratio: float) -> float:
    """log E against "the candidate's events come at most ``ratio`` times as often as stable's" (counts in time).

    ``n`` is the time of exposure, ``total`` the events. Given that an event happens, it is the candidate's with
    probability at most ratio·T_c / (ratio·T_c + T_s): a coin, judged by :func:`log_evidence_above` (Przyborowski and
    Wilenski, Biometrika 31, 1940, conditioned on the sum; here at every look).
    """
    exposure = ratio * candidate.n + stable.n
    if not candidate.n or not stable.n:
        return 0.0
    events = round(candidate.total + stable.total)
    return log_evidence_above(Cohort(events, candidate.total), ratio * candidate.n / exposure)


def interval(cohort: Cohort, alpha: float) -> tuple[float, float]:
    """Holds the true mean at all times at once with probability at least 1 − ``alpha`` (a confidence sequence)."""
    if not cohort.n:
        return 0.0, 1.0
    return 1 - _upper(cohort.mirrored(), alpha / 2), _upper(cohort, alpha / 2)


def _upper(cohort: Cohort, alpha: float) -> float:
    """The least bound that the evidence at ``alpha`` puts the mean below."""
    below = evidence_against_mean(cohort, CANDIDATE_PRIOR)

    def excess(mean: float) -> float:
        return float(below(np.array([mean]))[0] + np.log(alpha))

    start = min(max(cohort.mean, _EPS), 1 - _EPS)
    if excess(1 - _EPS) <= 0 or excess(start) >= 0:
        return 1.0
    return float(brentq(excess, start, 1 - _EPS))


def evidence_against_mean(cohort: Cohort, prior: Prior) -> Callable[[Floats], Floats]:
    """log E against "the mean is m", as a function of m; it grows when the values lie below m.

    The main part is the Beta mixture of likelihood ratios. It is exact for binary values; for values anywhere in 0–1
    the Bernoulli likelihood ratio is a supermartingale too, since exp(λx) ≤ 1 − x + x·exp(λ) there (Hoeffding 1963),
    so the sum may be fractional. For scores a share of the stake follows Fan's inequality with ξ = m − x ≥ −1:
    exp(λξ − ψ(λ)ξ²), ψ(λ) = −log(1 − λ) − λ, which pays when the scores vary little.
    """
    n, total, squares = cohort.n, cohort.total, cohort.total_of_squares
    mixture = logsumexp([np.log(weight) + betaln(total + a, n - total + b) - betaln(a, b) for weight, a, b in prior])

    def log_e(mean: Floats) -> Floats:
        inside = np.clip(mean, _EPS, 1 - _EPS)
        beta = mixture - xlogy(total, inside) - xlog1py(n - total, -inside)
        if squares is None:
            return np.asarray(beta, dtype=np.float64)
        gain, spread = n * inside - total, squares - 2 * inside * total + n * inside**2
        bets = _BETS[:, None] * gain[None, :] - _PSI[:, None] * spread[None, :]
        adaptive = logsumexp(bets, axis=0) - np.log(len(_BETS))
        stakes = np.log1p(-_ADAPTIVE_SHARE) + beta, np.log(_ADAPTIVE_SHARE) + adaptive
        return np.asarray(np.logaddexp(*stakes), dtype=np.float64)

    return log_e
