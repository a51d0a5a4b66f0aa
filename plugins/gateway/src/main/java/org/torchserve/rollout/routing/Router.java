package org.torchserve.rollout.routing;

import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;

/** Decides which version a request goes to. Knows nothing of HTTP or gRPC. */
public final class Router {
    private final PolicyBook policies;
    private final Versions versions;
    private final DoubleSupplier random;
    private final LongSupplier nanoClock;
    private final OpenSequences sequences = new OpenSequences();

    /** @param random numbers in [0, 1) */
    public Router(PolicyBook policies, Versions versions, DoubleSupplier random, LongSupplier nanoClock) {
        this.policies = policies;
        this.versions = versions;
        this.random = random;
        this.nanoClock = nanoClock;
    }

    /**
     * The route of a request.
     *
     * @param named the version the caller named, or null
     * @return null if the model, or the named version, is not registered
     */
    public Route route(String model, String named, Sender sender) {
        String sequence = sender.sequence();
        if (sequence == null) {
            return choose(model, named, sender);
        }
        Route home = named == null ? home(model, sequences.home(model, sequence)) : null;
        Route route = home != null ? home : choose(model, named, sender);
        if (route != null && sender.endsSequence()) {
            sequences.end(model, sequence);
        } else if (route != null) {
            sequences.settle(model, sequence, route.version(), nanoClock.getAsLong());
        }
        return route;
    }

    private Route choose(String model, String named, Sender sender) {
        PolicyInForce inForce = policies.get(model);
        if (named != null) {
            return versions.isRegistered(model, named) ? explicit(model, named, inForce) : null;
        }
        if (inForce == null) {
            return byDefault(model, Role.DEFAULT, null);
        }
        TrafficPolicy policy = inForce.policy();
        String version = inForce.choose(sender, random, nanoClock.getAsLong());
        return version.equals(policy.stable())
                ? stable(inForce, Role.STABLE)
                : new Route(model, version, Role.CANDIDATE, inForce, policy.candidateDeadlineS());
    }

    /**
     * The way back to the version a sequence is on, whatever weights, leases and defaults have become; null if it has to
     * move, because nothing is there any more, or the breaker keeps everybody away.
     */
    private Route home(String model, String version) {
        if (version == null || !versions.hasWorkers(model, version)) {
            return null;
        }
        PolicyInForce inForce = policies.get(model);
        if (inForce == null) {
            return new Route(model, version, Role.DEFAULT, null, 0);
        }
        TrafficPolicy policy = inForce.policy();
        if (version.equals(policy.stable())) {
            return stable(inForce, Role.STABLE);
        }
        if (inForce.breaker(version) == null) {
            return new Route(model, version, Role.DEFAULT, inForce, policy.stableDeadlineS());
        }
        return inForce.admits(version, nanoClock.getAsLong())
                ? new Route(model, version, Role.CANDIDATE, inForce, policy.candidateDeadlineS())
                : null;
    }

    /** Lets go of sequences that nobody goes on with. */
    public void forgetIdleSequences() {
        sequences.forgetIdle(nanoClock.getAsLong());
    }

    /** Where a request goes that the candidate of {@code failed} could not answer; null if nobody else can. */
    public Route failover(Route failed) {
        if (failed.role() != Role.CANDIDATE || !failed.policy().policy().failover()) {
            return null;
        }
        Route route = stable(failed.policy(), Role.FAILOVER);
        return route == null || route.version().equals(failed.version()) ? null : route;
    }

    private Route stable(PolicyInForce inForce, Role role) {
        TrafficPolicy policy = inForce.policy();
        // Unregistered behind the gateway's back: the default version is the best there is.
        return versions.isRegistered(policy.model(), policy.stable())
                ? new Route(policy.model(), policy.stable(), role, inForce, policy.stableDeadlineS())
                : byDefault(policy.model(), role == Role.STABLE ? Role.DEFAULT : role, inForce);
    }

    private Route byDefault(String model, Role role, PolicyInForce inForce) {
        String version = versions.defaultVersion(model);
        double deadlineS = inForce == null ? 0 : inForce.policy().stableDeadlineS();
        return version == null ? null : new Route(model, version, role, inForce, deadlineS);
    }

    private static Route explicit(String model, String version, PolicyInForce inForce) {
        double deadlineS = 0;
        if (inForce != null) {
            boolean onTrial = inForce.breaker(version) != null;
            deadlineS = onTrial ? inForce.policy().candidateDeadlineS() : inForce.policy().stableDeadlineS();
        }
        return new Route(model, version, Role.EXPLICIT, inForce, deadlineS);
    }
}
