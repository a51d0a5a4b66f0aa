"""Pairs: what two versions made of the same request, judged at every look.

Where both failed, or both answered, a pair says nothing of their difference: hard and bad inputs cancel out. What is
left is on whose side the odd ones are.

Without a margin the hypothesis is "of the odd pairs at most half are the candidate's": given that a pair is odd, its
side is a coin (the sign test; McNemar's test is the same for failures), and the evidence against a coin's bias is
exactly valid at every look, whatever the share of odd pairs does meanwhile.

With a margin d it is P(candidate's) − P(stable's) ≤ d. A pair has one of three outcomes, so the evidence is the
likelihood of the counts under a mixture of Dirichlet priors over their likelihood at those probabilities that obey the
hypothesis and explain the counts best. For any fixed probabilities the ratio is a martingale; over the best ones it is
never more than over the true ones (universal inference), so it may be read at any time.

Sources
-------
- Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
  Psychometrika 12 (1947): only the discordant pairs count.
- L. Wasserman, A. Ramdas, S. Balakrishnan, "Universal inference", PNAS 117 (2020): the greatest likelihood
  under the hypothesis as the denominator, a mixture fixed beforehand as the numerator.
- H. Robbins (1970) and J. Ville (1939), as in ``sequential``: mixtures, and why any look is allowed.
"""

from __future__ import annotations

import math
from typing import Final

from scipy.special import gammaln, logsumexp, xlogy

from torchserve_rollout.analysis.samples import Pairs
from torchserve_rollout.analysis.sequential import Cohort, log_evidence_above

# Priors over the shares of pairs that are (the candidate's, stable's, neither's), as (weight, Dirichlet parameters).
# Valid with any; these are sharp where a version fails at times or always and stable hardly ever, and where, as with
# which was slower, nearly every pair is odd.
_PRIORS: Final = ((0.4, (0.5, 0.05, 3.0)), (0.3, (1.0, 0.1, 0.3)), (0.3, (1.0, 1.0, 0.3)))


def log_evidence_pairs_worse(pairs: Pairs, margin: float) -> float:
    """log E against "the candidate's odd pairs exceed stable's by at most ``margin`` of all"; 0 while that is seen."""
    if not pairs.n or pairs.candidate_only - pairs.stable_only <= margin * pairs.n:
        return 0.0
    if margin == 0:
        return log_evidence_above(Cohort(pairs.odd, pairs.candidate_only), 0.5)
    return max(0.0, _log_mixture(pairs) - _log_best_obeying(pairs, margin))


def _log_mixture(pairs: Pairs) -> float:
    """The likelihood of the counts, averaged over the priors."""
    counts = (pairs.candidate_only, pairs.stable_only, pairs.n - pairs.odd)
    terms = []
    for weight, prior in _PRIORS:
        grown = sum(gammaln(a + k) - gammaln(a) for a, k in zip(prior, counts, strict=True))
        terms.append(math.log(weight) + grown + gammaln(sum(prior)) - gammaln(sum(prior) + pairs.n))
    return float(logsumexp(terms))


def _log_best_obeying(pairs: Pairs, margin: float) -> float:
    """The greatest likelihood with P(candidate's) − P(stable's) ≤ ``margin``, where the counts themselves exceed it.

    It lies on the edge, at P(stable's) = b and P(candidate's) = b + d; there the derivative's zero is the root of
    2n·b² − ((1 − d)(k₁ + k₂) − 2d(k₂ + k₀))·b − k₂·d·(1 − d).
    """
    of_candidate, of_stable, neither = pairs.candidate_only, pairs.stable_only, pairs.n - pairs.odd
    linear = (1 - margin) * pairs.odd - 2 * margin * (of_stable + neither)
    constant = of_stable * margin * (1 - margin)
    b = max(0.0, (linear + math.sqrt(linear**2 + 8 * pairs.n * constant)) / (4 * pairs.n))
    rest = max(0.0, 1 - margin - 2 * b)
    return float(xlogy(of_candidate, b + margin) + xlogy(of_stable, b) + xlogy(neither, rest))
