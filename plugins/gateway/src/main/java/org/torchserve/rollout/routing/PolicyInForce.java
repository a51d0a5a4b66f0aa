package org.torchserve.rollout.routing;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.DoubleSupplier;

/** A policy with what belongs to its time in force: the lease, what each candidate may still get, and what stable may still replay. */
public final class PolicyInForce {
    private static final double NANOS_PER_S = 1e9;

    private final TrafficPolicy policy;
    private final WeightedChoice choice;
    private final Map<String, Breaker> breakers = new LinkedHashMap<>();
    private final Map<String, AtomicLong> exposed = new LinkedHashMap<>();
    private final ReplayBudget replayBudget;
    private final String firstCandidate;
    private volatile Lease lease;

    private record Lease(double lengthS, long endNanos) {}

    PolicyInForce(TrafficPolicy policy, long nowNanos) {
        this.policy = policy;
        this.choice = new WeightedChoice(policy.stable(), policy.weights());
        for (String candidate : policy.weights().keySet()) {
            breakers.put(candidate, new Breaker(policy.breaker()));
            exposed.put(candidate, new AtomicLong());
        }
        this.firstCandidate = breakers.isEmpty() ? null : breakers.keySet().iterator().next();
        this.replayBudget = new ReplayBudget(policy.replayBudgetPct(), policy.replayBudgetMin());
        renew(policy.leaseS(), nowNanos);
    }

    public TrafficPolicy policy() {
        return policy;
    }

    void renew(double lengthS, long nowNanos) {
        lease = new Lease(lengthS, nowNanos + (long) (lengthS * NANOS_PER_S));
    }

    public double leaseS() {
        return lease.lengthS();
    }

    /** Seconds the lease is still valid; 0 once it ran out. */
    public double leaseRemainingS(long nowNanos) {
        return Math.max(0, (lease.endNanos() - nowNanos) / NANOS_PER_S);
    }

    public boolean isLeaseValid(long nowNanos) {
        return lease.endNanos() - nowNanos > 0;
    }

    /** The breaker of a candidate, or null for any other version. */
    public Breaker breaker(String version) {
        return breakers.get(version);
    }

    public Map<String, Breaker> breakers() {
        return breakers;
    }

    /** Requests each candidate has been sent. */
    public Map<String, Long> exposed() {
        Map<String, Long> counts = new LinkedHashMap<>();
        // Requests beyond the limit are counted too, and then sent to stable.
        exposed.forEach((candidate, count) -> counts.put(candidate, Math.min(count.get(), limit())));
        return counts;
    }

    /** The version for a request of {@code sender}. */
    String choose(Sender sender, DoubleSupplier random, long nowNanos) {
        if (firstCandidate == null || !isLeaseValid(nowNanos)) {
            return policy.stable();
        }
        replayBudget.request(nowNanos);
        String chosen = chosen(sender, random);
        Breaker breaker = breakers.get(chosen);
        boolean refused = breaker != null && (breaker.isOpen() || !expose(chosen));
        return refused ? policy.stable() : chosen;
    }

    /** Whether a sequence that is on {@code candidate} may go on there. */
    boolean admits(String candidate, long nowNanos) {
        replayBudget.request(nowNanos);
        return !breakers.get(candidate).isOpen();
    }

    private String chosen(Sender sender, DoubleSupplier random) {
        if (policy.cohort() != null && policy.cohort().has(sender)) {
            return firstCandidate;
        }
        String key = policy.sticky() == null ? sender.sequence() : sender.key(policy.sticky());
        return key == null ? choice.draw(random) : choice.of(key);
    }

    private boolean expose(String candidate) {
        AtomicLong count = exposed.get(candidate);
        // Looked at first, so that a spent budget is not counted on for ever.
        return count.get() < limit() && count.incrementAndGet() <= limit();
    }

    private boolean isSpent(String candidate) {
        return exposed.get(candidate).get() >= limit();
    }

    private long limit() {
        return policy.maxRequests() > 0 ? policy.maxRequests() : Long.MAX_VALUE;
    }

    /** Notes that a request of {@code candidate} is replayed; the trip if that spent the budget just now, else null. */
    Breaker.Trip replayed(String candidate, long nowNanos) {
        String spent = replayBudget.replay(nowNanos);
        Breaker breaker = breakers.get(candidate);
        return spent != null && breaker.trip(spent, nowNanos) ? breaker.trip() : null;
    }

    /** Percent per version the next request meets, stable first. */
    public Map<String, Double> effectiveWeights(long nowNanos) {
        Map<String, Double> effective = new LinkedHashMap<>();
        double rest = 100;
        effective.put(policy.stable(), rest);
        for (Map.Entry<String, Double> each : policy.weights().entrySet()) {
            String candidate = each.getKey();
            boolean off = !isLeaseValid(nowNanos) || breakers.get(candidate).isOpen() || isSpent(candidate);
            double weight = off ? 0 : each.getValue();
            rest -= weight;
            effective.put(candidate, weight);
        }
        effective.put(policy.stable(), Math.max(0, rest));
        return effective;
    }
}
