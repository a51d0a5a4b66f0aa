package org.torchserve.rollout.routing;

import java.util.Map;

/**
 * What a model's traffic has to obey, as the controller said it. Immutable.
 *
 * @param epoch grows with every new policy of a model; fences off outdated controllers
 * @param stable the version that answers when nothing else does
 * @param weights percent per candidate, in the order given; the rest is stable's
 * @param failover whether stable answers what a candidate cannot
 * @param sticky where the sticky key is, or null
 * @param cohort who gets the first candidate whatever its weight, or null
 * @param maxRequests so many requests may each candidate be sent in all; 0 = any number
 * @param replayBudgetPct percent of the model's recent requests that may be replays on stable
 * @param replayBudgetMin so many recent replays are within the budget in any case
 * @param mirror percent of the requests copied to each shadow version
 * @param leaseS seconds the policy is valid unless renewed
 */
public record TrafficPolicy(
        String model,
        long epoch,
        String stable,
        Map<String, Double> weights,
        boolean failover,
        double candidateDeadlineS,
        double stableDeadlineS,
        BreakerSettings breaker,
        StickyKey sticky,
        Cohort cohort,
        long maxRequests,
        double replayBudgetPct,
        int replayBudgetMin,
        Map<String, Double> mirror,
        double leaseS) {

    /** True if {@code other} says the same; the length of the lease may differ, a renewal may change it. */
    public boolean sameContent(TrafficPolicy other) {
        return withLease(0).equals(other.withLease(0));
    }

    private TrafficPolicy withLease(double otherLeaseS) {
        return new TrafficPolicy(
                model,
                epoch,
                stable,
                weights,
                failover,
                candidateDeadlineS,
                stableDeadlineS,
                breaker,
                sticky,
                cohort,
                maxRequests,
                replayBudgetPct,
                replayBudgetMin,
                mirror,
                otherLeaseS);
    }
}
