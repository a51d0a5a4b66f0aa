package org.torchserve.rollout.routing;

/** What a request tells of whoever sent it. */
@FunctionalInterface
public interface Sender {
    /** A request that tells nothing. */
    Sender UNKNOWN = where -> null;

    /**
     * The key that keeps this sender on one version, or null.
     *
     * @param where where the policy says it is; null: wherever the model itself keeps state
     */
    String key(StickyKey where);

    /** The value of a header, or null. */
    default String header(String name) {
        return null;
    }
}
