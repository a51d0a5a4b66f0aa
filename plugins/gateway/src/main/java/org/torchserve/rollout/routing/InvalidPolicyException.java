package org.torchserve.rollout.routing;

import java.util.List;

/** A policy that cannot be put in force; holds every problem, not the first. */
public final class InvalidPolicyException extends Exception {
    private static final long serialVersionUID = 1L;

    private final boolean onlyUnknown;

    InvalidPolicyException(List<String> problems, boolean onlyUnknown) {
        super(String.join("; ", problems));
        this.onlyUnknown = onlyUnknown;
    }

    /** True if all that is wrong is that the model or a version is not registered. */
    public boolean isOnlyUnknown() {
        return onlyUnknown;
    }
}
