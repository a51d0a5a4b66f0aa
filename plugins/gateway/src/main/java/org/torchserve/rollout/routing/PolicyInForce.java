package org.torchserve.rollout.routing;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.DoubleSupplier;

/** A policy with what belongs to its time in force: the lease and one breaker per candidate. */
public final class PolicyInForce {
    private static final double NANOS_PER_S = 1e9;

    private final TrafficPolicy policy;
    private final WeightedChoice choice;
    private final Map<String, Breaker> breakers = new LinkedHashMap<>();
    private volatile Lease lease;

    private record Lease(double lengthS, long endNanos) {}

    PolicyInForce(TrafficPolicy policy, long nowNanos) {
        this.policy = policy;
        this.choice = new WeightedChoice(policy.stable(), policy.weights());
        for (String candidate : policy.weights().keySet()) {
            breakers.put(candidate, new Breaker(policy.breaker()));
        }
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

    /** The version for a request with this sticky key, or without one ({@code key} null). */
    String choose(String key, DoubleSupplier random, long nowNanos) {
        if (breakers.isEmpty() || !isLeaseValid(nowNanos)) {
            return policy.stable();
        }
        String chosen = key == null ? choice.draw(random) : choice.of(key);
        Breaker breaker = breakers.get(chosen);
        return breaker != null && breaker.isOpen() ? policy.stable() : chosen;
    }

    /** Percent per version the next request meets, stable first. */
    public Map<String, Double> effectiveWeights(long nowNanos) {
        Map<String, Double> effective = new LinkedHashMap<>();
        double rest = 100;
        effective.put(policy.stable(), rest);
        for (Map.Entry<String, Double> each : policy.weights().entrySet()) {
            boolean off = !isLeaseValid(nowNanos) || breakers.get(each.getKey()).isOpen();
            double weight = off ? 0 : each.getValue();
            rest -= weight;
            effective.put(each.getKey(), weight);
        }
        effective.put(policy.stable(), Math.max(0, rest));
        return effective;
    }
}
