package org.torchserve.rollout.routing;

/** Counts what happens. */
public interface Recorder {
    void finished(Attempt attempt, Outcome outcome);

    /** {@code failed} is replayed on stable because of {@code why}. */
    void failedOver(Route failed, Outcome why);

    /** The caller got this status. */
    void answered(Route route, int status);

    /** A copy for {@code shadow} was not made: too many ({@code copies}), too large ({@code memory}), or it failed ({@code error}). */
    void mirrorDropped(Route shadow, String why);

    void tripped(Route route, Breaker.Trip trip);
}
