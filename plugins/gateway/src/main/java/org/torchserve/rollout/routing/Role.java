package org.torchserve.rollout.routing;

import java.util.Locale;

/** Why a version was asked. */
public enum Role {
    /** The version that answers when nothing else does. */
    STABLE,
    /** The version on trial. */
    CANDIDATE,
    /** TorchServe's default version, for a model without a policy. */
    DEFAULT,
    /** The caller named the version. */
    EXPLICIT,
    /** Stable (or the default version), answering for a candidate that could not. */
    FAILOVER,
    /** A copy of a request whose answer nobody waits for. */
    MIRROR;

    private final String label = name().toLowerCase(Locale.ROOT);

    /** True if others are there to answer: such an attempt need not wait for a version that has no worker ready. */
    public boolean isSpare() {
        return this == CANDIDATE || this == MIRROR;
    }

    /** The value of the metrics' label {@code role}. */
    public String label() {
        return label;
    }
}
