package org.torchserve.rollout.routing;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;

/**
 * The policies in force, one per model. Reading takes no lock: a request sees one policy, whole, and keeps it to its end.
 * Writing goes through the epoch: an older one is refused, so two controllers cannot fight.
 */
public final class PolicyBook {
    private final Map<String, PolicyInForce> inForce = new ConcurrentHashMap<>();
    private final Map<String, Long> lastEpochs = new TreeMap<>();
    private final LongSupplier nanoClock;

    /** @param nanoClock monotonic, in nanoseconds */
    public PolicyBook(LongSupplier nanoClock) {
        this.nanoClock = nanoClock;
    }

    /** The policy of a model, or null. */
    public PolicyInForce get(String model) {
        return inForce.get(model);
    }

    /** All policies, by model. */
    public Collection<PolicyInForce> all() {
        return new TreeMap<>(inForce).values();
    }

    /** True if a model's policy gives the version traffic, be it as a shadow. */
    public boolean names(String model, String version) {
        PolicyInForce found = get(model);
        if (found == null) {
            return false;
        }
        TrafficPolicy policy = found.policy();
        return policy.stable().equals(version)
                || policy.weights().containsKey(version)
                || policy.mirror().containsKey(version);
    }

    /** Puts a policy in force, or renews the lease if it is in force already. */
    public synchronized PolicyInForce put(TrafficPolicy policy) throws PolicyConflictException {
        refuseStale(policy.model(), policy.epoch());
        PolicyInForce current = inForce.get(policy.model());
        if (current != null && current.policy().epoch() == policy.epoch()) {
            if (!current.policy().sameContent(policy)) {
                throw new PolicyConflictException(
                        "ReusedEpochException",
                        "Epoch " + policy.epoch() + " of model " + policy.model()
                                + " is in force with other content. Send a changed policy with a higher epoch.");
            }
            current.renew(policy.leaseS(), nanoClock.getAsLong());
            return current;
        }
        PolicyInForce next = new PolicyInForce(policy, nanoClock.getAsLong());
        lastEpochs.put(policy.model(), policy.epoch());
        inForce.put(policy.model(), next);
        return next;
    }

    /** Removes a model's policy and returns it, or null if there is none. The epoch is remembered. */
    public synchronized PolicyInForce remove(String model, long epoch) throws PolicyConflictException {
        if (!inForce.containsKey(model)) {
            return null;
        }
        refuseStale(model, epoch);
        lastEpochs.put(model, epoch);
        return inForce.remove(model);
    }

    private void refuseStale(String model, long epoch) throws PolicyConflictException {
        long last = lastEpochs.getOrDefault(model, 0L);
        if (epoch < last) {
            throw new PolicyConflictException(
                    "StaleEpochException",
                    "Epoch " + epoch + " of model " + model + " is older than " + last
                            + ", the last one seen. Another controller has taken over, or this one must read GET /traffic/"
                            + model + " and go on from there.");
        }
    }
}
