package org.torchserve.rollout.routing;

/** What a request tells of whoever sent it. */
@FunctionalInterface
public interface Sender {
    /** A request that tells nothing. */
    Sender UNKNOWN = where -> null;

    /**
     * The key that keeps this sender on one version, or null.
     *
     * @param where where the policy says it is
     */
    String key(StickyKey where);

    /** The sequence of requests that this one belongs to, or null: a worker keeps state from one to the next. */
    default String sequence() {
        return null;
    }

    /** Whether this is the last request of its sequence. */
    default boolean endsSequence() {
        return false;
    }

    /** The value of a header, or null. */
    default String header(String name) {
        return null;
    }
}
